"""The text file that XDGMM (Holoien, Marshall & Wechsler 2017) writes; its name ends in .fit, and it is no FITS file.

Lines of numbers separated by commas, below headings that begin with `#`: settings, labels (older files lack them),
weights, means, covariances; a line `#` stands between the covariances of two components.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

import numpy as np

from dgmmis.errors import FeatureMismatch, InvalidSetting
from dgmmis.model import Model
from dgmmis.model_formats.parameters import mixture_of, unreadable
from dgmmis.packed import Array
from dgmmis.samples import default_names

__all__ = ["FIRST_LINE", "read_xdgmm", "write_xdgmm"]

FIRST_LINE = "# XDGMM Model"
SETTINGS = "# n_components  n_iter  tol  method   random_state"
NO_LABELS = "No labels"
WHAT = "a model of XDGMM"


def write_xdgmm(model: Model, file: IO[bytes]) -> None:
    """Write it with the settings that XDGMM has by default; numbers with as many digits as they need.

    Raises
    ------
    InvalidSetting
        If a feature's name would be cut: it must have neither blanks nor commas.
    """
    mixture = model.mixture
    lines = [
        FIRST_LINE,
        SETTINGS,
        f"{mixture.n_components},100,1e-05,astroML,None",
        "# labels",
        _labels(model),
    ]
    lines += ["# weights", _line(mixture.amplitudes), "# means", *map(_line, mixture.means), "# covars"]
    lines += "\n#\n".join("\n".join(map(_line, covariance)) for covariance in mixture.covariances).split("\n")
    file.write(("\n".join(lines) + "\n").encode())


def _labels(model: Model) -> str:
    if model.features == default_names(model.mixture.n_features):
        return NO_LABELS
    for name in model.features:
        if not re.fullmatch(r"[^\s,]+", name):
            raise InvalidSetting(
                f"feature '{name}' cannot be a label of XDGMM, which ends at a blank or comma. Rename it: "
                "dataclasses.replace(model, features=...)."
            )
    return ",".join(model.features)


def _line(numbers: Array) -> str:
    return ",".join(repr(float(number)) for number in numbers)


def read_xdgmm(content: bytes, path: Path) -> Model:
    """Read what XDGMM's `save_model` wrote, with labels or without.

    Raises
    ------
    InvalidData
        If a line is none of it.
    """
    try:
        sections = _sections(content.decode("utf-8"))
        weights, means = _table(sections["weights"]), _table(sections["means"])
        n_components, n_features = means.shape
        covariances = _table(sections["covars"]).reshape(n_components, n_features, n_features)
    except KeyError as error:
        raise unreadable(path, WHAT, f"it has no line '# {error.args[0]}'") from error
    except ValueError as error:
        raise unreadable(path, WHAT, error) from error
    labels = ",".join(sections.get("labels", [NO_LABELS]))
    features = () if labels == NO_LABELS else tuple(labels.split(","))
    try:
        return Model(mixture_of(weights[0], means, covariances, path), features)
    except FeatureMismatch as error:
        raise unreadable(path, WHAT, error) from error


def _sections(text: str) -> dict[str, list[str]]:
    """Lines below each heading; a bare `#` is none."""
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        heading = line.removeprefix("#").strip()
        if line.startswith("#") and heading:
            current = sections.setdefault(heading.split()[0], [])
        elif not line.startswith("#"):
            current.append(line)
    return sections


def _table(lines: list[str]) -> Array:
    return np.array([[float(number) for number in line.split(",")] for line in lines], dtype=np.float64)
