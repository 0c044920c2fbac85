"""The chance that a row from a uniform background was kept, in closed form, where its features are independent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from dgmmis.packed import Array
from dgmmis.selected_rows import Cut
from dgmmis.selection.interval import interval_moments
from dgmmis.selection.regions import Limit, Sight, partition

__all__ = ["independent_share"]

FAR = 1e12
"""Dispersions beyond which a limit is none."""


def independent_share(
    cut: Cut,
    table: Array,
    columns: NDArray[np.intp],
    values: Array,
    variances: Array,
    box: tuple[Array, Array],
    shifts: Array | None = None,
) -> Array | None:
    """E[Omega | x] (n,) of rows uniform in a box, the noise of the uncertain columns being independent.

    Parameters
    ----------
    cut : Cut
    table : (n, D)
        Values, NaN at the uncertain columns.
    columns : (z,)
        That are uncertain, ascending.
    values : (n, z)
        What was observed of them, NaN where they are lacking.
    variances : (n, z)
        Noise of what was observed; of what is lacking, the noise with which the selection saw it.
    box : (low (z,), high (z,))
    shifts : (n, z), optional
        Known part of the noise of what is lacking.

    Returns
    -------
    (n,) or None
        None if the selection does not cut along the features.
    """
    padded = np.nan_to_num(cut.selection.table(table, None))
    pieces = partition(cut.selection.root, Sight(padded, tuple(columns.tolist())))
    if pieces is None or not all(_is_axis(limit) for _, region in pieces for limit in region):
        return None
    share = np.zeros(len(table))
    for weight, region in pieces:
        chance = np.ones(len(table))
        for limit in region:
            j = int(np.argmax(np.abs(limit.direction)))
            side = box[0][j], box[1][j]
            shift = np.zeros(1) if shifts is None else shifts[:, j]
            chance = chance * _between(limit, values[:, j], shift, np.sqrt(variances[:, j]), side)
        share += weight * chance
    return share


def _is_axis(limit: Limit) -> bool:
    return sum(number != 0 for number in limit.direction) == 1


def _between(limit: Limit, values: Array, shift: Array, spread: Array, side: tuple[float, float]) -> Array:
    """Chance (n,) that one column lies between its limits."""
    sign = float(np.sign(sum(limit.direction)))
    ends = np.broadcast_arrays(sign * limit.low - shift, sign * limit.high - shift, values)[:2]
    low, high = np.minimum(*ends), np.maximum(*ends)
    if np.isnan(values).all():
        return np.asarray(_below(high, spread, side) - _below(low, spread, side))
    return _observed(low, high, values, spread, side)


def _below(limit: Array, spread: Array, side: tuple[float, float]) -> Array:
    """Pr(u + e <= limit) for u uniform between the sides and e normal."""
    start, stop = side
    sharp = np.clip((limit - start) / (stop - start), 0.0, 1.0)
    safe = np.where(spread > 0, spread, 1.0)
    near, far = (np.clip((limit - end) / safe, -FAR, FAR) for end in side)
    smooth = safe * (_ramp(near) - _ramp(far)) / (stop - start)
    return np.where((spread > 0) & np.isfinite(limit), np.clip(smooth, 0.0, 1.0), sharp)


def _ramp(x: Array) -> Array:
    """Integral of the normal distribution function up to x."""
    return np.asarray(x * ndtr(x) + np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi))


def _observed(low: Array, high: Array, values: Array, spread: Array, side: tuple[float, float]) -> Array:
    """Pr(low <= t <= high) for t uniform between the sides and observed as `values` with noise."""
    safe = np.where(spread > 0, spread, 1.0)
    start, stop = (side[0] - values) / safe, (side[1] - values) / safe
    within = np.maximum((low - values) / safe, start), np.minimum((high - values) / safe, stop)
    logs = interval_moments(*within)[0] - interval_moments(start, stop)[0]
    exact = (low <= values) & (values <= high)
    return np.asarray(np.where(spread > 0, np.exp(logs), exact))
