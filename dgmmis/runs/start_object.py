"""The start of a run as bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from dgmmis.background import BackgroundLike
from dgmmis.errors import CorruptCheckpoint, InvalidData, InvalidSetting
from dgmmis.plain_arrays import read_arrays
from dgmmis.plain_files import as_json
from dgmmis.population import Population
from dgmmis.runs.checkpoint import DIGEST_BYTES, is_whole
from dgmmis.runs.parameters import arrays_of, npz_of, population_of
from dgmmis.starts import Start, Trial

__all__ = ["decode_start", "encode_start", "names_root"]


def encode_start(start: Start, parent: str) -> bytes:
    """Content of the start object of the run whose run.json has digest `parent`."""
    record = {
        "pilot_rows": start.pilot_rows,
        "mean_log_likelihoods": start.mean_log_likelihoods,
        "chosen": start.chosen,
        "pilot_passes": start.pilot_passes,
        "trials": [asdict(trial) for trial in start.trials],
        "carried": start.carried,
        "parent": parent,
    }
    payload = npz_of({"record": np.array(json.dumps(record)), **arrays_of(start.population)})
    return payload + hashlib.sha256(payload).digest()


def decode_start(content: bytes, name: str, parent: str, backgrounds: Sequence[BackgroundLike] = ()) -> Start:
    """Read a start object; raises `CorruptCheckpoint` if it is damaged or belongs to another run."""
    if not is_whole(content):
        raise CorruptCheckpoint(f"{name} does not match its own hash. Restore the folder from a copy.")
    try:
        stored = read_arrays(content[:-DIGEST_BYTES])
        record = as_json(str(stored["record"]))
        if record["parent"] != parent:
            raise CorruptCheckpoint(f"{name} belongs to another run than the run.json beside it.")
        return _start(population_of(stored, backgrounds), record)
    except (KeyError, TypeError, ValueError, InvalidData, InvalidSetting) as error:
        raise CorruptCheckpoint(f"{name} is whole but no start of this format: {error}.") from error


def _start(population: Population, record: Mapping[str, Any]) -> Start:
    return Start(
        population,
        record["pilot_rows"],
        tuple(record["mean_log_likelihoods"]),
        record["chosen"],
        record["pilot_passes"],
        tuple(
            _trial(said) for said in record.get("trials", ())
        ),  # starts written before these were kept lack them
        tuple(record.get("carried", ())),
    )


def names_root(content: bytes, root: str) -> bool:
    """Tell whether a start belongs to the run.json with digest `root`; a damaged one cannot say otherwise."""
    if not is_whole(content):
        return True
    try:
        stored = read_arrays(content[:-DIGEST_BYTES])
        return bool(as_json(str(stored["record"]))["parent"] == root)
    except (LookupError, TypeError, ValueError):
        return True


def _trial(said: Mapping[str, Any]) -> Trial:
    return Trial(tuple(said["path"]), said["fate"], said["reason"], tuple(said["moved_at"]), said["optimum"])
