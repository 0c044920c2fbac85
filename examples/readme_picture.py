"""Draw the picture of the README: what was observed, and what lies behind it."""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle

import dgmmis
from dgmmis.plots.ellipses import ellipse
from dgmmis.selection import Ball, Box

TRUTH = dgmmis.Mixture(
    [0.45, 0.35, 0.20],
    [[-1.6, 0.4], [1.4, 1.2], [0.6, -1.9]],
    [[[0.50, 0.38], [0.38, 0.55]], [[0.60, -0.28], [-0.28, 0.22]], [[0.30, 0.0], [0.0, 0.05]]],
)
FRAME = Box([-3.2, -3.0], [2.2, 2.6])
HOLE = Ball([1.0, 1.0], 0.75)
FIT, TRUE = "#D55E00", "#0072B2"


def observe(n_rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw noisy rows and keep those inside the frame and outside the hole; then lose some values."""
    component = rng.choice(3, n_rows, p=TRUTH.amplitudes)
    roots = np.linalg.cholesky(TRUTH.covariances)
    rows = TRUTH.means[component] + np.einsum("nij,nj->ni", roots[component], rng.normal(size=(n_rows, 2)))
    variances = rng.uniform(0.15, 0.6, size=(n_rows, 2)) ** 2
    rows += rng.normal(size=rows.shape) * np.sqrt(variances)
    kept = np.asarray(FRAME.answer(rows), dtype=bool) & ~np.asarray(HOLE.answer(rows), dtype=bool)
    return rows[kept], variances[kept]


def draw(axes: Axes, mixture: dgmmis.Mixture, colour: str, style: str, label: str) -> None:
    """Draw each component at 1 and 2 sigma."""
    for mean, covariance in zip(mixture.means, mixture.covariances, strict=True):
        for radius in (1, 2):
            x, y = ellipse(mean, covariance, radius).T
            axes.plot(x, y, style, color=colour, lw=3.2 if style == "-" else 1.5, label=label)
            label = "_"


def main(path: Path, n_rows: int) -> None:
    """Simulate, fit with and without telling the noise and the cut, and draw."""
    values, variances = observe(n_rows, np.random.default_rng(4))
    told = dgmmis.fit(values, n_components=3, noise=variances, selection=FRAME & ~HOLE, seed=1)
    naive = dgmmis.fit(values, n_components=3, seed=1)
    figure, panels = pyplot.subplots(1, 3, figsize=(11, 4.3), sharex=True, sharey=True, layout="constrained")
    for axes in panels:
        axes.hexbin(*values.T, gridsize=48, cmap="Greys", bins="log", mincnt=1, linewidths=0.1, zorder=0)
        low, high = np.array([-3.2, -3.0]), np.array([2.2, 2.6])
        axes.add_patch(Rectangle(low, *(high - low), fill=False, color="0.35", lw=1))
        axes.add_patch(Circle((1.0, 1.0), 0.75, fill=False, color="0.35", lw=1))
        axes.set(aspect="equal", xlim=(-4.2, 3.4), ylim=(-4.2, 3.2), xticks=[], yticks=[])
    panels[0].set_title(f"Observed: {len(values):,} noisy rows,\ncut by a frame and a hole")
    panels[1].set_title("A mixture of these rows:\nthe noise and the cut are in it")
    draw(panels[1], naive.mixture, FIT, "-", "fit of the rows as they are")
    draw(panels[1], TRUTH, TRUE, "--", "truth")
    panels[2].set_title(f"dgmmis, told of both: what lies behind\n({told.completeness:.0%} of it was seen)")
    draw(panels[2], told.mixture, FIT, "-", "fit with errors and selection")
    draw(panels[2], TRUTH, TRUE, "--", "truth")
    for axes in panels[1:]:
        axes.legend(loc="lower center", fontsize=9, frameon=False, ncols=2)
    figure.savefig(path, dpi=100, bbox_inches="tight", pad_inches=0.05)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    arguments = parser.parse_args()
    main(arguments.path, arguments.rows)
