"""Which functions that a stored file names may be imported.

Runs and models name functions of users: selections, densities.  A function is code, and whoever sends a file must not
be able to have it run.  So a name in a file is imported only if the caller names it too, or if the file was written
from this account: then its digest lies in the account's own folder, `$XDG_STATE_HOME/dgmmis/written`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dgmmis.errors import UntrustedFunction

__all__ = ["NOBODY", "Trust", "remember"]


@dataclass(frozen=True)
class Trust:
    """Which functions may be imported because a file names them.

    Attributes
    ----------
    names : frozenset of str
        "module:function", as the caller named them.
    everything : bool
        Whether the file was written from this account.
    """

    names: frozenset[str] = frozenset()
    everything: bool = False

    @classmethod
    def in_file(cls, content: bytes, names: Iterable[str] = ()) -> Trust:
        """Trust what a file with this content names: all if it was written from this account, else only `names`."""
        return cls(frozenset(names), _record(content).exists())

    def allows(self, name: str) -> bool:
        """Tell whether the function of that name may be imported."""
        return self.everything or name in self.names

    def require(self, name: object, what: str) -> str:
        """Return the name if it may be imported.

        Raises
        ------
        UntrustedFunction
        """
        if not isinstance(name, str) or not self.allows(name):
            raise UntrustedFunction(str(name)[:200], what)
        return name


NOBODY = Trust()


def remember(content: bytes) -> None:
    """Note that a file with this content was written from this account.

    Where the account has no folder that can be written to, nothing is noted, and the functions are to be named.
    """
    record = _record(content)
    with suppress(OSError):
        record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        record.touch()


def _record(content: bytes) -> Path:
    state = os.environ.get("XDG_STATE_HOME", "")
    home = Path(state) if os.path.isabs(state) else Path(os.path.expanduser("~")) / ".local" / "state"
    return home / "dgmmis" / "written" / hashlib.sha256(content).hexdigest()
