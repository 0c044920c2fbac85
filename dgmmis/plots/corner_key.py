"""The corner plot's key, in its empty upper right."""

from __future__ import annotations

from dgmmis.distinct_colors import DISTINCT
from dgmmis.plots.corner_content import Corner
from dgmmis.plots.drawing import INK, MUTED
from dgmmis.plots.ellipses import MANY
from dgmmis.plots.library import (
    Axes,
    FuncFormatter,
    Legend,
    Line2D,
    LogLocator,
    LogNorm,
    Patch,
    ScalarMappable,
)
from dgmmis.plots.palette import HISTOGRAM, counts_map

__all__ = ["draw_key"]

DASHED = (0, (3.5, 1.8))


def draw_key(axes: Axes, corner: Corner, norm: LogNorm | None) -> None:
    """Draw what each mark means, how grey counts the rows, and which colour is which component."""
    axes.axis("off")
    handles, labels = _marks(corner)
    if corner.n_features >= 3 and 1 < len(corner.colors) <= len(DISTINCT):
        axes.add_artist(_list_components(axes, corner))
    key = axes.legend(handles, labels, loc="upper right", borderaxespad=0.2, handlelength=2.6)
    key.set_in_layout(False)
    if norm is not None:
        _draw_scale(axes, norm, corner)


def _marks(corner: Corner) -> tuple[list[Line2D | Patch], list[str]]:
    noisy, many = corner.noise is not None, len(corner.colors) > MANY
    entries: list[tuple[Line2D | Patch, str]] = []
    if corner.rows is not None:
        entries.append((Patch(color=HISTOGRAM), "rows of the sample, as observed"))
    selected = corner.observed is not None
    kind = "complete model" if selected else "model"
    entries.append((Line2D([], [], color=INK), f"{kind} without noise" if noisy else kind))
    if noisy or selected:
        how = "as these rows were observed" if selected else "blurred by these rows' noise"
        entries.append((Line2D([], [], color=INK, linestyle=DASHED), f"model {how}"))
    if corner.model.backgrounds:
        entries.append((Line2D([], [], color=MUTED, linewidth=0.9), _behind(corner)))
    if corner.n_features > 1:
        color = corner.colors[int(corner.model.mixture.amplitudes.argmax())]
        sigmas = "1 sigma" if many else "1 and 2 sigma"
        entries.append(
            (Line2D([], [], color=color), f"components, {sigmas}" + (", without noise" if noisy else ""))
        )
        if noisy and not many:
            entries.append(
                (Line2D([], [], color=color, linewidth=0.8, linestyle=DASHED), "… with the median noise")
            )
    return [handle for handle, _ in entries], [label for _, label in entries]


def _behind(corner: Corner) -> str:
    amplitudes = corner.model.population.background_amplitudes
    return f"background: {100 * amplitudes.sum():.1f} %"


def _draw_scale(axes: Axes, norm: LogNorm, corner: Corner) -> None:
    weighted = corner.rows is not None and corner.rows.weights is not None
    bounds = (0.44, 0.08, 0.5, 0.045) if corner.n_features == 2 else (0.62, 0.08, 0.36, 0.06)
    scale = axes.inset_axes(bounds)
    assert axes.figure is not None
    bar = axes.figure.colorbar(
        ScalarMappable(norm, counts_map()), cax=scale, orientation="horizontal", ticks=_decades(norm)
    )
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)
    scale.set_title("weight per cell" if weighted else "rows per cell", fontsize=8.5, loc="left", pad=4)
    scale.set_in_layout(False)


def _decades(norm: LogNorm) -> LogLocator:
    """Ticks at powers of ten, and at thrice these where there are few."""
    assert norm.vmin is not None
    assert norm.vmax is not None
    return LogLocator(10, subs=(1, 3) if norm.vmax < 300 * norm.vmin else (1,), numticks=8)


def _list_components(axes: Axes, corner: Corner) -> Legend:
    """Make a legend of the components, largest first."""
    amplitudes = corner.model.population.amplitudes
    order = sorted(range(len(amplitudes)), key=lambda k: -amplitudes[k])
    handles = [Line2D([], [], color=corner.colors[k], linewidth=3) for k in order]
    labels = [f"{k}:  {100 * amplitudes[k]:.1f} %" for k in order]
    legend = axes.legend(
        handles,
        labels,
        title="component: amplitude",
        loc="upper left",
        bbox_to_anchor=(0.02, 1.0),
        borderaxespad=0.2,
        handlelength=1.1,
        ncols=1 if len(order) <= 5 else 2,
        alignment="left",
    )
    legend.set_in_layout(False)
    legend.get_title().set(fontsize=8.5, color=MUTED)
    return legend
