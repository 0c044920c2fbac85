"""Rows as the kernels want them: grouped by which features were observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgmmis.block_bounds import BlockBounds
from dgmmis.errors import InvalidData
from dgmmis.faults import find_faults, refuse_faults
from dgmmis.noise import Noise, NoiseKind, NoiseLike
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array, pack, sub_positions
from dgmmis.pattern_kernels import gather
from dgmmis.projection import as_projection, latent_features, refuse_projection, seen_projection
from dgmmis.row_hash import Hashes
from dgmmis.row_order import RowOrder, rows_by_pattern

__all__ = ["PatternGroup", "Samples", "as_values", "as_weights", "default_names"]


@dataclass(frozen=True)
class PatternGroup:
    """The rows that share one pattern of observed features; no NaN passes here.

    Attributes
    ----------
    observed : (d,)
        Observed features, ascending.
    rows : (n,)
        Where these rows lie in the samples.
    values : (n, d)
    noise : None, (p,) shared covariance, (n, d) variances or (n, p) packed covariances
    weights : (n,)
    densities : (n, J)
        ln b_j of each row under densities that have no parameters (backgrounds); none by default.
    proposal : (n,) or (0,)
        ln h of points drawn from a density h instead of observed: they weigh p(x) / h(x) more.
    projection : None, (d, D) shared by these rows, or (n, d, D) row by row
        From the mixture's features to the observed ones; None where these are some of the mixture's.
    joint_noise : None or as `noise`
        Over the observed features and those asked for by `keep_noise`, ascending; None if the rows lack none
        of these.  Entries of features that the rows lack are what was given: NaN, if nothing was.
    bounds : BlockBounds, optional
        How far runs of these rows reach; without, every component is evaluated at every row.
    """

    observed: NDArray[np.intp]
    rows: NDArray[np.intp]
    values: Array
    noise: Array | None
    weights: Array
    densities: Array
    proposal: Array = field(default_factory=lambda: np.empty(0))
    projection: Array | None = None
    joint_noise: Array | None = None
    bounds: BlockBounds | None = None

    @property
    def has_own_projections(self) -> bool:
        """Whether each row sees the mixture through a projection of its own."""
        return self.projection is not None and self.projection.ndim == 3


@dataclass(frozen=True)
class Samples:
    """Rows with their noise and weights, missing features settled by pattern.

    Rows with no observed feature are counted in `n_rows` and appear in no group: they carry no
    information and change nothing.

    Attributes
    ----------
    n_rows, n_features : int
        Features are those of the rows.
    latent_features : int
        D, the features of the mixture behind them: `n_features` unless the rows are projected.
    noise_kind : {"none", "shared", "diagonal", "full"}
    groups : tuple of PatternGroup
        Complete rows first, then by the bits of the missing features.  Inside a group the rows are in the
        order in which they were given, or in that of `kd_order`, as `from_arrays` was asked.
    covariates : (n_rows, C), optional
        What else a selection looked at, in the order of the rows.
    hashes : (n_rows,), optional
        Of the rows' ids, where folds are asked for.
    """

    n_rows: int
    n_features: int
    latent_features: int
    noise_kind: NoiseKind
    groups: tuple[PatternGroup, ...]
    covariates: Array | None = None
    hashes: Hashes | None = None

    @classmethod
    def from_arrays(
        cls,
        values: ArrayLike,
        noise: NoiseLike = None,
        weights: ArrayLike | None = None,
        *,
        projection: ArrayLike | None = None,
        names: tuple[str, ...] | None = None,
        first_row: int = 0,
        checked: bool = False,
        keep_noise: Sequence[int] = (),
        order: RowOrder = "given",
    ) -> Samples:
        """Check rows and group them.

        Parameters
        ----------
        values : (N, D)
            NaN means not observed.
        noise : None, Noise, (D, D), (N, D) variances or (N, D, D)
        weights : (N,), optional
            Default 1.
        projection : None, (d, D) or (N, d, D), optional
            How the rows see the D features of the mixture: x_i = R_i t_i + noise, the same R for all
            rows or one each.  Then `values` has d columns; rows of R that lead to NaN are not read.
        names : tuple of str, optional
            Feature names, for messages.
        first_row : int
            What row 0 is called in messages.
        checked : bool
            The rows come from a catalogue, which checked them when it was written.
        keep_noise : sequence of int
            Columns whose noise is kept even for rows that lack them; it is not checked.
        order : {"given", "kd"}
            Of the rows of a group: as given, which for a catalogue's chunk is the order it was stored in, or by
            a kd-tree, which is what the catalogue would do with them.  Rows that each have a projection of
            their own stay as given: they are not seen in one space.

        Raises
        ------
        InvalidData
            Naming the array, row, feature and value of the first fault.
        """
        if not checked or isinstance(values, np.ma.MaskedArray):
            values = as_values(values)
        values = np.asarray(values, dtype=np.float64)
        n_rows, n_features = values.shape
        noise = Noise.of(noise, n_rows, n_features)
        weights = as_weights(weights, n_rows)
        projection = as_projection(projection, n_rows, n_features)
        if not checked:
            faults = find_faults(values, noise, weights)
            refuse_faults(faults, names or default_names(n_features), first_row=first_row)
            refuse_projection(projection, values, first_row=first_row)
        if projection is not None and projection.ndim == 3:
            order = "given"
        patterns = rows_by_pattern(values, order, noise)
        kept = np.array(sorted(keep_noise), dtype=np.intp)
        groups = _group(values, noise, weights, projection, patterns, kept)
        return cls(n_rows, n_features, latent_features(projection, n_features), noise.kind, groups)

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        hashes = 0 if self.hashes is None else self.hashes.nbytes
        return hashes + sum(
            group.rows.nbytes
            + group.values.nbytes
            + group.weights.nbytes
            + group.densities.nbytes
            + group.proposal.nbytes
            + (0 if group.noise is None else group.noise.nbytes)
            + (0 if group.projection is None else group.projection.nbytes)
            + (0 if group.joint_noise is None else group.joint_noise.nbytes)
            + (0 if group.bounds is None else group.bounds.nbytes)
            for group in self.groups
        )

    @property
    def is_projected(self) -> bool:
        """Whether any row sees the mixture through a projection."""
        return any(group.projection is not None for group in self.groups)

    def with_densities(self, densities: Array) -> Samples:
        """Return these rows with ln b_j (N, J) of densities without parameters."""
        groups = tuple(
            replace(group, densities=np.ascontiguousarray(densities[group.rows])) for group in self.groups
        )
        return replace(self, groups=groups)

    def bounded(self) -> Samples:
        """Return these rows with the bounds of their runs; rows with projections of their own have none."""
        groups = tuple(
            group
            if group.has_own_projections
            else replace(group, bounds=BlockBounds.of(group.values, group.noise))
            for group in self.groups
        )
        return replace(self, groups=groups)


def default_names(n_features: int) -> tuple[str, ...]:
    """Names of features that were given none: x0, x1, ..."""
    return tuple(f"x{j}" for j in range(n_features))


def as_values(values: ArrayLike) -> Array:
    """`values` as a float64 array (N, D), or an `InvalidData` that says why not."""
    array = as_numbers(values, "values")
    if array.ndim != 2 or array.shape[1] == 0:
        hint = " Reshape one feature with values[:, None]." if array.ndim == 1 else ""
        raise InvalidData(
            f"values has shape {array.shape}; expected (N, D): rows by features.{hint}", array="values"
        )
    if array.shape[0] == 0:
        raise InvalidData("values has no rows; at least one is needed.", array="values")
    return array


def as_weights(weights: ArrayLike | None, n_rows: int) -> Array:
    """`weights` as a float64 array (N,); ones by default."""
    if weights is None:
        return np.ones(n_rows)
    array = as_numbers(weights, "weights")
    if array.shape != (n_rows,):
        raise InvalidData(f"weights has shape {array.shape}; expected ({n_rows},).", array="weights")
    return array


def _group(
    values: Array,
    noise: Noise,
    weights: Array,
    projection: Array | None,
    patterns: list[NDArray[np.intp]],
    keep_noise: NDArray[np.intp],
) -> tuple[PatternGroup, ...]:
    groups = []
    for rows in patterns:
        observed = np.flatnonzero(~np.isnan(values[rows[0]]))
        if len(observed):
            group = _one_group(values, noise, weights, observed, rows)
            if not np.isin(keep_noise, observed).all():
                joint = _sub_noise(noise, np.union1d(observed, keep_noise), rows)
                group = replace(group, joint_noise=joint)
            groups.append(replace(group, projection=seen_projection(projection, observed, rows)))
    return tuple(groups)


def _one_group(
    values: Array, noise: Noise, weights: Array, observed: NDArray[np.intp], rows: NDArray[np.intp]
) -> PatternGroup:
    return PatternGroup(
        observed,
        rows,
        _block(values, rows, observed),
        _sub_noise(noise, observed, rows),
        np.ascontiguousarray(weights[_as_run(rows)]),
        np.empty((len(rows), 0)),
    )


def _block(source: Array, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Array:
    """Take some columns of some rows of a matrix, contiguous; a view of it where these are neighbours and complete."""
    run = _as_run(rows)
    if isinstance(run, slice) and len(columns) == source.shape[1]:
        whole = len(rows) == len(source)  # a view of less would hold the rest in memory
        return np.ascontiguousarray(source[run]) if whole else source[run].copy(order="C")
    block = np.empty((len(rows), len(columns)))
    gather(source, rows, columns, block)
    return block


def _as_run(rows: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """Make a slice of ascending neighbours."""
    first, last = int(rows[0]), int(rows[-1])
    if last - first + 1 == len(rows) and np.array_equal(rows, np.arange(first, last + 1)):
        return slice(first, last + 1)
    return rows


def _sub_noise(noise: Noise, observed: NDArray[np.intp], rows: NDArray[np.intp]) -> Array | None:
    if noise.array is None:
        return None
    if noise.kind == "shared":
        return pack(noise.array[np.ix_(observed, observed)])
    columns = observed if noise.kind == "diagonal" else sub_positions(observed)
    block = _block(noise.array, rows, columns)
    block.flags.writeable = False  # as views of noise are: kernels are compiled for one kind of array
    return block
