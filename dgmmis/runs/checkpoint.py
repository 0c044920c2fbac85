"""One pass as bytes: an npz without pickle, followed by the sha256 of all before it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dgmmis.background import BackgroundLike
from dgmmis.errors import CorruptCheckpoint, InvalidData, InvalidSetting
from dgmmis.imputed_passes import Completion
from dgmmis.iterate import Pass, Round, Stride
from dgmmis.observation import Reference
from dgmmis.packed import Array
from dgmmis.plain_arrays import read_arrays
from dgmmis.proposal import Memory
from dgmmis.runs.parameters import arrays_of, npz_of, population_of
from dgmmis.score_statistics import Statistics
from dgmmis.secants import Secants

__all__ = ["Checkpoint", "decode", "digest_of", "encode", "is_whole", "place_of"]

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
    payload = npz_of({**_arrays_of_pass(scan), **_round_arrays(scan.round), "parent": np.array(parent)})
    return payload + hashlib.sha256(payload).digest()


def _arrays_of_pass(scan: Pass) -> dict[str, Any]:
    statistics = scan.statistics
    return {
        **arrays_of(scan.population),
        **_completion_arrays(scan.completion),
        "zeroth": statistics.zeroth,
        "first": statistics.first,
        "second": statistics.second,
        "background_weight": statistics.background,
        "rows": np.int64(statistics.rows),
        "weight": np.float64(statistics.weight),
        "pairs": np.int64(statistics.pairs),
        "left_out": np.float64(statistics.left_out),
        "log_likelihoods": np.array(scan.log_likelihoods),
        "objectives": np.array(scan.objectives),
        "predicted_gain": np.float64(scan.predicted_gain),
        "events": np.array(scan.events, dtype="U"),
        **_stride_arrays(scan.stride),
    }


def _stride_arrays(stride: Stride | None) -> dict[str, Any]:
    if stride is None:
        return {}
    arrays: dict[str, Any] = {
        "stride": np.array([stride.length, stride.rejected, stride.plain], dtype=np.float64)
    }
    memory = stride.memory
    if memory is not None:
        arrays |= {
            **arrays_of(memory.origin, MEMORY),
            f"{MEMORY}counts": memory.counts,
            f"{MEMORY}at": memory.at,
            f"{MEMORY}steps": memory.secants.steps,
            f"{MEMORY}changes": memory.secants.changes,
        }
    return arrays


def _stride_of(stored: Mapping[str, Any], backgrounds: Sequence[BackgroundLike]) -> Stride | None:
    if "stride" not in stored:
        return None
    length, rejected, plain = stored["stride"].tolist()
    memory = None
    if f"{MEMORY}at" in stored and not stored.get(f"{MEMORY}plain", False):
        counts, at, steps, changes = (stored[MEMORY + name] for name in ("counts", "at", "steps", "changes"))
        origin = population_of(stored, backgrounds, MEMORY)
        memory = Memory(origin, counts, at, Secants(steps, changes))
    return Stride(length, int(rejected), int(plain), memory)


MEMORY = "memory_"
"""Before the names of what a fit remembers of its steps."""

ROUND = "round_"
"""Before the names of what belongs to a round of split and merge: its numbers, and the arrays of its incumbent."""


def _round_arrays(held: Round | None) -> dict[str, Any]:
    if held is None:
        return {}
    incumbent = {} if held.incumbent is None else _arrays_of_pass(held.incumbent)
    numbers = np.array([held.number, held.began, held.lost], dtype=np.int64)
    return {
        f"{ROUND}numbers": numbers,
        **{ROUND + name: array for name, array in incumbent.items()},
    }


def _round_of(stored: Mapping[str, Any], backgrounds: Sequence[BackgroundLike]) -> Round | None:
    if f"{ROUND}numbers" not in stored:
        return None
    number, began, lost = (int(number) for number in stored[f"{ROUND}numbers"])
    of_incumbent = {name.removeprefix(ROUND): stored[name] for name in stored if name.startswith(ROUND)}
    incumbent = _pass_of(of_incumbent, backgrounds) if "log_likelihoods" in of_incumbent else None
    return Round(number, began, incumbent, bool(lost))


def decode(content: bytes, name: str, backgrounds: Sequence[BackgroundLike] = ()) -> Checkpoint:
    """Read a checkpoint's content; the backgrounds are those of the run.

    Raises
    ------
    CorruptCheckpoint
        If it does not match its own hash; nothing of it is used then.
    """
    if not is_whole(content):
        raise CorruptCheckpoint(f"{name} does not match its own hash: it was cut off or altered.")
    try:
        stored = read_arrays(content[:-DIGEST_BYTES])
        scan = replace(_pass_of(stored, backgrounds), round=_round_of(stored, backgrounds))
        return Checkpoint(scan, str(stored["parent"]), digest_of(content))
    except (LookupError, TypeError, ValueError, InvalidData, InvalidSetting) as error:
        raise CorruptCheckpoint(f"{name} is whole but no checkpoint of this format: {error}.") from error


def place_of(content: bytes, name: str) -> tuple[int, str]:
    """Return the number of a checkpoint's pass and the digest before it; raises as `decode` does."""
    if not is_whole(content):
        raise CorruptCheckpoint(f"{name} does not match its own hash: it was cut off or altered.")
    try:
        stored = read_arrays(content[:-DIGEST_BYTES])
        return len(stored["log_likelihoods"]) - 1, str(stored["parent"])
    except (LookupError, TypeError, ValueError) as error:
        raise CorruptCheckpoint(f"{name} is whole but no checkpoint of this format: {error}.") from error


