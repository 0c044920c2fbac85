"""Where a catalogue or a run lies: a folder of this machine, or a prefix in a bucket of an object store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dgmmis.errors import UnsafePlace
from dgmmis.places import place_of

__all__ = ["Location", "S3Url", "location_of"]

PART = re.compile(r"[A-Za-z0-9._=+,-]+", re.ASCII)
"""Of a prefix, between two slashes: what needs no escape in an address, a shell or a log."""


@dataclass(frozen=True, order=True)
class S3Url:
    """A prefix in a bucket.

    Attributes
    ----------
    bucket : str
    key : str
        The prefix, without a slash at its ends.
    """

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> S3Url:
        return S3Url(self.bucket, f"{self.key}/{name.strip('/')}".strip("/"))

    @property
    def name(self) -> str:
        """Last part of the prefix."""
        return self.key.rpartition("/")[2] or self.bucket

    def resolve(self) -> S3Url:
        """Return itself: it is absolute."""
        return self


Location = Path | S3Url


def location_of(place: str | Path | S3Url) -> Location:
    """Read where something lies.

    Parameters
    ----------
    place : str, Path or S3Url
        "s3://BUCKET/PREFIX", "file:///PATH", or a path.

    Raises
    ------
    UnsafePlace
        As `place_of` does, and for a prefix with parts that are no plain names.
    """
    if isinstance(place, S3Url):
        return place
    found = place_of(place)
    if found.scheme == "file":
        return Path(found.path)
    if not all(PART.fullmatch(part) for part in found.path.split("/")):
        raise UnsafePlace(
            f"{found} has a prefix of more than plain names (letters, digits, . _ - = + ,) behind its bucket. "
            "Choose another."
        )
    return S3Url(found.bucket, found.path)
