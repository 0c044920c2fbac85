"""Mixtures as a FITS table: one row for each component, its columns named as the attributes of astroML's XDGMM."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import IO, Any

import numpy as np

from dgmmis.errors import FeatureMismatch, InvalidData, InvalidSetting
from dgmmis.model import Model
from dgmmis.model_formats.parameters import mixture_of, unreadable
from dgmmis.optional_libraries import load_library

__all__ = ["MAGIC", "read_fits", "write_fits"]

MAGIC = b"SIMPLE  ="
WRITTEN = ("alpha", "mu", "V")
READ = (
    WRITTEN,
    ("weights", "mu", "V"),
    ("weights", "means", "covars"),
    ("weights", "means", "covariances"),
    ("amp", "mean", "covar"),
    ("amplitudes", "means", "covariances"),
    ("amplitude", "mean", "covariance"),
    ("xamp", "xmean", "xcovar"),
)
"""Names of columns that are known, in any case."""
WHAT = "a FITS table of a mixture"
LONGEST = 60
"""Letters of a name or unit that a header holds in one card."""


def write_fits(model: Model, file: IO[bytes]) -> None:
    """Write alpha, mu, V, and each feature's name and unit as keywords FEATn and FUNITn of the header.

    Raises
    ------
    InvalidSetting
        If a name or a unit is none that a header can hold.
    """
    fits = load_library("astropy.io.fits", "writing FITS files", "readers")
    mixture = model.mixture
    d = mixture.n_features
    columns = [
        fits.Column("alpha", "D", array=mixture.amplitudes),
        fits.Column("mu", f"{d}D", array=mixture.means),
        fits.Column("V", f"{d * d}D", dim=f"({d},{d})", array=mixture.covariances),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="MIXTURE")
    for number, (name, unit) in enumerate(zip(model.features, model.units, strict=True), start=1):
        table.header[f"FEAT{number}"] = (_card(name), "feature")
        table.header[f"FUNIT{number}"] = _card(unit)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(file)


def _card(text: str) -> str:
    if (
        not text.isascii()
        or not text.isprintable()
        or text != text.strip()
        or len(text) > LONGEST
        or "'" in text
    ):
        raise InvalidSetting(
            f"'{text}' cannot stand in a FITS header, which holds up to {LONGEST} ASCII letters. Rename the feature or "
            "its unit: dataclasses.replace(model, features=..., units=...)."
        )
    return text


def read_fits(content: bytes, path: Path) -> Model:
    """Read a table with a row for each component, or one row that holds all; names and units if it has them.

    Raises
    ------
    InvalidData
        If there is no such table.
    """
    fits = load_library("astropy.io.fits", "reading FITS files", "readers")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an altered file, that it breaks the standard
            with fits.open(io.BytesIO(content), memmap=False) as file:
                arrays, names, units = _taken(fits, file, path)
        return Model(mixture_of(*_stacked(*arrays), path), names, units)
    except (InvalidData, FeatureMismatch) as error:
        raise error if isinstance(error, InvalidData) else unreadable(path, WHAT, error) from error
    except Exception as error:  # astropy raises as it happens
        raise unreadable(path, WHAT, f"{type(error).__name__}: {error}") from error


def _taken(fits: Any, file: Any, path: Path) -> tuple[list[Any], tuple[str, ...], tuple[str, ...]]:
    for table in file:
        if not isinstance(table, fits.BinTableHDU):
            continue
        there = {str(name).lower(): name for name in table.columns.names}
        for names in READ:
            if all(name.lower() in there for name in names):
                arrays = [np.array(table.data[there[name.lower()]], dtype=np.float64) for name in names]
                return arrays, *_labels(table.header)
    raise unreadable(path, WHAT, f"no table has columns {', '.join(WRITTEN)}, or names alike")


def _labels(header: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    numbers = [number for number in range(1, 1000) if f"FEAT{number}" in header]
    names = tuple(str(header[f"FEAT{number}"]) for number in numbers)
    return names, tuple(str(header.get(f"FUNIT{number}", "")) for number in numbers)


def _stacked(amplitudes: Any, means: Any, covariances: Any) -> tuple[Any, Any, Any]:
    """Arrays (K,), (K, D), (K, D, D), from whatever axes of length 1 the table added or left out."""
    K = amplitudes.size
    d = means.size // max(K, 1)
    return amplitudes.reshape(K), means.reshape(K, d), covariances.reshape(K, d, d)
