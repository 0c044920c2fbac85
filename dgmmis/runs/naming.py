"""The name of a run under a root: it follows from what shapes the result, so the same fit is the same run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from dgmmis.runs.description import FORMAT

__all__ = ["run_name"]

DIGITS = 16


def run_name(config: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """Name the run of a configuration on data: the first hexadecimal digits of a sha256.

    Budgets, means and where the catalogue lies are no part of it; the seed is one of the configuration.
    """
    shaping = {"format": FORMAT, "config": dict(config), "data": data["fingerprint"]}
    canonical = json.dumps(shaping, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:DIGITS]
