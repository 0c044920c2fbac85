"""Panels of features against features: their ticks and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dgmmis.plots.library import Axes, Figure
from dgmmis.plots.scales import Span, format_axis, label_axis

__all__ = ["PanelGrid", "panel_figure"]


def panel_figure(size: tuple[float, float]) -> Figure:
    """Make a figure [inches] whose panels stand close together."""
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.015, hspace=0.015)  # type: ignore[union-attr,call-arg]
    return figure


@dataclass(frozen=True)
class PanelGrid:
    """A square of panels, feature `column` to the right and feature `row` upwards.

    Attributes
    ----------
    names, units : sequence of str
    spans : sequence of (low, high)
    full : bool
        There are panels above the diagonal too.
    """

    names: Sequence[str]
    units: Sequence[str]
    spans: Sequence[Span]
    full: bool = False

    def finish(self, axes: Axes, row: int, column: int) -> None:
        """Put ticks everywhere, their labels and the names only at the outer edges."""
        n_features = len(self.spans)
        n_ticks = max(4, 8 - n_features)
        longest = 34 if n_features < 4 else 66 // n_features + 6
        exponent = format_axis(axes.xaxis, self.spans[column], n_ticks)
        bottom, left = row == n_features - 1, column == 0 and row > 0
        right = self.full and column == n_features - 1 and row < column
        if bottom:
            label_axis(axes.xaxis, self.names[column], self.units[column], exponent, longest=longest)
            self._slant(axes)
        if row != column:
            exponent = format_axis(axes.yaxis, self.spans[row], n_ticks)
            if right:
                axes.yaxis.set_label_position("right")
            if left or right:
                label_axis(axes.yaxis, self.names[row], self.units[row], exponent, longest=longest)
        axes.tick_params(labelbottom=bottom, labelleft=left, labelright=right)

    def _slant(self, axes: Axes) -> None:
        """Turn the labels of the x ticks where they are too long to stand side by side."""
        letters = sum(len(label.get_text()) + 2 for label in axes.get_xticklabels())
        if letters > 150 / max(len(self.spans), 2):
            axes.tick_params(axis="x", labelrotation=90)
