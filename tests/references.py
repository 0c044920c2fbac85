"""What trusted programs computed, where the folder with their results lies beside the repository."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "shared" / "reference"


def load_reference(name: str) -> Mapping[str, np.ndarray]:
    """Arrays of one case; the test that asks is skipped where they are absent."""
    path = FOLDER / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"the reference case {name} is not beside this repository")
    with np.load(path) as stored:
        return dict(stored)
