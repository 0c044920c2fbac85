"""Prefixes in buckets of object stores that speak the protocol of S3.  Only this package imports obstore."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dgmmis.location import S3Url
from dgmmis.object_store.answers import Changed, Stored

if TYPE_CHECKING:
    from dgmmis.object_store.bucket import Bucket

__all__ = ["Changed", "Stored", "bucket_at"]


def bucket_at(url: S3Url) -> Bucket:
    """Give what reads and writes the objects under an address.

    Raises
    ------
    MissingLibrary
        If obstore, which is optional, is not installed.
    """
    from dgmmis.object_store.bucket import Bucket

    return Bucket(url)
