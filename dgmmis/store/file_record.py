"""What a file that is no chunk must hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dgmmis.plain_files import open_plain

__all__ = ["FileRecord"]


@dataclass(frozen=True)
class FileRecord:
    """Length and sha256 of a file."""

    length: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> FileRecord:
        """Record of a file with this content."""
        return cls(len(content), hashlib.sha256(content).hexdigest())

    @classmethod
    def of_file(cls, path: Path) -> FileRecord:
        """Record of a file as it lies on disk, read piece by piece."""
        with open_plain(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return cls(file.tell(), digest)
