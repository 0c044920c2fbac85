"""Where a benchmark ran: `python surroundings.py` prints processor, versions and BLAS kernel as JSON."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np  # noqa: F401 - its BLAS is to be found loaded
import scipy.linalg  # noqa: F401
import threadpoolctl

__all__ = ["describe_surroundings"]

PACKAGES = (
    "dgmmis", "scikit-learn", "pygmmis", "gmmx", "jax", "pyspark", "numpy", "scipy", "numba", "zarr", "dask", "pyarrow",
)  # fmt: skip


def describe_surroundings() -> dict[str, str]:
    """Return what a reader needs to judge the figures."""
    return {
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name))),
        "BLAS": "; ".join(
            sorted(
                f"{library['internal_api']} {library['version']}, kernel {library['architecture']}, "
                f"{library['num_threads']} thread"
                for library in threadpoolctl.threadpool_info()
                if library["user_api"] == "blas"
            )
        ),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None  # not all peers are needed for all benchmarks


def _processor() -> str:
    """Model with family and number, which tell generations of one name apart, and its widest vectors."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = facts.get("flags", "").split()
    widest = next((flag for flag in ("avx512f", "avx2", "avx") if flag in flags), "no AVX")
    model = facts.get("model name", platform.processor())
    return f"{model} (family {facts.get('cpu family')}, model {facts.get('model')}), {widest}"


if __name__ == "__main__":
    print(json.dumps(describe_surroundings()))
