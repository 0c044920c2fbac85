"""Run pyGMMis on the scene of its own figure, and keep what it found: `notebooks/pygmmis_scene.npz`.

Notebook 03 shows these numbers where pyGMMis is not installed.  For each seed the rows are drawn and fitted as
pyGMMis' own test script does: 400 rows of three components, noise of 0.5, a box with a hole; w = 0.1, cutoff = 5,
oversampling = 10.

    sh benchmarks/run.sh seed_scene.py [--seeds 21] [--output FILE]
"""

from __future__ import annotations

import argparse
import platform
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pygmmis
from numpy.random import RandomState
from numpy.typing import NDArray

Array = NDArray[np.float64]

FIGURE_SEED = 8365
"""Of the figure; the others count from 1."""
METHODS = ("plain", "noise", "selection", "both")
N_ROWS, DISPERSION = 400, 0.5
AMPLITUDES = np.array([0.36060026, 0.27986906, 0.206774])
MEANS = 10 * np.array([[0.08016886, 0.21300697], [0.70306351, 0.6709532], [0.0108767, 0.852077]])
COVARIANCES = 100 * np.array(
    [
        [[0.08530014, -0.00314178], [-0.00314178, 0.00541106]],
        [[0.03053402, 0.0125736], [0.0125736, 0.01075791]],
        [[0.00258605, 0.00409287], [0.00409287, 0.01065186]],
    ]
)
SETTINGS = {"w": 0.1, "cutoff": 5}


def keep(rows: Array) -> NDArray[np.bool_]:
    """Tell which rows the survey keeps: those in the box and outside of the hole."""
    x, y = rows.T
    return (x > 0) & (x < 10) & (y > 0) & (y < 10) & ((x - 6.5) ** 2 + (y - 6) ** 2 > 4)


def rows_of(seed: int) -> tuple[Array, Array]:
    """Draw the rows as they are, and those that were kept as they were measured."""
    rng = RandomState(seed)
    truth = pygmmis.GMM(3, 2)
    truth.amp[:], truth.mean[:], truth.covar[:] = AMPLITUDES / AMPLITUDES.sum(), MEANS, COVARIANCES
    exact = truth.draw(N_ROWS, rng=rng)
    measured = exact + rng.normal(0, scale=DISPERSION, size=exact.shape)
    return exact, measured[keep(measured)]


def fits_of(rows: Array, seed: int) -> list[pygmmis.GMM]:
    """Fit in the four ways; those that know the selection start where a fit that knows nothing ended."""
    noise = DISPERSION**2 * np.eye(2)
    selecting = {"sel_callback": keep, "oversampling": 10, "init_method": "none"}
    anywhere = partial(pygmmis.covar_callback_default, default=noise)
    told = (
        {},
        {"covar": noise},
        selecting,
        {"covar": noise, "covar_callback": anywhere, **selecting},
    )
    fits = []
    for known in told:
        rng, mixture = RandomState(seed), pygmmis.GMM(3, 2)
        if "sel_callback" in known:
            pygmmis.fit(mixture, rows, rng=rng, **SETTINGS)
        pygmmis.fit(mixture, rows, rng=rng, **SETTINGS, **known)
        fits.append(mixture)
    return fits


def main() -> None:
    """Write rows and fits of all seeds."""
    default = Path(__file__).parents[1] / "notebooks" / "pygmmis_scene.npz"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=21)
    parser.add_argument("--output", type=Path, default=default)
    arguments = parser.parse_args()
    seeds = [FIGURE_SEED, *range(1, arguments.seeds)]
    names = ("pygmmis", "numpy", "scipy")
    versions = [f"{name} {version(name)}" for name in names] + [f"python {platform.python_version()}"]
    stored: dict[str, object] = {"seeds": seeds, "methods": METHODS, "versions": versions}
    fits = []
    for seed in seeds:
        exact, rows = rows_of(seed)
        stored[f"exact_{seed}"], stored[f"rows_{seed}"] = exact.astype(np.float32), rows
        fits.append(fits_of(rows, seed))
        scores = [float(fit(exact, as_log=True).mean()) for fit in fits[-1]]
        print(f"seed {seed}: {len(rows)} rows,", *(f"{score:.3f}" for score in scores), flush=True)
    for name in ("amp", "mean", "covar"):
        stored[name] = np.array([[getattr(fit, name) for fit in of_seed] for of_seed in fits])
    np.savez_compressed(arguments.output, **stored)


if __name__ == "__main__":
    main()
