"""A folder of this machine as the place of a run: files that are linked to their names, and the system's file lock."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from dgmmis.disk_faults import naming_faults
from dgmmis.plain_files import append_plain, require_own_folders
from dgmmis.runs.lock import hold, is_held, read_holder
from dgmmis.runs.objects import make_folders, put_if_absent, read_object
from dgmmis.whole_files import write_whole

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
        return read_object(self.location / name, most)

    def exists(self, name: str) -> bool:
        """Tell whether a file is there."""
        path = self.location / name
        with naming_faults(path):
            return path.exists()

    def names(self, folder: str) -> list[str]:
        """Names in a folder, those of unfinished files left out."""
        path = self.location / folder
        with naming_faults(path):
            there = path.iterdir() if path.is_dir() else ()
            return sorted(entry.name for entry in there if entry.name[0] != ".")

    def folders(self) -> list[str]:
        """Names of the folders here."""
        with naming_faults(self.location):
            there = self.location.iterdir() if self.location.is_dir() else ()
            return sorted(entry.name for entry in there if entry.is_dir())

    def make(self, folders: Sequence[str]) -> None:
        """Make folders so that a crash after this loses none of them."""
        for folder in folders:
            make_folders(self.location / folder)

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
        write_whole(self.location / name, content)

    def set_aside(self, name: str, aside: str) -> None:
        """Rename a file."""
        path = self.location / name
        with naming_faults(path):
            path.rename(self.location / aside)

    def append_line(self, name: str, line: str) -> None:
        """Append to a file."""
        path, content = self.location / name, line + "\n"
        with naming_faults(path, len(content)), append_plain(path) as file:
            file.write(content)

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
