"""Who meets whom on what, and the running of it: pairs of processes, one after the other on one core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from agreement import about_old_means, largest_difference, require_agreement
from contenders import Outcome
from scenes import Array, Scene

__all__ = ["DUELS", "Duel", "Measurement", "run_contender", "run_duel", "run_script"]

HERE = Path(__file__).parent
EXACT = 1e-10
SINGLE = 1e-4
"""For a peer in single precision: its rounding, 6e-8, grows as the root of the rows in a sum, to 3e-5 in 300,000."""

SLOWED_BY = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_VERBOSE")
"""Settings of a machine that make OpenBLAS choose another kernel than the best for its processor."""

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Duel:
    """One peer on one scene.

    Attributes
    ----------
    scene, peer : str
    rows : int
        Fewer than the scene's full size where the peer would take minutes; its cost grows with the rows.
    first, last : int
        A contender's cost per update is what fits of so many updates differ by, per update.
    ours : int
        The same as `last` for dgmmis, whose updates are shorter; reached after at least `last`.
    agree_after : int
        Updates after which both must have the same numbers; 0 for an approximation, which need not.
    tolerance : float
        Of `agreement.largest_difference`.
    old_means : bool
        The peer's covariances are about the means before the update.
    contender : str
        Which of our ways meets the peer.
    bar : float or None
        The ratio of the peer's cost to ours that is promised.
    same_start : bool
        Whether the peer takes the scene's start; if not, numbers are not compared.
    """

    scene: str
    peer: str
    rows: int
    first: int
    last: int
    ours: int
    agree_after: int
    tolerance: float = EXACT
    old_means: bool = False
    contender: str = "dgmmis"
    bar: float | None = None
    same_start: bool = True


DUELS = (
    Duel("W1", "scikit-learn", 1_000_000, 1, 4, 16, agree_after=4, bar=35),
    Duel("W1", "gmmx, float32", 1_000_000, 1, 7, 31, agree_after=4, tolerance=SINGLE, bar=15),
    Duel("W1", "pygmmis", 300_000, 1, 3, 41, agree_after=1, old_means=True),
    Duel("W1", "Spark MLlib, RDD", 100_000, 2, 8, 41, agree_after=8),
    Duel("W1", "Spark MLlib, DataFrame", 100_000, 2, 10, 41, agree_after=0, same_start=False),
    Duel("W2", "scikit-learn", 50_000, 1, 4, 31, agree_after=4),
    Duel("W2", "pygmmis", 20_000, 1, 3, 31, agree_after=1, old_means=True),
    Duel("W2", "pygmmis, cutoff 5", 200_000, 5, 25, 45, agree_after=0, bar=15),
    Duel("W3", "pygmmis", 20_000, 1, 3, 31, agree_after=1, old_means=True, bar=300),
    Duel("W4", "pygmmis", 300_000, 1, 3, 31, agree_after=1, old_means=True, bar=350),
    # A missing value enters pyGMMis as one with a variance of 2e10, whose inversion costs it digits.
    Duel("W5", "pygmmis", 20_000, 1, 3, 31, agree_after=1, tolerance=1e-8, old_means=True, bar=200),
    # pyGMMis draws its unobserved rows at random: both come near the same numbers, and no nearer.
    Duel("W6", "pygmmis", 100_000, 2, 5, 12, agree_after=0, bar=80),
    Duel("W6", "pygmmis", 100_000, 2, 5, 12, agree_after=0, contender="dgmmis, oversampling 10"),
    Duel("W7", "pygmmis", 100_000, 2, 5, 12, agree_after=0),
)


@dataclass(frozen=True)
class Measurement:
    """What one process measured.

    Attributes
    ----------
    seconds : float
        CPU seconds per update.
    peak_mebibytes : float
        Largest resident memory of one process, libraries and rows included.
    outcomes : dict
        By number of updates.
    """

    seconds: float
    peak_mebibytes: float
    outcomes: dict[int, Outcome]


def run_duel(duel: Duel, scene: Scene, path: Path, core: int, pairs: int) -> dict[str, object]:
    """Run `pairs` alternated pairs of processes and check that both reached the same numbers.

    Raises
    ------
    Disagreement
        If they did not.
    """
    ours, theirs = [], []
    our_updates = sorted({duel.first, duel.agree_after or duel.last, duel.ours})
    their_updates = sorted({duel.first, duel.agree_after or duel.last, duel.last})
    for _ in range(pairs):
        ours.append(run_contender(duel.contender, path, core, our_updates))
        theirs.append(run_contender(duel.peer, path, core, their_updates))
    return {
        "duel": vars(duel),
        "shape": [*scene.values.shape, len(scene.amplitudes)],
        "ours": [one.seconds for one in ours],
        "theirs": [one.seconds for one in theirs],
        "our_peak": float(np.median([one.peak_mebibytes for one in ours])),
        "their_peak": float(np.median([one.peak_mebibytes for one in theirs])),
        "difference": _difference(duel, scene.means, ours[-1].outcomes, theirs[-1].outcomes),
    }


def _difference(
    duel: Duel, start: Array, ours: dict[int, Outcome], theirs: dict[int, Outcome]
) -> float | None:
    if not duel.same_start:
        return None
    count = duel.agree_after or duel.last
    own = about_old_means(ours[count], start) if duel.old_means else ours[count]
    if not duel.agree_after:
        return largest_difference(own, theirs[count])
    what = f"{duel.scene}, dgmmis and {duel.peer} after {count} updates"
    return require_agreement(own, theirs[count], duel.tolerance, what)


def run_contender(name: str, scene: Path, core: int, updates: list[int]) -> Measurement:
    """Measure a contender in a process of its own."""
    out = scene.with_suffix(".out.npz")
    run_script("measure.py", name, str(scene), str(out), str(core), *map(str, updates))
    with np.load(out) as record:
        seconds = record["seconds"]
        outcomes = {
            count: Outcome(
                float(record[name]) if (name := f"mean_log_likelihood_{count}") in record else None,
                record[f"amplitudes_{count}"],
                record[f"means_{count}"],
                record[f"covariances_{count}"],
            )
            for count in updates
        }
        peak = float(record["peak_mebibytes"])
    return Measurement(float(seconds[-1] - seconds[0]) / (updates[-1] - updates[0]), peak, outcomes)


def run_script(script: str, *arguments: str) -> dict[str, object]:
    """Run a script of this folder, one thread, OpenBLAS choosing freely; return what it printed as JSON."""
    environment = {key: value for key, value in os.environ.items() if key not in SLOWED_BY}
    environment |= dict.fromkeys(ONE_THREAD, "1")
    done = subprocess.run(
        [sys.executable, str(HERE / script), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    printed: dict[str, object] = json.loads(done.stdout or "{}")
    return printed
