"""A selection bound to the columns of some data: who is asked about which columns, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgmmis.errors import SelectionError
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array
from dgmmis.selection.answers import Question, ask

if TYPE_CHECKING:
    from dgmmis.selection.algebra import Part, Selection

__all__ = ["BoundSelection", "Branch", "ChangingAnswers", "ImpossibleRow", "Leaf", "Names", "Node"]


class ImpossibleRow(SelectionError):
    """An observed row that the selection would never keep."""


class ChangingAnswers(SelectionError):
    """A selection that answers differently when asked again."""


TRIAL_ROWS, LONE_ROWS = 100, 10
LEAST_CHANCE = 1e-100
"""A row that was kept against smaller odds was not: no number of unobserved rows makes up for it."""
BATCH_ROUNDING = 1e-12
"""How far answers to the same row may differ between batches: vectorised functions round differently."""


@dataclass(frozen=True)
class Names:
    """Names of the model's features and of the covariates; column D + c is covariate c."""

    features: tuple[str, ...]
    covariates: tuple[str, ...]

    def __post_init__(self) -> None:
        both = [*self.features, *self.covariates]
        twice = sorted({name for name in both if both.count(name) > 1})
        if twice:
            raise SelectionError(
                f"the names {twice} occur more than once among the features {list(self.features)} and "
                f"covariates {list(self.covariates)}; a selection could not tell them apart. Rename them.",
                column=twice[0],
            )

    @property
    def all(self) -> tuple[str, ...]:
        """Every column's name."""
        return self.features + self.covariates

    def find(self, wanted: str | int) -> int:
        """Column of a name, or of a feature's index.

        Raises
        ------
        SelectionError
            If there is none.
        """
        if isinstance(wanted, int):
            if 0 <= wanted < len(self.features):
                return wanted
        elif wanted in self.all:
            return self.all.index(wanted)
        covariates = f" and covariates {list(self.covariates)}" if self.covariates else " and no covariates"
        raise SelectionError(
            f"the selection uses column {wanted!r}, but the data have the features {list(self.features)}"
            f"{covariates}. Name one of those, or a feature's index from 0.",
            column=wanted,
        )


@dataclass(frozen=True)
class Leaf:
    """A part and the columns it is asked about, in its own order.

    Attributes
    ----------
    part : Part
    columns : tuple of int      features, then from D on covariates
    names : tuple of str
    split : int, optional       features among the columns, if the part takes (values, covariates)
    """

    part: Part
    columns: tuple[int, ...]
    names: tuple[str, ...]
    split: int | None = None

    def evaluate(self, table: Array, first_row: int = 0, repeats: int = 1) -> Array:
        """Probabilities (N,) of the rows of a table (N, D + C)."""
        columns = table[:, list(self.columns)]
        question = Question(self.part.title, self.names, columns, first_row, repeats)
        _require_finite(question)
        return ask(self._answer, question)

    def _answer(self, columns: Array) -> object:
        if self.split is None:
            return self.part.answer(columns)
        return self.part.answer(columns[:, : self.split].copy(), columns[:, self.split :].copy())


@dataclass(frozen=True)
class Branch:
    """A combination of bound parts: "and" multiplies, "or" is 1 - prod(1 - a), "not" is 1 - a."""

    kind: Literal["and", "or", "not"]
    members: tuple[Node, ...]

    @property
    def columns(self) -> tuple[int, ...]:
        """Columns that any member uses."""
        return tuple(sorted({column for member in self.members for column in member.columns}))

    def evaluate(self, table: Array, first_row: int = 0, repeats: int = 1) -> Array:
        """Probabilities (N,) of the rows of a table (N, D + C)."""
        return self.combine([member.evaluate(table, first_row, repeats) for member in self.members])

    def combine(self, answers: list[Array]) -> Array:
        """Combine the members' probabilities."""
        if self.kind == "not":
            return np.asarray(1 - answers[0])
        kept = np.ones_like(answers[0])
        for answer in answers:
            kept = kept * (answer if self.kind == "and" else 1 - answer)
        return kept if self.kind == "and" else 1 - kept


Node = Leaf | Branch


