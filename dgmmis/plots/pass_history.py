"""How a fit went, pass by pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dgmmis.fit_result import Scan
from dgmmis.packed import Array
from dgmmis.plots.drawing import FAINT, INK, MUTED, look
from dgmmis.plots.library import Axes, Figure, MaxNLocator
from dgmmis.plots.palette import component_colors
from dgmmis.plots.scales import plain_numbers

__all__ = ["draw_amplitudes", "draw_convergence", "draw_starts"]

BLUE, ORANGE = "#0072B2", "#D55E00"
LABELLED = 10
WIDE_RATIO = 30
"""Ratio of largest to smallest amplitude from which on their axis is logarithmic."""


def draw_convergence(
    history: Sequence[Scan],
    tolerance: float | None,
    *,
    resumed: Sequence[int] = (),
    redrawn: Sequence[int] = (),
    per: str = "row",
) -> Figure:
    """Draw the log-likelihood of each pass, and what it gained and was predicted still to gain.

    Parameters
    ----------
    history : sequence of Scan
    tolerance : float or None
        The gain [total nats] that counts as converged; None or 0 draws no line.
    resumed : sequence of int
        Passes that were the first of another attempt.
    redrawn : sequence of int
        Passes whose unobserved rows were imputed anew: their log-likelihood has another error, so that lines
        are broken before them.
    per : str
        What the mean log-likelihood is a mean over: "row", or "unit of weight".
    """
    with look():
        figure = Figure(figsize=(10.6, 3.1), layout="constrained")
        left, right = figure.subplots(1, 2)
        figure.get_layout_engine().set(wspace=0.06)  # type: ignore[union-attr,call-arg]
        numbers = [scan.number for scan in history]
        means = np.array([scan.mean_log_likelihood for scan in history])
        breaks = np.searchsorted(numbers, [number for number in redrawn if number > numbers[0]])
        left.plot(
            np.insert(np.array(numbers, dtype=float), breaks, np.nan),
            np.insert(means, breaks, np.nan),
            color=BLUE,
            **_marks(len(history)),
        )
        left.set(title="Mean log-likelihood", xlabel="updates", ylabel=f"nats per {per}")
        left.yaxis.set_major_locator(MaxNLocator(6))
        left.yaxis.set_major_formatter(plain_numbers())
        _draw_gains(right, history, tolerance, redrawn)
        for axes in (left, right):
            _open(axes)
            axes.set_xlim(-0.02 * numbers[-1] - 0.5, 1.02 * numbers[-1] + 0.5)
            for number in resumed:
                axes.axvline(number - 0.5, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
    return figure


def _draw_gains(axes: Axes, history: Sequence[Scan], tolerance: float | None, redrawn: Sequence[int]) -> None:
    numbers = [scan.number for scan in history]
    for values, label, color in (
        ([math.nan if scan.number in redrawn else scan.gain for scan in history], "gain of a pass", BLUE),
        ([scan.predicted_gain for scan in history], "predicted remaining gain", ORANGE),
    ):
        # What is not known yet, or no gain, leaves a gap.
        shown = [value if 0 < value < math.inf else math.nan for value in values]
        if not all(map(math.isnan, shown)):
            axes.plot(numbers, shown, label=label, color=color, **_marks(len(shown)))
    axes.set(xlabel="updates", ylabel="total nats")
    if not axes.lines:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no gain is known yet", transform=axes.transAxes, ha="center", color=MUTED)
        return
    axes.set_yscale("log")
    if tolerance:
        axes.axhline(
            tolerance, color=INK, linewidth=1, linestyle=(0, (4, 2)), label=f"tolerance {tolerance:g}"
        )
    key = axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=3,
        borderaxespad=0.2,
        columnspacing=1,
        handlelength=1.6,
    )
    key.set_in_layout(False)


def draw_starts(scores: Sequence[float], chosen: int, *, per: str = "row") -> Figure:
    """Draw how far the starts were apart after their short fits; those that collapsed (NaN) get a cross.

    Parameters
    ----------
    scores : sequence of float
        Mean log-likelihoods on the random sample [nats].
    chosen : int
    per : str
        What they are means over.
    """
    values = np.array(scores)
    behind = values - np.nanmax(values)
    with look():
        figure = Figure(figsize=(4.1, 3.1), layout="constrained")
        axes = figure.subplots()
        lowest = min(float(np.nanmin(behind)), -1e-6)
        for place, value in enumerate(behind):
            color = ORANGE if place == chosen else MUTED
            if math.isnan(value):
                axes.plot(place, lowest * 1.15, marker="x", color=MUTED, markersize=6, linestyle="none")
            else:
                axes.vlines(place, value, 0, color=FAINT, linewidth=1.2, zorder=0)
                axes.plot(place, value, marker="o", color=color, markersize=6, linestyle="none")
        axes.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
        axes.annotate(
            "chosen", (chosen, behind[chosen]), (0, 6), textcoords="offset points", ha="center", color=ORANGE
        )
        axes.set(
            title="Starts after their short fits", xlabel="start", ylabel=f"nats per {per} below the best"
        )
        axes.set_xlim(-0.6, len(values) - 0.4)
        axes.set_ylim(lowest * 1.25, -lowest * 0.2)
        axes.set_yticks([tick for tick in axes.get_yticks() if lowest * 1.25 <= tick <= 0])
        _open(axes)
    return figure


def draw_amplitudes(amplitudes: Mapping[int, Array], *, width: float = 6.3) -> Figure:
    """Draw the amplitudes of the components over the passes.

    Parameters
    ----------
    amplitudes : dict
        `{updates: (K,)}`; passes may be missing.
    width : float
        Of the figure [inch].
    """
    numbers = sorted(amplitudes)
    curves = np.array([amplitudes[number] for number in numbers])
    colors = component_colors(curves[-1])
    with look():
        figure = Figure(figsize=(width, 3.1), layout="constrained")
        axes = figure.subplots()
        for k, color in enumerate(colors):
            axes.plot(numbers, curves[:, k], color=color, **_marks(len(numbers)))
        positive = curves[curves > 0]
        if positive.max() > WIDE_RATIO * positive.min():
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, 1.08 * float(curves.max()))
        if len(colors) <= LABELLED:
            _label_ends(axes, curves[-1], colors)
        axes.set(title="Amplitudes", xlabel="updates", ylabel="amplitude")
        _open(axes)
    return figure


def _label_ends(axes: Axes, last: Array, colors: Sequence[str]) -> None:
    """Write each component's number at the end of its curve, moved apart where curves meet."""
    low, high = axes.get_ylim()
    logarithmic = axes.get_yscale() == "log"
    places = np.log(np.maximum(last, low)) if logarithmic else last
    low, high = (math.log(low), math.log(high)) if logarithmic else (low, high)
    fractions = (places - low) / (high - low)
    order = np.argsort(fractions)
    apart = 0.062
    spread = fractions[order].astype(float)
    for i in range(1, len(spread)):
        spread[i] = max(spread[i], spread[i - 1] + apart)
    spread -= max(0.0, spread[-1] - 0.98)
    for i in range(len(spread) - 2, -1, -1):
        spread[i] = min(spread[i], spread[i + 1] - apart)
    for k, fraction in zip(order, spread, strict=True):
        axes.text(
            1.015, fraction, str(k), color=colors[k], transform=axes.transAxes, va="center", fontweight="bold"
        )


def _marks(count: int) -> dict[str, Any]:
    """Markers while they are few enough to be seen apart."""
    return {"marker": "o", "markersize": 3.2} if count <= 30 else {}


def _open(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#eceef2", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
