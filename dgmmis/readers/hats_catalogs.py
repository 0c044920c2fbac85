"""HATS catalogues: which Parquet files hold their rows, each row once.

A folder in this layout also holds files that are no rows of it: a sample, statistics, a margin in which rows of the
neighbouring partitions stand again.  Its properties and its list of partitions say what belongs to it.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from dgmmis.errors import InvalidData
from dgmmis.readers.parquet_files import PARQUET_SUFFIXES, ParquetSource

__all__ = ["is_hats", "open_hats"]

COLLECTION = "collection.properties"
PROPERTIES = ("hats.properties", "properties")
PARTITIONS = "partition_info.csv"
PLACE = re.compile(r"/Norder=(\d+)/Dir=\d+/Npix=(\d+)")
FINEST = 29
WITH_ROWS = ("object", "source")
LARGEST = 1 << 20
"""Bytes of properties that are read: real ones have some hundred."""


def is_hats(folder: Path) -> bool:
    """Tell whether a folder is a HATS catalogue or a collection of such."""
    if any((folder / name).is_file() for name in (COLLECTION, PROPERTIES[0])):
        return True
    older = folder / PROPERTIES[1]  # a name that any folder may have in it
    return older.is_file() and any(key.startswith(("hats_", "obs_collection")) for key in _parsed(older))


def open_hats(folder: Path) -> ParquetSource:
    """Open the rows of a catalogue, or of a collection's main catalogue, partition by partition.

    Raises
    ------
    InvalidData
        If it holds no rows of its own (a margin, an index), a partition is missing, or there are other rows than its
        properties say.
    """
    catalog = _main_catalog(folder)
    properties = _read_properties(catalog)
    kind = properties.get("dataproduct_type", "object")
    if kind not in WITH_ROWS:
        raise InvalidData(
            f"{catalog.name} is a HATS dataset of type '{kind}', not a catalogue of rows. Name the folder of its "
            f"catalogue{_primary(properties)}.",
            array=catalog.name,
        )
    source = ParquetSource(catalog, _partition_files(catalog, properties))
    stated = properties.get("hats_nrows", "")
    if stated.isdecimal() and int(stated) != source.n_rows:
        raise InvalidData(
            f"{catalog.name} has {source.n_rows} rows in its partitions; its properties say {stated}. Fetch the "
            "catalogue again.",
            array=catalog.name,
            value=source.n_rows,
        )
    return source


def _main_catalog(folder: Path) -> Path:
    if not (folder / COLLECTION).is_file():
        return folder
    name = _parsed(folder / COLLECTION).get("hats_primary_table_url", "")
    main = folder / name
    if not name or ".." in Path(name).parts or Path(name).is_absolute() or not main.is_dir():
        raise InvalidData(
            f"{folder.name} is a HATS collection whose main catalogue '{name}' is not in it. Name the folder of the "
            "catalogue itself.",
            array=folder.name,
            value=name,
        )
    return main


def _read_properties(catalog: Path) -> dict[str, str]:
    for name in PROPERTIES:
        if (catalog / name).is_file():
            return _parsed(catalog / name)
    raise InvalidData(f"{catalog.name} has no hats.properties: it is no HATS catalogue.", array=catalog.name)


def _parsed(path: Path) -> dict[str, str]:
    """Read lines KEY=VALUE."""
    with path.open("rb") as file:
        text = file.read(LARGEST).decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines()]
    pairs = [line.partition("=") for line in lines if line and line[0] not in "#!"]
    return {key.strip(): value.strip() for key, _, value in pairs}


def _partition_files(catalog: Path, properties: dict[str, str]) -> list[Path]:
    """Return the files of all partitions, in the order of the sky."""
    suffix = properties.get("hats_npix_suffix", ".parquet")
    if not re.fullmatch(r"/|[\w.\-]+", suffix):
        raise InvalidData(
            f"{catalog.name}: its properties give partitions the suffix '{suffix}', which is none. Fetch it again.",
            array=catalog.name,
            value=suffix,
        )
    files: list[Path] = []
    for order, pixel in sorted(_pixels(catalog), key=lambda at: at[1] << 2 * (FINEST - at[0])):
        place = catalog / f"dataset/Norder={order}/Dir={pixel // 10000 * 10000}" / f"Npix={pixel}"
        if suffix == "/":
            found = sorted(path for path in place.glob("*") if path.suffix in PARQUET_SUFFIXES)
        else:
            found = [path for path in (place.with_name(place.name + suffix),) if path.is_file()]
        if not found:
            raise InvalidData(
                f"{catalog.name} lacks partition Norder={order}, Npix={pixel}, which it lists. Fetch it again.",
                array=catalog.name,
                value=f"Norder={order}/Npix={pixel}",
            )
        files.extend(found)
    return files


def _pixels(catalog: Path) -> set[tuple[int, int]]:
    """Give order and number of each partition as the catalogue lists them; without a list, those that are there."""
    listed = catalog / PARTITIONS
    if not listed.is_file():
        places = catalog.glob("dataset/Norder=*/Dir=*/Npix=*")
        found = {match for place in places if (match := PLACE.search(place.as_posix()))}
        pixels = {(int(match[1]), int(match[2])) for match in found}
    else:
        try:
            with listed.open(newline="") as file:
                pixels = {(int(row["Norder"]), int(row["Npix"])) for row in csv.DictReader(file)}
        except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
            raise InvalidData(
                f"{catalog.name}: its list of partitions, {PARTITIONS}, cannot be read: {error!r}. Remove it, to have "
                "all partitions that are there.",
                array=catalog.name,
            ) from error
    if not pixels or any(
        not 0 <= order <= FINEST or not 0 <= pixel < 12 << 2 * order for order, pixel in pixels
    ):
        raise InvalidData(
            f"{catalog.name} has no partitions that are pixels of the sky. Fetch the catalogue again.",
            array=catalog.name,
        )
    return pixels


def _primary(properties: dict[str, str]) -> str:
    name = properties.get("hats_primary_table_url", "")
    return f", '{name}'" if name else ""
