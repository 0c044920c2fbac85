"""A folder of this machine as the place of a run: files that are linked to their names, and the system's file lock."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from dgmmis.plain_files import append_plain, read_plain, require_own_folders, write_plain
from dgmmis.runs.lock import hold, is_held, read_holder
from dgmmis.runs.objects import put_if_absent

__all__ = ["LocalPlace"]

LOCK = "lock"


class LocalPlace:
    """A folder; see `Place`.

    Parameters
    ----------
    location : Path
    """

    def __init__(self, location: Path) -> None:
        self.location = location

    def read(self, name: str, most: int | None = None) -> bytes:
        """Content of a regular file."""
        return read_plain(self.location / name, most)

    def exists(self, name: str) -> bool:
        """Tell whether a file is there."""
        return (self.location / name).exists()

    def names(self, folder: str) -> list[str]:
        """Names in a folder, those of unfinished files left out."""
        path = self.location / folder
        return sorted(entry.name for entry in path.iterdir() if entry.name[0] != ".") if path.is_dir() else []

    def folders(self) -> list[str]:
        """Names of the folders here."""
        if not self.location.is_dir():
            return []
        return sorted(entry.name for entry in self.location.iterdir() if entry.is_dir())

    def make(self, folders: Sequence[str]) -> None:
        """Make folders."""
        for folder in folders:
            (self.location / folder).mkdir(parents=True, exist_ok=True)

    def is_blank(self, first: str, folders: Collection[str]) -> bool:
        """Tell whether nothing is here but empty folders of these names, a lock, or an unfinished `first`."""
        path = self.location
        if not path.exists():
            return True
        return path.is_dir() and all(_is_ours(entry, first, folders) for entry in path.iterdir())

    def put_if_absent(self, name: str, content: bytes) -> None:
        """Write a file whole, or not at all, never over another."""
        put_if_absent(self.location / name, content)

    def replace(self, name: str, content: bytes) -> None:
        """Write a file and rename it over an earlier one."""
        path = self.location / name
        writing = path.with_name(f".{path.name}.writing")
        with write_plain(writing) as file:
            file.write(content)
        writing.replace(path)

    def set_aside(self, name: str, aside: str) -> None:
        """Rename a file."""
        (self.location / name).rename(self.location / aside)

    def append_line(self, name: str, line: str) -> None:
        """Append to a file."""
        with append_plain(self.location / name) as file:
            file.write(line + "\n")

    def lines(self, name: str, most: int | None = None) -> list[str]:
        """Read the lines of a file."""
        return self.read(name, most).decode("utf-8", "replace").splitlines() if self.exists(name) else []

    def hold(self, folders: Collection[str]) -> AbstractContextManager[None]:
        """Hold the lock file, which the kernel frees when this process dies; the folders must be no links."""
        require_own_folders(self.location, folders)
        return hold(self.location / LOCK)

    def is_held(self) -> bool:
        """Tell whether a living process holds the lock file."""
        return is_held(self.location / LOCK)

    def holder(self) -> str:
        """Who wrote into the lock file last."""
        return read_holder(self.location / LOCK)


def _is_ours(entry: Path, first: str, folders: Collection[str]) -> bool:
    if entry.is_dir():
        return entry.name in folders and not any(entry.iterdir())
    return entry.name in (first, LOCK) or entry.name.startswith(f".{first}.")
