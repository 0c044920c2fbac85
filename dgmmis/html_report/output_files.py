"""The files of a report: all are made before any is written, and each is whole or not there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dgmmis.errors import AlreadyExists
from dgmmis.places import local_path
from dgmmis.whole_files import write_whole

__all__ = ["OutputFiles"]


@dataclass(frozen=True)
class OutputFiles:
    """Where a report goes.

    Attributes
    ----------
    page : Path
    pdf, figures : Path or None
        The latter is a folder.
    overwrite : bool
    contents : dict
        What was added so far.
    """

    page: Path
    pdf: Path | None
    figures: Path | None
    overwrite: bool
    contents: dict[Path, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, page: Path, pdf: Path | None, figures: Path | None, *, overwrite: bool) -> OutputFiles:
        """Settle the places.

        Raises
        ------
        AlreadyExists
            If one is taken: before anything is computed.
        """
        files = cls(
            local_path(page),
            None if pdf is None else local_path(pdf),
            None if figures is None else local_path(figures),
            overwrite,
        )
        for path in (files.page, files.pdf):
            if path is not None:
                files._require_free(path)
        if files.figures is not None and files.figures.exists() and not files.figures.is_dir():
            raise AlreadyExists(f"{files.figures} is a file. Name the folder for the figures.")
        return files

    def add(self, path: Path, content: bytes) -> None:
        """Keep what is to be written to `path`.

        Raises
        ------
        AlreadyExists
            If it is taken.
        """
        self._require_free(path)
        self.contents[path] = content

    def write(self) -> None:
        """Write all files, the page last.

        Raises
        ------
        DiskFull, StorageFailed
            If the disk does not take one; an older file stays.
        """
        for path in sorted(self.contents, key=lambda one: one == self.page):
            self._require_free(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, self.contents[path])

    def _require_free(self, path: Path) -> None:
        if path.is_dir():
            raise AlreadyExists(f"{path} is a folder. Name the file to write: {path / 'report.html'}.")
        if path.exists() and not self.overwrite:
            raise AlreadyExists(f"{path} exists. Name another file, or allow it with --overwrite.")
