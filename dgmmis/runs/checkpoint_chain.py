"""The chain of a run: its start, and one checkpoint per pass, each naming the digest of the one before."""

from __future__ import annotations

from pathlib import Path

from dgmmis.errors import CorruptCheckpoint
from dgmmis.iterate import Pass
from dgmmis.runs.attempt_records import FINAL, AttemptRecords
from dgmmis.runs.checkpoint import Checkpoint, decode, digest_of, encode, is_whole
from dgmmis.runs.description import START
from dgmmis.runs.start_object import decode_start, encode_start
from dgmmis.starts import Start

__all__ = ["CheckpointChain"]


class CheckpointChain(AttemptRecords):
    """The checkpoints of a run, and the end that it came to."""

    def read_start(self) -> Start | None:
        """Return where the fit starts, or None before that is known."""
        if not self.place.exists(START):
            return None
        return decode_start(self.place.read(START), f"{self.path}/{START}", self._root, self.backgrounds)

    def write_start(self, start: Start) -> None:
        """Store where the fit starts."""
        self.place.put_if_absent(START, encode_start(start, self._root))

    def checkpoint_numbers(self) -> list[int]:
        """Numbers of the stored passes, ascending."""
        names = (name.removesuffix(".ckpt") for name in self.place.names("ckpt") if name.endswith(".ckpt"))
        return sorted(int(name) for name in names if name.isdecimal())

    def latest(self, at_most: int | None = None) -> Checkpoint | None:
        """Return the last whole checkpoint that belongs to this chain; one that fails its hash is passed over.

        Parameters
        ----------
        at_most : int, optional
            Look no further than this pass.

        Raises
        ------
        CorruptCheckpoint
            If a whole checkpoint does not follow from the one before it.
        """
        for number in reversed(self.checkpoint_numbers()):
            if at_most is not None and number > at_most:
                continue
            try:
                checkpoint = self.read_checkpoint(number)
            except CorruptCheckpoint:
                continue
            self._require_parent(checkpoint, number)
            return checkpoint
        return None

    def set_aside_damaged(self) -> list[int]:
        """Rename checkpoints, and an end, that fail their own hash, so that they can be made again.

        Returns
        -------
        list of int
            The checkpoints' numbers.
        """
        damaged = []
        for number in self.checkpoint_numbers():
            try:
                self.read_checkpoint(number)
            except CorruptCheckpoint:
                self._set_aside(_checkpoint(number))
                damaged.append(number)
        try:
            self.final()
        except CorruptCheckpoint:
            self._set_aside(FINAL)
        return damaged

    def _set_aside(self, name: str) -> None:
        self.place.set_aside(name, f"{name.rpartition('.')[0]}.damaged-{self.n_attempts()}")

    def read_checkpoint(self, number: int) -> Checkpoint:
        """Read one checkpoint; raises `CorruptCheckpoint` if it is not what was written."""
        name = _checkpoint(number)
        checkpoint = decode(self.place.read(name), f"{self.path}/{name}", self.backgrounds)
        if checkpoint.scan.number != number:
            raise CorruptCheckpoint(
                f"{self.path}/{name} holds pass {checkpoint.scan.number}: files were mixed up."
            )
        return checkpoint

    def write_checkpoint(self, scan: Pass, parent: str) -> str:
        """Store a pass and return its digest."""
        content = encode(scan, parent)
        self.place.put_if_absent(_checkpoint(scan.number), content)
        return digest_of(content)

    def digest_of_start(self) -> str:
        """Digest of the start: the parent of checkpoint 0."""
        return digest_of(self.place.read(START))

    def _require_parent(self, checkpoint: Checkpoint, number: int) -> None:
        try:
            before = self.place.read(START if number == 0 else _checkpoint(number - 1))
        except (FileNotFoundError, CorruptCheckpoint):
            return  # this one is whole; what came before cannot say otherwise
        if not is_whole(before):
            return
        expected = digest_of(before)
        if checkpoint.parent != expected:
            raise CorruptCheckpoint(
                f"checkpoint {number} of {self.path} follows {checkpoint.parent[:12]}, but the one before it is "
                f"{expected[:12]}: files of another run were mixed in. Restore the folder from a copy."
            )

    def reaches_its_end(self, latest: Checkpoint | None) -> bool:
        """Tell whether the checkpoint that the run ended on, if it has, is still there."""
        updates = (self.final() or {}).get("updates", -1)
        return (-1 if latest is None else latest.scan.number) >= int(updates)

    def stored_digest(self, number: int) -> str:
        """Digest of a stored checkpoint, whatever it holds."""
        return digest_of(self.place.read(_checkpoint(number)))

    def checkpoint_path(self, number: int) -> Path:
        """Where a checkpoint lies on a disk."""
        return self.folder / _checkpoint(number)


def _checkpoint(number: int) -> str:
    return f"ckpt/{number:06d}.ckpt"