def _pass_of(stored: Mapping[str, Any], backgrounds: Sequence[BackgroundLike]) -> Pass:
    log_likelihoods = tuple(float(value) for value in stored["log_likelihoods"])
    statistics = Statistics(
        int(stored["rows"]),
        float(stored["weight"]),
        log_likelihoods[-1],
        stored["zeroth"],
        stored["first"],
        stored["second"],
        stored["background_weight"],
        pairs=int(stored["pairs"]) if "pairs" in stored else 0,
        left_out=float(stored["left_out"]) if "left_out" in stored else 0.0,
    )
    return Pass(
        population_of(stored, backgrounds),
        statistics,
        log_likelihoods,
        tuple(float(value) for value in stored["objectives"]),
        float(stored["predicted_gain"]),
        "",
        tuple(str(event) for event in stored["events"]),
        _completion_of(stored, backgrounds),
        stride=_stride_of(stored, backgrounds),
    )


NUMBERS = (
    "since",
    "completeness",
    "completeness_error",
    "log_likelihood_error",
    "n_points",
    "score_error",
    "binning_error",
    "refinement",
)
"""Of a completion, in the order in which they are stored."""

WHOLE = ("since", "n_points", "refinement")


def _completion_arrays(completion: Completion | None) -> dict[str, Array]:
    if completion is None:
        return {}
    reference = completion.reference
    return {
        **arrays_of(reference.population, "reference_"),
        "reference": np.array([reference.block, reference.refresh], dtype=np.float64),
        "completion": np.array([getattr(completion, name) for name in NUMBERS], dtype=np.float64),
        "drawn": np.array(completion.drawn, dtype=np.float64),
    }


def _completion_of(stored: Mapping[str, Any], backgrounds: Sequence[BackgroundLike]) -> Completion | None:
    if "completion" not in stored:
        return None
    block, refresh = (int(number) for number in stored["reference"])
    reference = Reference(population_of(stored, backgrounds, "reference_"), block, refresh)
    numbers = {
        name: int(value) if name in WHOLE else float(value)
        for name, value in zip(NUMBERS, stored["completion"], strict=True)
    }
    numbers["drawn"] = int(stored["drawn"]) if "drawn" in stored else refresh
    return Completion(reference, **numbers)  # type: ignore[arg-type]  # whole numbers are int, others float
