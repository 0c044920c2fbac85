"""Bring the tables of the documentation up to date with the results files: `python fill_page.py`.

A line `<!-- FILE, HEADING: COLUMN, COLUMN -->` in a page stands above a copy of these columns of the table under
that heading of a file of this folder, and `<!-- end -->` below it.  A column that the file lacks is left out, and
without the file the page says that there is none.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["PAGES", "filled", "main"]

HERE = Path(__file__).parent
PAGES = tuple(HERE.parent / "docs" / name for name in ("performance.md", "convergence.md"))
BLOCK = re.compile(r"(<!-- (\S+), ([^:]*): (.*?) -->\n).*?(<!-- end -->)", re.S)


def filled(page: str, folder: Path) -> str:
    """Return the page with every marked table as the results in `folder` have it."""

    def block(match: re.Match[str]) -> str:
        opening, file, heading, columns, end = match.groups()
        table = _table(folder / file, heading, columns.split(", "))
        return opening + table + end

    return BLOCK.sub(block, page)


def _table(path: Path, heading: str, wanted: list[str]) -> str:
    if not path.exists():
        return f"There is no `benchmarks/{path.name}` of this version.\n"
    _, _, section = path.read_text().partition(f"## {heading}\n")
    lines = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    places = [rows[0].index(name) for name in wanted if name in rows[0]]
    return "".join(f"| {' | '.join(row[i] for i in places)} |\n" for row in _of_one_table(rows))


def _of_one_table(rows: list[list[str]]) -> list[list[str]]:
    """Stop at the head of a second table, which the next line of dashes follows."""
    dashes = [i for i, row in enumerate(rows) if set(row) == {"---"}]
    return rows if len(dashes) < 2 else rows[: dashes[1] - 1]


def main() -> None:
    """Rewrite the pages."""
    for page in PAGES:
        page.write_text(filled(page.read_text(), HERE))
        print(f"filled {page.name}")


if __name__ == "__main__":
    main()
