"""What a posterior is called in tables."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from dgmmis.errors import InvalidSetting
from dgmmis.packed import lower_indices
from dgmmis.posterior import Posterior

__all__ = ["column_units", "posterior_columns", "require_distinct_names"]


def require_distinct_names(features: tuple[str, ...]) -> None:
    """Raise `InvalidSetting` if two columns would have one name."""
    names = [covariance_name(features, i, j) for i, j in zip(*lower_indices(len(features)), strict=True)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidSetting(
            f"the names of these features make two columns called {twice[0]}. Write Zarr, which numbers them."
        )


def covariance_name(features: tuple[str, ...], i: int, j: int) -> str:
    """Name the column of a covariance between two features."""
    return f"posterior_covariance_{features[i]}_{features[j]}"


def posterior_columns(posterior: Posterior, features: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Take a posterior apart into columns (n,)."""
    columns: dict[str, NDArray[Any]] = {"log_density": posterior.log_density}
    if posterior.background_probability is not None:
        columns["background_probability"] = posterior.background_probability
    for rank in range(posterior.components.shape[1]):
        columns[f"component_{rank + 1}"] = posterior.components[:, rank]
        columns[f"responsibility_{rank + 1}"] = posterior.responsibilities[:, rank]
    for j, name in enumerate(features):
        columns[f"posterior_mean_{name}"] = posterior.means[:, j]
    for entry, (i, j) in enumerate(zip(*lower_indices(len(features)), strict=True)):
        columns[covariance_name(features, i, j)] = posterior.covariances[:, entry]
    return columns


def column_units(features: tuple[str, ...], units: tuple[str, ...]) -> dict[str, str]:
    """Units of those columns that have one, in the notation of the features' own."""
    found = {f"posterior_mean_{name}": unit for name, unit in zip(features, units, strict=True) if unit}
    for i, j in zip(*lower_indices(len(features)), strict=True):
        if units[i] and units[j]:
            found[covariance_name(features, i, j)] = f"({units[i]}) ({units[j]})"
    return found
