"""How much a report looks into."""

from __future__ import annotations

from dataclasses import dataclass

from dgmmis.checking.model_check import MOST_ROWS
from dgmmis.errors import InvalidSetting

__all__ = ["Wanted"]


@dataclass(frozen=True)
class Wanted:
    """Settings of a report.

    Attributes
    ----------
    check_rows : int
        Rows of the random sample that the model is checked against, at most; 0 leaves the check out.
    seed : int
        Of the simulated catalogues.
    errors : str
        "auto": estimate standard errors if that is cheap; "none"; or a file that `Uncertainty.save` wrote.

    Raises
    ------
    InvalidSetting
        If a number is negative.
    """

    check_rows: int = MOST_ROWS
    seed: int = 0
    errors: str = "auto"

    def __post_init__(self) -> None:
        for name in ("check_rows", "seed"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise InvalidSetting(f"{name} is {value!r}; expected an integer, 0 or more.")
