"""Spark's MLlib on one local core: its older interface takes a start, its newer and faster one chooses its own."""

from __future__ import annotations

import atexit
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from pyspark.ml.clustering import GaussianMixture as FrameMixture
from pyspark.ml.linalg import Vectors as FrameVectors
from pyspark.mllib.clustering import GaussianMixture
from pyspark.mllib.linalg import DenseMatrix, DenseVector, Vectors
from pyspark.mllib.stat.distribution import MultivariateGaussian
from pyspark.sql import SparkSession
from scenes import Scene

from contenders.outcome import Outcome

__all__ = ["fit_frame", "fit_rdd"]

MEMORY = "6g"
SLICES = 4
UNIT = 2.0**14
"""Values are handed over in units so many times larger, and the mixture is brought back.

MLlib adds 2e-16 to the density of each component at each row.  In the scenes' units that moves rows far from all
components; in these, densities are 2^14 to the power of D larger, and it moves nothing.
"""


@dataclass(frozen=True)
class Start:
    """What MLlib reads of an initial model; its own class can only be made by a fit.

    Attributes
    ----------
    weights : tuple of K float
    gaussians : sequence of K MultivariateGaussian
    """

    weights: tuple[float, ...]
    gaussians: Sequence[MultivariateGaussian]

    @property
    def k(self) -> int:
        """Number of components."""
        return len(self.weights)


def fit_rdd(scene: Scene, updates: int) -> Outcome:
    """Make `updates` updates from the scene's start; the log-likelihood it does not tell."""
    rows = _session().sparkContext.parallelize([Vectors.dense(row) for row in scene.values / UNIT], SLICES)
    model = GaussianMixture.train(
        rows,
        len(scene.amplitudes),
        convergenceTol=0.0,
        maxIterations=updates,
        seed=0,
        initialModel=_start(scene),
    )
    gaussians = model.gaussians
    return Outcome(
        None,
        np.array(model.weights),
        np.array([gaussian.mu.toArray() for gaussian in gaussians]) * UNIT,
        np.array([gaussian.sigma.toArray() for gaussian in gaussians]) * UNIT**2,
    )


def fit_frame(scene: Scene, updates: int) -> Outcome:
    """Make `updates` updates from a start of its own choice: the newer interface takes none."""
    rows = [(FrameVectors.dense(row),) for row in scene.values / UNIT]
    frame = _session().createDataFrame(rows, ["features"])
    model = FrameMixture(k=len(scene.amplitudes), tol=0, maxIter=updates, seed=0).fit(frame)
    gaussians = model.gaussians
    return Outcome(
        model.summary.logLikelihood / len(rows) - scene.values.shape[1] * math.log(UNIT),
        np.array(model.weights),
        np.array([gaussian.mean.toArray() for gaussian in gaussians]) * UNIT,
        np.array([gaussian.cov.toArray() for gaussian in gaussians]) * UNIT**2,
    )


@cache
def _session() -> SparkSession:
    """Start Spark once per process, within this machine, with as many threads as the core carries."""
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.driver.memory", MEMORY)
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )
    atexit.register(session.stop)
    return session


def _start(scene: Scene) -> Start:
    n_features = scene.means.shape[1]
    gaussians = [
        MultivariateGaussian(
            DenseVector(mean / UNIT), DenseMatrix(n_features, n_features, covariance.ravel() / UNIT**2)
        )
        for mean, covariance in zip(scene.means, scene.covariances, strict=True)
    ]
    return Start(tuple(scene.amplitudes.tolist()), gaussians)
