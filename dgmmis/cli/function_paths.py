"""Where functions of users are found: the folder somebody works in, once they named one, and never before.

A folder may be somebody else's. A verb that merely looks does not import from it, whatever lies there.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dgmmis.runs import RunFolder

__all__ = ["find_functions_here", "opened_run", "trusted_functions"]


def find_functions_here() -> None:
    """Let modules in the current folder be imported; installed ones go first."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def trusted_functions(names: list[str] | None) -> tuple[str, ...]:
    """Return the functions that were named by --trust, to be found from here."""
    if names:
        find_functions_here()
    return tuple(names or ())


def opened_run(run: str, names: list[str] | None) -> RunFolder:
    """Open a run whose functions may be needed: from here, if they are trusted."""
    from dgmmis.runs import open_run

    opened = open_run(run, trust=trusted_functions(names))
    if opened.names_functions and opened.trust.everything:
        find_functions_here()
    return opened
