"""What the figures of a check share: the features drawn, their ranges, and the marked cells."""

from __future__ import annotations

from dataclasses import dataclass

from dgmmis.checking import Cells, ModelCheck, WorstCell, worst_cells
from dgmmis.plots.corner_content import corner_features
from dgmmis.plots.panel_grid import PanelGrid

__all__ = ["CheckContent"]


@dataclass(frozen=True)
class CheckContent:
    """The features of a check that are drawn: at most six, those of the corner plot.

    Attributes
    ----------
    check : ModelCheck
    columns : tuple of int
    """

    check: ModelCheck
    columns: tuple[int, ...]

    @classmethod
    def of(cls, check: ModelCheck) -> CheckContent:
        """Choose the features."""
        paired = {column for cells in check.pairs for column in cells.columns}
        chosen = corner_features(check.model, check.rows)
        if len(chosen) > 1 and not paired.issuperset(chosen):
            chosen = sorted(paired)[: len(chosen)]
        return cls(check, tuple(chosen))

    def single(self, place: int) -> Cells:
        """Return the cells of the feature in that place."""
        return self.check.singles[self.columns[place]]

    def pair(self, x: int, y: int) -> Cells:
        """Return the cells of the features in these places, x < y."""
        return self.check.pair(self.columns[x], self.columns[y])

    def panels(self, *, full: bool = False) -> PanelGrid:
        """Give names, units and ranges of the drawn features."""
        model = self.check.model
        sides = [self.single(place).edges[0] for place in range(len(self.columns))]
        return PanelGrid(
            [model.features[j] for j in self.columns],
            [model.units[j] for j in self.columns],
            [(float(side[0]), float(side[-1])) for side in sides],
            full,
        )

    def marked(self) -> list[tuple[int, WorstCell]]:
        """Return the worst cells that lie in a drawn panel, with their numbers from 1."""
        worst = worst_cells(self.check.projections)
        return [
            (number, cell)
            for number, cell in enumerate(worst, start=1)
            if set(cell.columns) <= set(self.columns)
        ]
