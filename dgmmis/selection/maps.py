"""Completeness given as tables: over a grid of columns, or over sky pixels and magnitude."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import RegularGridInterpolator

from dgmmis.errors import InvalidData, MissingLibrary, SelectionError
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array
from dgmmis.selection.algebra import Features, Part, checked_features
from dgmmis.selection.description import Description, array_key, described

__all__ = ["CompletenessMap", "HealpixMap"]

ORDERS = ("ring", "nested")


class _Map(Part):
    """A part made of arrays; equal to another if its numbers are."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Map) and self.digest() == other.digest()

    def __hash__(self) -> int:
        return hash(self.digest())

    def __setstate__(self, state: dict[str, object]) -> None:
        # An array forgets on its way that it is read-only, and SciPy rounds differently for those it may write.
        self.__dict__.update(state)
        for table in self.tables():
            table.flags.writeable = False

    def tables(self) -> tuple[Array, ...]:
        """Give the arrays that the map is made of."""
        raise NotImplementedError

    def arrays(self) -> dict[str, Array]:
        """Give the arrays by their hash."""
        return {array_key(table): table for table in self.tables()}


@dataclass(frozen=True, init=False, eq=False, repr=False)
class CompletenessMap(_Map):
    """Completeness on a grid.

    Parameters
    ----------
    axes : sequence of (n_f,) or (n_f + 1,)
        Ascending. As many numbers as `values` has along that axis are nodes, between which the map is
        interpolated linearly; one more, for all axes, are edges of cells in which it is constant.
    values : (n_1, ..., n_F)
        Completeness, from 0 to 1; anything that NumPy reads, also a Zarr array.
    features : sequence of str or int, optional
        One for each axis; None: all features.
    outside : float
        Completeness beyond the grid.
    """

    axes: tuple[Array, ...]
    values: Array
    features: Features
    outside: float

    def __init__(
        self,
        axes: Sequence[ArrayLike],
        values: ArrayLike,
        features: Sequence[str | int] | str | None = None,
        outside: float = 0.0,
    ) -> None:
        table = _probabilities(values, "CompletenessMap: values")
        several = isinstance(axes, Sequence) or (isinstance(axes, np.ndarray) and axes.ndim > 0)
        if not several or isinstance(axes, str):
            raise SelectionError(f"CompletenessMap: axes is {axes!r}; give ascending numbers for each axis.")
        lines = tuple(_ascending(axis, f"CompletenessMap: axis {i}") for i, axis in enumerate(axes))
        extra = {len(line) - size for line, size in zip(lines, table.shape, strict=False)}
        if len(lines) != table.ndim or extra not in ({0}, {1}):
            raise SelectionError(
                f"CompletenessMap: axes of {[len(line) for line in lines]} numbers do not fit values of shape "
                f"{table.shape}: give as many nodes for each axis, or one edge more for each."
            )
        object.__setattr__(self, "axes", lines)
        object.__setattr__(self, "values", table)
        object.__setattr__(self, "features", checked_features(features, "CompletenessMap"))
        object.__setattr__(self, "outside", _fraction(outside, "CompletenessMap: outside"))

    def __repr__(self) -> str:
        return f"CompletenessMap(shape={self.values.shape}, features={self.features})"

    def width(self) -> int:
        """Count the axes."""
        return len(self.axes)

    def answer(self, values: Array, covariates: Array | None = None) -> object:
        """Completeness of rows (N, F)."""
        if len(self.axes[0]) > len(self.values):
            return self._of_cells(values)
        table = RegularGridInterpolator(self.axes, self.values, bounds_error=False, fill_value=self.outside)
        # A weighted mean of numbers from 0 to 1 may round beyond them.
        return np.clip(table(values), 0, 1)

    def _of_cells(self, values: Array) -> Array:
        answers = np.full(len(values), self.outside)
        low, high = [axis[0] for axis in self.axes], [axis[-1] for axis in self.axes]
        inside = ((values >= low) & (values <= high)).all(axis=1)
        cells = tuple(
            np.minimum(np.searchsorted(axis, values[inside, f], side="right") - 1, len(axis) - 2)
            for f, axis in enumerate(self.axes)
        )
        answers[inside] = self.values[cells]
        return answers

    def tables(self) -> tuple[Array, ...]:
        """Give axes and values."""
        return (*self.axes, self.values)

    def description(self, largest: int) -> Description:
        """Describe axes and values."""
        return {
            "kind": "CompletenessMap",
            "axes": [described(axis, largest) for axis in self.axes],
            "values": described(self.values, largest),
            "features": None if self.features is None else list(self.features),
            "outside": self.outside,
        }


