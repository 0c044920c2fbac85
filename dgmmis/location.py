"""Where a catalogue or a run lies: a folder of this machine, or a prefix in a bucket of an object store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dgmmis.errors import InvalidSetting

__all__ = ["Location", "S3Url", "is_url", "local_path", "location_of"]

BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PART = re.compile(r"[A-Za-z0-9._=+,-]+")
"""Of a prefix, between two slashes: what needs no escape in an address, a shell or a log."""

EXPECTED = "expected s3://BUCKET/PREFIX, or a path of this machine"


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


def is_url(place: object) -> bool:
    """Tell whether a text is meant as an address rather than as a path."""
    return isinstance(place, str) and ("://" in place or "::" in place)


def location_of(place: str | Path | S3Url) -> Location:
    """Read where something lies.

    Parameters
    ----------
    place : str, Path or S3Url
        "s3://BUCKET/PREFIX", or a path.

    Raises
    ------
    InvalidSetting
        For any other scheme, and for addresses with a user, a query, or parts that are no plain names.
    """
    if isinstance(place, S3Url):
        return place
    if isinstance(place, Path):
        if place.parts[:1] == ("s3:",):
            raise InvalidSetting(
                f"{place} was a Path, which drops a slash of s3://; give the address as text."
            )
        return place
    return _s3_url(place) if is_url(place) else Path(place)


def local_path(place: str | Path | S3Url, what: str) -> Path:
    """Read a path of this machine.

    Parameters
    ----------
    place : str or Path
    what : str
        What is to lie there, for the message.

    Raises
    ------
    InvalidSetting
        If it is an address.
    """
    location = location_of(place)
    if isinstance(location, S3Url):
        raise InvalidSetting(f"{what} is {location}, but is kept on this machine only: name a path.")
    return location


def _s3_url(text: str) -> S3Url:
    scheme, _, rest = text.partition("://")
    bucket, _, key = rest.strip("/").partition("/")
    parts = key.split("/") if key else []
    if scheme != "s3" or not BUCKET.fullmatch(bucket):
        raise InvalidSetting(f"{_shown(text)} cannot be read from or written to; {EXPECTED}.")
    if not parts or any(not PART.fullmatch(part) or part in (".", "..") for part in parts):
        raise InvalidSetting(
            f"{_shown(text)} has no prefix of plain names (letters, digits, . _ - = + ,) behind its bucket; "
            f"{EXPECTED}."
        )
    return S3Url(bucket, key)


def _shown(text: str) -> str:
    """Show an address in a message without what may be a password or a signature in it."""
    return repr(re.sub(r"//[^/@]*@", "//***@", text.partition("?")[0]))
