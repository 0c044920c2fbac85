"""Which objects of a run in a bucket count, when a driver that lost the lock may still be writing.

Each holder of the lock has an epoch.  What it puts carries the epoch in its key (ckpt/000012.ckpt.e000003), so two
holders never write the same key.  Before it puts anything, it puts epochs/000004, the list of all that counted so far.
From then on exactly those objects count, and those of epoch 4: whatever an earlier holder puts later is in no list.
Objects without an epoch (run.json) are put by whoever comes first and count always.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dgmmis.errors import CorruptCheckpoint

__all__ = ["EPOCHS", "GONE", "Epoch", "key_in", "parts_of"]

EPOCHS = "epochs"
GONE = "gone"
"""Folder of marks: gone/e000004/NAME says that an object of an earlier epoch was set aside in that epoch."""
FENCED = re.compile(r"(.+)\.e(\d{6})")


def key_in(epoch: int, name: str) -> str:
    """Key of an object that a holder puts."""
    return f"{name}.e{epoch:06d}"


def parts_of(key: str) -> tuple[str, int]:
    """Name and epoch in a key; epoch 0 if it carries none."""
    found = FENCED.fullmatch(key)
    return (found[1], int(found[2])) if found else (key, 0)


@dataclass(frozen=True)
class Epoch:
    """What counts.

    Attributes
    ----------
    number : int
        0 before the lock was ever held.
    inherited : dict of str to int
        Names of the objects of earlier epochs, and the epoch of each.
    gone : frozenset of str
        Those of them that were set aside since.
    """

    number: int = 0
    inherited: Mapping[str, int] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()

    @classmethod
    def of(cls, number: int, content: bytes, gone: Iterable[str], where: str) -> Epoch:
        """Read an epoch's list; raises `CorruptCheckpoint` if it is none."""
        try:
            said = json.loads(content)
            inherited = {str(name): int(epoch) for name, epoch in said["inherited"].items()}
            if said["epoch"] != number:
                raise ValueError(f"it is of epoch {said['epoch']}")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CorruptCheckpoint(
                f"{where} is no list of a run's objects ({error!r}): it was altered. Restore it from a copy."
            ) from error
        return cls(number, inherited, frozenset(gone))

    def to_bytes(self, holder: str) -> bytes:
        """Content of the list."""
        said = {"epoch": self.number, "holder": holder, "inherited": dict(self.inherited)}
        return json.dumps(said, indent=1, sort_keys=True).encode()

    def key(self, name: str) -> str | None:
        """Key of an object of an earlier epoch that counts, or None."""
        return key_in(self.inherited[name], name) if self._counts(name) else None

    def counted(self, keys: Iterable[str]) -> dict[str, int]:
        """Names that count, with their epochs, of those with these keys; objects without an epoch are left out."""
        there = set(keys)
        counted = {
            name: epoch
            for name, epoch in self.inherited.items()
            if self._counts(name) and key_in(epoch, name) in there
        }
        own = (name for name, epoch in map(parts_of, there) if epoch == self.number > 0)
        return counted | dict.fromkeys(own, self.number)

    def next(self, number: int, keys: Iterable[str]) -> Epoch:
        """Begin another epoch, which inherits what counts of these keys."""
        return Epoch(
            number, self.counted(key for key in keys if not key.startswith((f"{EPOCHS}/", f"{GONE}/")))
        )

    def _counts(self, name: str) -> bool:
        return name in self.inherited and name not in self.gone
