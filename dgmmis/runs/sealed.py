"""Records in JSON that carry the sha256 of themselves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from dgmmis.errors import CorruptCheckpoint
from dgmmis.plain_files import as_json

__all__ = ["SEAL", "seal", "unseal"]

SEAL = "sha256"
"""The last key of a record; its value is the hash of the record without it, written in the same way."""


def seal(record: Mapping[str, Any]) -> bytes:
    """Content of the file of a record.

    Every byte of it counts: `unseal` refuses any other content that says the same.
    """
    return _written({**record, SEAL: hashlib.sha256(_written(record)).hexdigest()})


def unseal(content: bytes, path: str, *, required: bool, way_out: str) -> dict[str, Any]:
    """Read what `seal` gave.

    Parameters
    ----------
    content : bytes
    path : str
        Where it lay, for errors.
    required : bool
        Whether a record without a seal is refused; runs of version 0.1.0 have none.
    way_out : str
        What to do if it was altered.

    Raises
    ------
    CorruptCheckpoint
        If it is not what was written.
    """
    try:
        record = as_json(content)
    except ValueError as error:
        raise CorruptCheckpoint(f"{path} was cut off or altered: {error}. {way_out}") from error
    if not isinstance(record, dict):
        raise CorruptCheckpoint(f"{path} is no record of a run: it holds no JSON object. {way_out}")
    if required and SEAL not in record:
        raise CorruptCheckpoint(f"{path} was altered: it has lost its hash. {way_out}")
    if SEAL not in record:
        return record
    del record[SEAL]
    if seal(record) != content:
        raise CorruptCheckpoint(f"{path} does not match its own hash: it was altered. {way_out}")
    return record


def _written(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, indent=1).encode()
