"""The random sample of a run's catalogue, binned for a picture."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from dgmmis.errors import DgmmisError
from dgmmis.monitor.record import Components, RunRecord
from dgmmis.packed import Array
from dgmmis.store import open_catalog

__all__ = ["PilotSample", "ellipse", "read_pilot_sample", "span_of"]

MOST_ROWS = 100_000
ROWS_OF_MEDIAN = 5_000
QUANTILES = (0.005, 0.995)
OUTER_QUANTILES = (0.0005, 0.9995)
NOTABLE = 0.01
"""Amplitude from which on a component is kept in sight."""
PADDING = 0.06


@dataclass(frozen=True, eq=False)
class PilotSample:
    """Rows drawn at random, as they were observed: with their noise.

    Attributes
    ----------
    values : (n, D)
        NaN means not observed; n may be 0.
    errors : (D,)
        Typical standard deviation of the noise: medians; 0 without noise.
    problem : str
        Why there are no rows; empty if there are.
    """

    values: Array
    errors: Array
    problem: str = ""

    def counts(
        self, x: int, y: int, x_span: tuple[float, float], y_span: tuple[float, float], bins: int
    ) -> Array:
        """Rows (bins, bins) that have both features, by y and x."""
        pair = self.values[:, [x, y]]
        pair = pair[np.isfinite(pair).all(axis=1)]
        found, _, _ = np.histogram2d(pair[:, 1], pair[:, 0], bins=bins, range=(y_span, x_span))
        return np.asarray(found)


def read_pilot_sample(record: RunRecord, fingerprint: str) -> PilotSample:
    """Read the sample of a run's catalogue; one that cannot be read gives no rows and the reason."""
    nothing = np.empty((0, len(record.features)))
    none = np.zeros(len(record.features))
    try:
        catalog = open_catalog(record.catalog)
        if fingerprint not in catalog.fingerprints:
            return PilotSample(
                nothing, none, f"{record.catalog} holds other rows by now than the run began on"
            )
        rows = catalog.as_of(fingerprint).read_pilot(MOST_ROWS)
    except (DgmmisError, OSError) as error:
        return PilotSample(nothing, none, str(error))
    if rows.noise.kind == "none":
        return PilotSample(rows.values, none)
    some = rows.take(slice(0, ROWS_OF_MEDIAN))
    variances = np.diagonal(some.noise.covariances(len(some), some.n_features), axis1=1, axis2=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a feature that no row has
        errors = np.sqrt(np.nanmedian(np.where(np.isfinite(some.values), variances, np.nan), axis=0))
    return PilotSample(rows.values, np.nan_to_num(errors))


def span_of(feature: int, sample: PilotSample, components: Components | None) -> tuple[float, float]:
    """Choose the range of a feature: the bulk of the rows and the notable components, no lone outlier."""
    lows, highs = [], []
    present = sample.values[:, feature]
    present = present[np.isfinite(present)]
    low, high = -np.inf, np.inf
    if len(present):
        inner, (low, high) = np.quantile(present, QUANTILES), np.quantile(present, OUTER_QUANTILES)
        lows.append(inner[0])
        highs.append(inner[1])
    if components is not None:
        notable = components.amplitudes >= min(NOTABLE, components.amplitudes.max())
        center = components.means[notable, feature]
        reach = 2 * np.sqrt(components.covariances[notable, feature, feature])
        lows.append(max(low, (center - reach).min()))
        highs.append(min(high, (center + reach).max()))
    first, last = (float(min(lows)), float(max(highs))) if lows else (0.0, 1.0)
    if not last > first:
        half = 0.5 * (abs(first) or 1.0)
        first, last = first - half, last + half
    margin = PADDING * (last - first)
    return first - margin, last + margin


def ellipse(mean: Array, covariance: Array, radius: float, n_points: int = 73) -> Array:
    """Points (n_points, 2) at Mahalanobis distance `radius` from a mean; a line if singular."""
    values, vectors = np.linalg.eigh(covariance)
    angle = np.linspace(0, 2 * np.pi, n_points)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    return np.asarray(mean + radius * ((vectors * np.sqrt(np.maximum(values, 0))) @ circle).T)