@dataclass(frozen=True)
class BoundSelection:
    """A selection whose columns are known.

    Attributes
    ----------
    selection : Selection
    names : Names
    root : Leaf or Branch
    """

    selection: Selection
    names: Names
    root: Node

    @property
    def columns(self) -> NDArray[np.intp]:
        """Features that any part uses, ascending."""
        n_features = len(self.names.features)
        return np.array(sorted({c for c in self.root.columns if c < n_features}), dtype=np.intp)

    @property
    def covariates(self) -> NDArray[np.intp]:
        """Covariates that any part uses, ascending."""
        n_features = len(self.names.features)
        return np.array(sorted({c - n_features for c in self.root.columns if c >= n_features}), dtype=np.intp)

    def evaluate(
        self, values: ArrayLike, covariates: ArrayLike | None = None, *, first_row: int = 0, repeats: int = 1
    ) -> Array:
        """Evaluate the probability that rows with these values are kept.

        Parameters
        ----------
        values : (N, D)
            All features; only the columns that are used must be finite.
        covariates : (N, C), optional
        first_row : int
            Number of the first row, for messages.
        repeats : int
            Consecutive entries that belong to the same row, for messages.

        Returns
        -------
        (N,) float64, from 0 to 1

        Raises
        ------
        SelectionError
            If a used value is not finite, or a part raises or answers with anything but N numbers from
            0 to 1.
        """
        return self.root.evaluate(self.table(values, covariates), first_row, repeats)

    def evaluate_observed(
        self,
        values: ArrayLike,
        covariates: ArrayLike | None = None,
        first_row: int = 0,
        rows: NDArray[np.intp] | None = None,
    ) -> Array:
        """Evaluate observed rows, none of which may have probability 0; `rows` (N,) are their numbers.

        Raises
        ------
        SelectionError
            As `evaluate`; and naming the first row that cannot have been observed.
        """
        table = self.table(values, covariates)
        answers = self.root.evaluate(table, first_row)
        impossible = np.flatnonzero(answers < LEAST_CHANCE)
        if len(impossible):
            entry = int(impossible[0])
            used = sorted(set(self.root.columns))
            begin = first_row if rows is None else int(rows[entry]) - entry
            question = Question("", tuple(self.names.all[c] for c in used), table[:, used], begin)
            raise ImpossibleRow(
                f"the selection says this row cannot have been observed: {question.words(entry)} has "
                f"probability {answers[entry]:g} ({len(impossible)} such rows of {len(answers)} here). "
                "Leave such rows out, or mend the selection.",
                array="values",
                row=question.row(entry),
                value=question.columns[entry].tolist(),
            )
        return answers

    def require_deterministic(self, values: ArrayLike, covariates: ArrayLike | None = None) -> None:
        """Refuse answers that change from call to call, or with the other rows of the call.

        Parameters
        ----------
        values, covariates : (N, D), (N, C)
            The first 100 rows are tried together, twice, and the first 10 alone.

        Raises
        ------
        SelectionError
            Naming the row, its values and the two answers.
        """
        table = self.table(values, covariates)[:TRIAL_ROWS]
        if not len(table):
            return
        first = self.root.evaluate(table)
        self._require_equal(first, self.root.evaluate(table), 0.0, table, "twice about the same rows")
        alone = [self.root.evaluate(table[i : i + 1], i) for i in range(min(len(table), LONE_ROWS))]
        self._require_equal(first, np.concatenate(alone), BATCH_ROUNDING, table, "among others and alone")

    def _require_equal(self, first: Array, second: Array, within: float, table: Array, how: str) -> None:
        different = np.flatnonzero(~(np.abs(first[: len(second)] - second) <= within))
        if len(different):
            entry = int(different[0])
            used = sorted(set(self.root.columns))
            question = Question("", tuple(self.names.all[c] for c in used), table[:, used])
            raise ChangingAnswers(
                f"the selection is not a fixed function: asked {how}, {question.words(entry)}, it answered "
                f"{first[entry]!r} and then {second[entry]!r}. It must depend on the row's values alone: return "
                "the probability itself instead of drawing with it, and use no statistics of the batch.",
                array="selection",
                row=entry,
                value=(float(first[entry]), float(second[entry])),
            )

    def table(self, values: ArrayLike, covariates: ArrayLike | None) -> Array:
        """Features and covariates side by side, (N, D + C); unused covariates may be left out.

        Raises
        ------
        SelectionError
            If shapes do not fit the names.
        """
        features = _matrix(values, len(self.names.features), "values", "features")
        n_covariates = len(self.names.covariates)
        if covariates is None:
            if len(self.covariates):
                used = [self.names.covariates[c] for c in self.covariates]
                raise SelectionError(
                    f"the selection uses the covariates {used}, but none were given. Pass covariates.",
                    array="covariates",
                )
            return np.concatenate([features, np.full((len(features), n_covariates), np.nan)], axis=1)
        others = _matrix(covariates, n_covariates, "covariates", "covariates")
        if len(others) != len(features):
            raise SelectionError(
                f"covariates have {len(others)} rows and values {len(features)}; expected one each.",
                array="covariates",
            )
        return np.concatenate([features, others], axis=1)


def _matrix(given: ArrayLike, n_columns: int, array: str, what: str) -> Array:
    numbers = as_numbers(given, array)
    if numbers.ndim != 2 or numbers.shape[1] != n_columns:
        raise SelectionError(
            f"{array} have shape {numbers.shape}; the selection was bound to {n_columns} {what}: "
            f"expected (N, {n_columns}).",
            array=array,
        )
    return numbers


def _require_finite(question: Question) -> None:
    bad = ~np.isfinite(question.columns)
    if bad.any():
        entry, column = (int(i) for i in np.argwhere(bad)[0])
        raise SelectionError(
            f"selection {question.title} uses column '{question.names[column]}', which is "
            f"{question.columns[entry, column]} in {question.words(entry)}. Omega is asked about complete rows "
            "only: declare features that every row has, or let the uncertain ones be integrated over.",
            array="values",
            row=question.row(entry),
            column=question.names[column],
            value=float(question.columns[entry, column]),
        )
