"""What a bucket answers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Changed", "Stored"]


class Changed(Exception):
    """The object is no longer the one that was to be replaced."""


@dataclass(frozen=True)
class Stored:
    """An object as it was read.

    Attributes
    ----------
    content : bytes
    etag : str
        Changes with the content.
    """

    content: bytes
    etag: str