@dataclass(frozen=True, init=False, eq=False, repr=False)
class HealpixMap(_Map):
    """Completeness by HEALPix sky pixel and magnitude, interpolated linearly in magnitude.

    Parameters
    ----------
    nside : int
    magnitudes : (n_mag,)
        Ascending nodes, at least 2.
    completeness : (12 nside^2, n_mag)
        From 0 to 1.
    features : sequence of str or int
        Either (pixel, magnitude), where pixel is a column that holds the pixel's index in the map's own
        order, or (longitude, latitude, magnitude) in degrees, which needs astropy-healpix.
    order : str
        "ring" or "nested": how the pixels are numbered; used for longitude and latitude.
    outside : float
        Completeness beyond the magnitudes and beyond latitudes of +-90 degrees.

    References
    ----------
    Gorski et al. 2005, ApJ 622, 759.
    """

    nside: int
    magnitudes: Array
    completeness: Array
    features: Features
    order: str
    outside: float

    def __init__(
        self,
        nside: int,
        magnitudes: ArrayLike,
        completeness: ArrayLike,
        features: Sequence[str | int],
        order: str = "ring",
        outside: float = 0.0,
    ) -> None:
        nodes = _ascending(magnitudes, "HealpixMap: magnitudes")
        table = _probabilities(completeness, "HealpixMap: completeness")
        if nside < 1 or table.shape != (12 * nside**2, len(nodes)):
            raise SelectionError(
                f"HealpixMap: completeness has shape {table.shape}; nside {nside} and {len(nodes)} magnitudes "
                f"need ({12 * nside**2}, {len(nodes)})."
            )
        columns = checked_features(features, "HealpixMap")
        if columns is None or len(columns) not in (2, 3):
            raise SelectionError(
                f"HealpixMap: features {columns}; expected (pixel, magnitude) or (lon, lat, magnitude)."
            )
        if not isinstance(order, str) or order not in ORDERS:
            raise SelectionError(f"HealpixMap: order {order!r} is none of {ORDERS}.", value=order)
        object.__setattr__(self, "nside", int(nside))
        object.__setattr__(self, "magnitudes", nodes)
        object.__setattr__(self, "completeness", table)
        object.__setattr__(self, "features", columns)
        object.__setattr__(self, "order", order)
        object.__setattr__(self, "outside", _fraction(outside, "HealpixMap: outside"))

    def __repr__(self) -> str:
        return f"HealpixMap(nside={self.nside}, order={self.order!r}, features={self.features})"

    def answer(self, values: Array, covariates: Array | None = None) -> object:
        """Completeness of rows (N, 2 or 3)."""
        pixels, on_sky = self._pixels(values[:, :-1])
        magnitude, nodes = values[:, -1], self.magnitudes
        left = np.clip(np.searchsorted(nodes, magnitude, side="right") - 1, 0, len(nodes) - 2)
        share = (magnitude - nodes[left]) / (nodes[left + 1] - nodes[left])
        inside = on_sky & (magnitude >= nodes[0]) & (magnitude <= nodes[-1])
        between = (1 - share) * self.completeness[pixels, left] + share * self.completeness[pixels, left + 1]
        return np.where(inside, np.clip(between, 0, 1), self.outside)

    def _pixels(self, sky: Array) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Pixel of each row, and whether it has one."""
        if sky.shape[1] == 1:
            pixels = sky[:, 0]
            wrong = (pixels != np.floor(pixels)) | (pixels < 0) | (pixels >= len(self.completeness))
            if wrong.any():
                raise SelectionError(
                    f"{pixels[wrong][0]:g} is no pixel of nside {self.nside}: they count from 0 to "
                    f"{len(self.completeness) - 1}"
                )
            return pixels.astype(np.intp), np.ones(len(sky), dtype=bool)
        on_sky = np.abs(sky[:, 1]) <= 90
        latitude = np.where(on_sky, sky[:, 1], 0)
        found = _healpy().ang2pix(
            self.nside, sky[:, 0] % 360, latitude, nest=self.order == "nested", lonlat=True
        )
        return np.asarray(found, dtype=np.intp), on_sky

    def tables(self) -> tuple[Array, ...]:
        """Give magnitudes and completeness."""
        return self.magnitudes, self.completeness

    def description(self, largest: int) -> Description:
        """Describe the pixels' numbering, magnitudes and completeness."""
        return {
            "kind": "HealpixMap",
            "nside": self.nside,
            "magnitudes": described(self.magnitudes, largest),
            "completeness": described(self.completeness, largest),
            "features": list(self.features or ()),
            "order": self.order,
            "outside": self.outside,
        }


def _healpy() -> Any:
    try:
        return import_module("astropy_healpix.healpy")
    except ImportError as error:
        raise MissingLibrary(
            "a HealpixMap of longitude and latitude needs astropy-healpix: install astropy-healpix, or give "
            "the rows' pixel indices as one column."
        ) from error


def _numbers(given: ArrayLike, name: str) -> Array:
    try:
        numbers = as_numbers(given, name).copy()
    except InvalidData as error:
        raise SelectionError(str(error), array=name) from error
    numbers.flags.writeable = False
    return numbers


def _probabilities(given: ArrayLike, name: str) -> Array:
    table = _numbers(given, name)
    wrong = np.argwhere(~((table >= 0) & (table <= 1)))
    if len(wrong) or not table.size:
        where = tuple(int(i) for i in wrong[0]) if len(wrong) else ()
        what = f"{table[where]:g} at {where}" if len(wrong) else "empty"
        raise SelectionError(f"{name}: {what}; expected probabilities from 0 to 1 everywhere.", array=name)
    return table


def _ascending(given: ArrayLike, name: str) -> Array:
    nodes = _numbers(given, name)
    if nodes.ndim != 1 or len(nodes) < 2 or not np.isfinite(nodes).all() or not (np.diff(nodes) > 0).all():
        raise SelectionError(
            f"{name}: expected at least 2 finite ascending numbers, not {nodes}.", array=name
        )
    return nodes


def _fraction(given: float, name: str) -> float:
    fraction = _probabilities(given, name)
    if fraction.ndim:
        raise SelectionError(f"{name} is {given!r}; give one probability.", array=name)
    return float(fraction)
