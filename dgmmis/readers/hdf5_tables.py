"""What in an HDF5 file is a table: where its columns lie, what they hold, what marks a missing value.

Nothing outside the file is opened, whatever the file says: external links are not followed, and datasets whose bytes
lie in other files are refused.  Pickles, in which pandas hides some names, are not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["HIDDEN", "Hdf5Column", "Hdf5Table", "tables_in"]

HIDDEN = (
    "holds columns whose names pandas keeps in a pickle, which is never loaded. Write the frame with "
    "to_hdf(..., format='table', data_columns=True)."
)

ASTROPY_META = ".__table_column_meta__"
ASTROPY_UNIT = re.compile(r"^- \{name: (.+?), unit: (.+?)(?:, \w+: .*|\})$", re.MULTILINE)
"""A column in that description, which is YAML; nothing more of it is needed, and YAML can name programs."""
INDEX = "/_i_"
"""In the place of what PyTables keeps to find rows of a table again."""
MASK = ".mask"


@dataclass(frozen=True)
class Hdf5Column:
    """A column.

    Attributes
    ----------
    dataset : str
        Where its numbers lie.
    part : str or int or None
        Its field in a compound dataset, or its number in a matrix.
    dtype : numpy type
    is_text : bool
        Text of any length, which NumPy sees as objects.
    unit : str
    fill : float or None
        The number that stands for a missing one.
    mask : str or None
        Column or dataset that is true where a value is missing.
    fault : str
        Why it cannot be read, as it follows the column's name; "" if it can.
    """

    dataset: str
    part: str | int | None
    dtype: np.dtype[Any]
    is_text: bool = False
    unit: str = ""
    fill: float | None = None
    mask: str | None = None
    fault: str = ""

    @property
    def may_be_missing(self) -> bool:
        """Whether there is a mark of missing values."""
        return self.fill is not None or self.mask is not None


@dataclass(frozen=True)
class Hdf5Table:
    """Columns of one length.

    Attributes
    ----------
    node : str
        Place in the file, without the leading slash.
    n_rows : int
    columns : dict of str to Hdf5Column
    """

    node: str
    n_rows: int
    columns: Mapping[str, Hdf5Column] = field(default_factory=dict)

    @property
    def units(self) -> dict[str, str]:
        """Units of the columns that have one."""
        return {name: column.unit for name, column in self.columns.items() if column.unit}

    def read(
        self, file: Any, wanted: Sequence[str], first: int, end: int
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.bool_]]]:
        """Read rows `first` to `end` of some columns as they are stored, and where they are missing."""
        columns = [self.columns[name] for name in wanted]
        fields: set[str] = {column.part for column in columns if isinstance(column.part, str)}
        fields |= {column.mask for column in columns if fields and column.mask is not None}
        whole = file[self.node].fields(sorted(fields))[first:end] if fields else None
        raw = {name: self._column(file, whole, self.columns[name], first, end) for name in wanted}
        gaps = {}
        for name in wanted:
            column = self.columns[name]
            if column.mask is not None:
                mask = whole[column.mask] if whole is not None else file[column.mask][first:end]
                gaps[name] = np.asarray(mask, dtype=bool)
            elif column.fill is not None:
                gaps[name] = np.asarray(raw[name] == column.fill)
        return raw, gaps

    def _column(self, file: Any, whole: Any, column: Hdf5Column, first: int, end: int) -> NDArray[Any]:
        if isinstance(column.part, str):
            return np.asarray(whole[column.part])
        dataset = file[column.dataset]
        if column.part is None:
            return np.asarray(dataset[first:end])
        return np.asarray(dataset[first:end, column.part])


def tables_in(file: Any) -> list[Hdf5Table]:
    """Find all tables of an open file, in the order of their places."""
    datasets: dict[str, Any] = {}

    def note(name: str, found: Any) -> None:
        if hasattr(found, "dtype") and INDEX not in f"/{name}":
            datasets[name] = found

    file.visititems(note)
    tables = [
        _compound(file, name, dataset)
        for name, dataset in datasets.items()
        if dataset.dtype.names and len(dataset.shape) == 1 and not name.endswith(ASTROPY_META)
    ]
    groups: dict[str, dict[str, Any]] = {}
    for name, dataset in datasets.items():
        if not dataset.dtype.names:
            group, _, own = name.rpartition("/")
            groups.setdefault(group, {})[own] = dataset
    for group, members in groups.items():
        if any(re.fullmatch(r"block\d+_values", own) for own in members):
            tables.extend(_pandas_frame(group, members))
        else:
            tables.extend(_columns_of_group(group, members))
    return sorted(tables, key=lambda table: table.node)


def _compound(file: Any, node: str, dataset: Any) -> Hdf5Table:
    units = _astropy_units(file, node)
    fault = _fault_of(dataset)
    columns = {}
    for name in dataset.dtype.names:
        dtype, mask = dataset.dtype[name], f"{name}{MASK}"
        column = Hdf5Column(node, name, dtype, _is_text(dtype), units.get(name, ""), fault=fault)
        columns[name] = replace(column, mask=mask) if mask in dataset.dtype.names else column
    for name in columns:
        if re.fullmatch(r"values_block_\d+", name):
            columns[name] = replace(columns[name], fault=HIDDEN)
    return Hdf5Table(node, int(dataset.shape[0]), columns)


def _columns_of_group(group: str, members: Mapping[str, Any]) -> list[Hdf5Table]:
    """Make a table of the one-dimensional datasets of each length."""
    by_length: dict[int, dict[str, Hdf5Column]] = {}
    for own, dataset in members.items():
        if len(dataset.shape) != 1 or own.endswith((ASTROPY_META, MASK)):
            continue
        column = Hdf5Column(
            f"{group}/{own}".strip("/"),
            None,
            dataset.dtype,
            _is_text(dataset.dtype),
            _text(dataset.attrs.get("unit", dataset.attrs.get("units", ""))),
            fault=_fault_of(dataset),
            **_marks(members, group, own, dataset),
        )
        by_length.setdefault(int(dataset.shape[0]), {})[own] = column
    return [Hdf5Table(group, length, columns) for length, columns in by_length.items()]


def _marks(members: Mapping[str, Any], group: str, own: str, dataset: Any) -> dict[str, Any]:
    """Tell what stands for missing: a mask beside it, or the number that an attribute names."""
    beside = members.get(f"{own}{MASK}")
    if beside is not None and beside.shape == dataset.shape:
        return {"mask": f"{group}/{own}{MASK}".strip("/")}
    fill = np.asarray(dataset.attrs.get("_FillValue", np.nan))
    if fill.size == 1 and fill.dtype.kind in "iuf" and not np.isnan(fill.astype(float)).any():
        return {"fill": fill.ravel()[0]}
    return {}


def _pandas_frame(group: str, members: Mapping[str, Any]) -> list[Hdf5Table]:
    """Make a table of the blocks of a data frame that pandas wrote with format='fixed'."""
    columns: dict[str, Hdf5Column] = {}
    n_rows = 0
    for own, dataset in members.items():
        items = members.get(own.replace("_values", "_items"))
        if not re.fullmatch(r"block\d+_values", own) or items is None or len(dataset.shape) != 2:
            continue
        n_rows = int(dataset.shape[0])
        for number, name in enumerate(items[:]):
            columns[_text(name)] = Hdf5Column(
                f"{group}/{own}".strip("/"), number, dataset.dtype, fault=_fault_of(dataset)
            )
    return [Hdf5Table(group, n_rows, columns)] if columns else []


def _fault_of(dataset: Any) -> str:
    """Say why a dataset is not read, if its numbers lie elsewhere or are none of its own."""
    if dataset.external or dataset.is_virtual:
        return "lies in another file, which is not opened. Copy the data into one file (h5repack)."
    if "scale_factor" in dataset.attrs or "add_offset" in dataset.attrs:
        return (
            "is stored scaled, by the conventions of netCDF. Open the file with xarray, and give the Dataset."
        )
    return ""


def _astropy_units(file: Any, node: str) -> dict[str, str]:
    """Units in the description that astropy writes beside a table."""
    beside = f"{node}{ASTROPY_META}"
    if beside not in file:
        return {}
    text = "\n".join(_text(line) for line in file[beside][:])
    described = text.partition("\nmeta:")[0]
    return {name.strip("'\""): unit.strip("'\"") for name, unit in ASTROPY_UNIT.findall(described)}


def _is_text(dtype: np.dtype[Any]) -> bool:
    metadata: Mapping[Any, Any] = dtype.metadata or {}
    return metadata.get("vlen") in (str, bytes)


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
