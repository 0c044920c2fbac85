"""Expressions over columns, in the language of numexpr: arithmetic and comparison, nothing else."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidSetting
from dgmmis.optional_libraries import load_library

__all__ = ["Expression", "parse_expression"]

ALLOWED = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.Compare,
    ast.Call,
    ast.Name,
    ast.Constant,
    ast.Load,
    ast.operator,
    ast.unaryop,
    ast.cmpop,
)
"""Syntax that may appear.  numexpr itself would let attributes through."""


@dataclass(frozen=True)
class Expression:
    """An expression and the columns it uses.

    Attributes
    ----------
    text : str
    columns : tuple of str
        In the order in which they appear.
    setting, example : str
        Where the expression was given and what one should look like, for errors.
    """

    text: str
    columns: tuple[str, ...]
    setting: str
    example: str

    def evaluate(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Compute the expression from columns (n,); single precision is widened first.

        Raises
        ------
        InvalidSetting
            If numexpr refuses the expression.
        """
        numexpr = load_library("numexpr", f"{self.setting} expressions", "readers")
        arrays = {name: _widened(columns[name]) for name in self.columns}
        refusal = numexpr.validate(self.text, local_dict=arrays, global_dict={}, truediv=True)
        if refusal is not None:
            raise self.refused(str(refusal))
        return np.asarray(numexpr.evaluate(self.text, local_dict=arrays, global_dict={}, truediv=True))

    def keeps(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """Tell which rows meet the expression as a condition.

        Raises
        ------
        InvalidSetting
            If it is no condition.
        """
        kept = self.evaluate(columns)
        if kept.dtype.kind != "b":
            raise self.refused("it is a number, not a condition")
        return kept

    def refused(self, reason: str) -> InvalidSetting:
        """Return the error that says why the expression cannot be used."""
        return InvalidSetting(
            f"{self.setting} '{self.text}' cannot be used: {reason}. Example: {self.example}."
        )


def parse_expression(text: str, setting: str, example: str) -> Expression:
    """Parse an expression and find its columns.

    Parameters
    ----------
    text : str
    setting, example : str
        Where it was given and what one should look like, for errors.

    Raises
    ------
    InvalidSetting
        If it is not an expression of arithmetic and comparison, or uses no column.
    """
    blank = Expression(text, (), setting, example)
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError) as error:
        raise blank.refused(str(error)) from error
    for node in ast.walk(tree):
        if not isinstance(node, ALLOWED):
            raise blank.refused(_complaint(node))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and not _has_names(node):
            raise blank.refused("it raises a number to a power; write the result")
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in functions]
    columns = tuple(dict.fromkeys(node.id for node in sorted(names, key=lambda n: (n.lineno, n.col_offset))))
    if not columns:
        raise blank.refused("it uses no column")
    return Expression(text.strip(), columns, setting, example)


def _has_names(node: ast.AST) -> bool:
    """Tell whether columns take part: powers of bare numbers are computed at once and may never end."""
    return any(isinstance(part, ast.Name) for part in ast.walk(node))


def _complaint(node: ast.AST) -> str:
    if isinstance(node, ast.BoolOp):
        return "write & and | instead of 'and' and 'or', with each comparison in parentheses"
    return f"{type(node).__name__} is not arithmetic or comparison of columns"


def _widened(column: NDArray[Any]) -> NDArray[Any]:
    return column.astype(np.float64) if column.dtype == np.float32 else column
