"""What decides the last bits of a result besides data and settings."""

from __future__ import annotations

import platform
from importlib.metadata import version

from llvmlite.binding import get_host_cpu_name

__all__ = ["numerics_fingerprint"]

PACKAGES = ("dgmmis", "numpy", "scipy", "numba", "llvmlite")


def numerics_fingerprint() -> dict[str, str]:
    """Versions of all that computes, and the processor the kernels are compiled for.

    Equal bits are promised where this is equal.
    """
    versions = {package: version(package) for package in PACKAGES}
    return {**versions, "python": platform.python_version(), "cpu": str(get_host_cpu_name())}
