"""One pass as bytes: an npz without pickle, followed by the sha256 of all before it."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np

from dgmmis.convergence import predicted_gain
from dgmmis.errors import CorruptCheckpoint, InvalidData
from dgmmis.iterate import Pass
from dgmmis.mixture import Mixture
from dgmmis.score_statistics import Statistics

__all__ = ["Checkpoint", "decode", "digest_of", "encode", "is_whole"]

DIGEST_BYTES = 32


@dataclass(frozen=True)
class Checkpoint:
    """A pass and its place in the chain.

    Attributes
    ----------
    scan : Pass
    parent : str
        Digest of the checkpoint before, or of the start.
    digest : str
        Its own, hexadecimal.
    """

    scan: Pass
    parent: str
    digest: str


def digest_of(content: bytes) -> str:
    """Hash of an object's content, hexadecimal sha256."""
    return hashlib.sha256(content).hexdigest()


def is_whole(content: bytes) -> bool:
    """Tell whether an object matches the hash at its end."""
    payload, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    return len(payload) > 0 and hashlib.sha256(payload).digest() == digest


def encode(scan: Pass, parent: str) -> bytes:
    """Content of the checkpoint of `scan`, whose predecessor has digest `parent`."""
    buffer = io.BytesIO()
    statistics = scan.statistics
    np.savez(
        buffer,
        amplitudes=scan.mixture.amplitudes,
        means=scan.mixture.means,
        covariances=scan.mixture.covariances,
        zeroth=statistics.zeroth,
        first=statistics.first,
        second=statistics.second,
        rows=np.int64(statistics.rows),
        weight=np.float64(statistics.weight),
        log_likelihoods=np.array(scan.log_likelihoods),
        events=np.array(scan.events, dtype="U"),
        parent=np.array(parent),
    )
    payload = buffer.getvalue()
    return payload + hashlib.sha256(payload).digest()


def decode(content: bytes, name: str) -> Checkpoint:
    """Read a checkpoint's content.

    Raises
    ------
    CorruptCheckpoint
        If it does not match its own hash; nothing of it is used then.
    """
    if not is_whole(content):
        raise CorruptCheckpoint(f"{name} does not match its own hash: it was cut off or altered.")
    try:
        with np.load(io.BytesIO(content[:-DIGEST_BYTES]), allow_pickle=False) as stored:
            return Checkpoint(_pass_of(stored), str(stored["parent"]), digest_of(content))
    except (KeyError, ValueError, InvalidData) as error:
        raise CorruptCheckpoint(f"{name} is whole but no checkpoint of this format: {error}.") from error


def _pass_of(stored: np.lib.npyio.NpzFile) -> Pass:
    log_likelihoods = tuple(float(value) for value in stored["log_likelihoods"])
    statistics = Statistics(
        int(stored["rows"]),
        float(stored["weight"]),
        log_likelihoods[-1],
        stored["zeroth"],
        stored["first"],
        stored["second"],
    )
    mixture = Mixture(stored["amplitudes"], stored["means"], stored["covariances"])
    events = tuple(str(event) for event in stored["events"])
    gain = predicted_gain(log_likelihoods, statistics.scale)
    return Pass(mixture, statistics, log_likelihoods, gain, "", events)
