"""Names that others give, kept inside the folder that they are names in."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dgmmis.errors import UnsafePlace

__all__ = ["NAME_RULE", "confined"]

NAME_RULE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
"""Small letters, digits, and inside also dots, underscores and hyphens: the same file on every system."""


def confined(root: str | Path, name: str) -> Path:
    """Return where `name` lies in the folder `root`, and nowhere else.

    Parameters
    ----------
    root : path
        Need not exist.
    name : str
        Of a run, say.

    Returns
    -------
    pathlib.Path
        `root / name`; it need not exist, and is no symbolic link.

    Raises
    ------
    UnsafePlace
        If the name is not 1 to 64 characters of a-z, 0-9, ".", "_" and "-", the first a letter or digit, or a
        symbolic link lies there.
    """
    if not isinstance(name, str) or not NAME_RULE.fullmatch(name):
        raise UnsafePlace(
            f"{name!r:.100} is no name of a run: 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or "
            "digit. Choose another."
        )
    place = Path(root) / name
    if place.is_symlink():
        raise UnsafePlace(
            f"{place} is a symbolic link to {os.readlink(place)}. Runs lie in their root itself: remove the link, or "
            "name the folder where it is."
        )
    return place
