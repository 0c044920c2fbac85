"""What verbs print: one JSON object, or text for a person."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

__all__ = ["finite", "print_json", "print_pairs", "print_table"]


def print_json(content: Mapping[str, Any]) -> None:
    """Print one JSON object on one line; numbers that JSON lacks become null."""
    typer.echo(json.dumps(finite(content), default=str))


def finite(value: Any) -> Any:
    """Return what JSON can hold, null where it has no number."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value


def print_pairs(pairs: Mapping[str, Any]) -> None:
    """Print names and values, aligned."""
    width = max(len(name) for name in pairs)
    for name, value in pairs.items():
        typer.echo(f"{name:<{width}}  {_shown(value)}")


def _shown(value: object) -> str:
    return "-" if value is None else str(value)


def print_table(columns: list[str], rows: list[list[Any]]) -> None:
    """Print a table: the first column to the left, the others to the right; never cut."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True, overflow="ignore")
    for row in rows:
        table.add_row(*[_shown(cell) for cell in row])
    needed = Console(width=10_000).measure(table).maximum
    Console(highlight=False, width=max(needed, 40)).print(table)
