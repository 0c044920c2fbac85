"""Which features were observed together, and how often."""

from __future__ import annotations

from collections.abc import Sequence

from dgmmis.plots.drawing import FAINT, INK, MUTED, display_name, look
from dgmmis.plots.library import Axes, Figure

__all__ = ["draw_missing_patterns"]

SHOWN = 14
BAR = "#7f9dbf"
Pattern = tuple[tuple[str, ...], int]


def draw_missing_patterns(features: Sequence[str], patterns: Sequence[Pattern]) -> Figure:
    """Draw the most frequent patterns of missing features: a dot where observed, a ring where missing.

    Parameters
    ----------
    features : sequence of str
    patterns : sequence of (missing, rows)
        Names of the missing features, and how many rows miss just these.  The 14 most frequent are drawn,
        the others summed up.
    """
    ordered = sorted(patterns, key=lambda pattern: -pattern[1])
    shown, others = ordered[:SHOWN], ordered[SHOWN:]
    total = sum(rows for _, rows in ordered)
    n_lines = len(shown) + bool(others)
    n_columns = len(features)
    with look():
        figure = Figure(figsize=(10.6, 1.15 + 0.26 * n_lines), layout="constrained")
        ratio = [max(1.2, min(0.42 * n_columns, 6.5)), 4.0]
        matrix, bars = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": ratio})
        _draw_matrix(matrix, features, shown)
        counts = [rows for _, rows in shown] + ([sum(rows for _, rows in others)] if others else [])
        colors = [BAR] * len(shown) + [FAINT] * bool(others)
        bars.barh(range(n_lines), counts, color=colors, height=0.62)
        for line, rows in enumerate(counts):
            bars.annotate(
                f"{rows:,}  ({_percent(rows, total)})",
                (rows, line),
                (5, 0),
                textcoords="offset points",
                va="center",
            )
        bars.set_xlim(0, 1.28 * max(counts))
        bars.axis("off")
        if others:
            matrix.text(
                n_columns - 0.5,
                len(shown),
                f"{len(others):,} other patterns",
                color=MUTED,
                va="center",
                ha="right",
            )
        matrix.set_ylim(n_lines - 0.4, -0.6)
    return figure


def _draw_matrix(axes: Axes, features: Sequence[str], shown: Sequence[Pattern]) -> None:
    size = 46 if len(features) <= 16 else 16
    places = {name: place for place, name in enumerate(features)}
    for line, (missing, _) in enumerate(shown):
        absent = sorted(places[name] for name in missing)
        present = sorted(set(places.values()) - set(absent))
        axes.axhline(line, color="#f0f2f5", linewidth=1, zorder=0)
        axes.scatter(present, [line] * len(present), s=size, color=INK, zorder=2)
        axes.scatter(
            absent, [line] * len(absent), s=size, facecolor="white", edgecolor=FAINT, linewidth=1.2, zorder=2
        )
    axes.set_xlim(-0.6, len(features) - 0.4)
    axes.set_yticks([])
    axes.xaxis.tick_top()
    slanted = len(features) > 3 or max(map(len, features)) > 10
    axes.set_xticks(range(len(features)))
    labels = axes.set_xticklabels([display_name(name, 20) for name in features])
    for label in labels:
        label.set_parse_math(False)
        label.set(rotation=40, ha="left", rotation_mode="anchor") if slanted else None
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _percent(part: int, total: int) -> str:
    share = 100 * part / total
    return f"{share:.1f} %" if share >= 0.1 else "< 0.1 %"
