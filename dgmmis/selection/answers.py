"""What a selection answered, checked: every refusal names the row, its values, the answer and the way out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dgmmis.errors import MissingLibrary, SelectionError
from dgmmis.packed import Array

__all__ = ["Question", "ask", "refusal"]

WAY_OUT = "A selection gets (N, {width}) values and must return N finite probabilities from 0 to 1"


@dataclass(frozen=True)
class Question:
    """Rows that one part of a selection is asked about.

    Attributes
    ----------
    title : str                 what the part is called in messages
    names : tuple of str        (F,) names of the columns
    columns : (N, F)
    first_row : int             number of the first row, for messages
    repeats : int               consecutive entries that belong to one row
    """

    title: str
    names: tuple[str, ...]
    columns: Array
    first_row: int = 0
    repeats: int = 1

    def row(self, entry: int) -> int:
        """Count the row that an entry belongs to."""
        return self.first_row + entry // self.repeats

    def words(self, entry: int) -> str:
        """Name a row and its values."""
        pairs = zip(self.names, self.columns[entry], strict=True)
        return f"row {self.row(entry)} ({', '.join(f'{name} = {value:g}' for name, value in pairs)})"


def ask(function: Callable[[Array], object], question: Question) -> Array:
    """Call a part of a selection and return its checked answers (N,).

    Raises
    ------
    SelectionError
        If it raises, or answers with anything but N finite probabilities.
    """
    if not len(question.columns):
        return np.empty(0)
    try:
        answer = function(question.columns.copy())
    except MissingLibrary:
        raise
    except Exception as error:
        raise _raised(function, question, error) from error
    return _checked(answer, question)


def refusal(question: Question, entry: int, what: str, value: object) -> SelectionError:
    """Word an error about one row."""
    return SelectionError(
        f"selection {question.title} {what} at {question.words(entry)}. "
        f"{WAY_OUT.format(width=question.columns.shape[1])}.",
        array="selection",
        row=question.row(entry),
        column=question.names[0] if len(question.names) == 1 else None,
        value=value,
    )


def _raised(function: Callable[[Array], object], question: Question, error: Exception) -> SelectionError:
    """Find the row on which a call raises by halving the rows."""
    start, stop = 0, len(question.columns)
    while stop - start > 1:
        middle = (start + stop) // 2
        first = _failure(function, question.columns[start:middle])
        second = None if first else _failure(function, question.columns[middle:stop])
        if first is None and second is None:
            return SelectionError(
                f"selection {question.title} raised {_named(error)} on the {stop - start} entries from "
                f"{question.words(start)} on together, though not on either half of them. "
                f"{WAY_OUT.format(width=question.columns.shape[1])}, each from its own row alone.",
                array="selection",
                row=question.row(start),
            )
        start, stop = (start, middle) if first else (middle, stop)
        error = first or second or error
    return refusal(question, start, f"raised {_named(error)}", question.columns[start].tolist())


def _failure(function: Callable[[Array], object], columns: Array) -> Exception | None:
    try:
        function(columns.copy())
    except Exception as error:
        return error
    return None


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _checked(answer: object, question: Question) -> Array:
    n_rows = len(question.columns)
    if answer is None:
        raise refusal(question, 0, "returned None", None)
    array = _as_array(answer, question)
    if array.shape != (n_rows,):
        raise refusal(
            question,
            0,
            f"returned shape {array.shape} for {n_rows} rows, not ({n_rows},), beginning",
            array.shape,
        )
    if array.dtype.kind not in "biuf":
        what = f"returned type {array.dtype} ({array[0]!r}), not numbers,"
        raise refusal(question, 0, what, array[0])
    with np.errstate(over="ignore"):  # beyond float64 is above 1
        numbers = np.asarray(np.ma.filled(array.astype(np.float64), np.nan))
    bad = ~((numbers >= 0) & (numbers <= 1))
    if bad.any():
        entry = int(np.flatnonzero(bad)[0])
        raise refusal(question, entry, _out_of_range(float(numbers[entry])), float(numbers[entry]))
    return numbers


def _as_array(answer: object, question: Question) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    if isinstance(answer, np.ma.MaskedArray):
        return answer
    try:
        return np.asarray(answer)
    except (TypeError, ValueError) as error:
        raise refusal(question, 0, f"returned a {type(answer).__name__} that is no array", None) from error


def _out_of_range(value: float) -> str:
    clipped = "nothing is clipped: if it is rounding, use"
    if np.isnan(value):
        return "answered NaN"
    if value > 1 and value - 1 < 1e-6:
        return f"answered 1 + {value - 1:.3g}, above 1 ({clipped} np.minimum(answer, 1)),"
    if -1e-6 < value < 0:
        return f"answered {value!r}, below 0 ({clipped} np.maximum(answer, 0)),"
    return f"answered {value!r}, which is {'above 1' if value > 1 else 'below 0'},"
