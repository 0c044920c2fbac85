"""Python, libraries, and what decides the last bits."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from dgmmis.doctor.finding import Finding
from dgmmis.errors import DgmmisError
from dgmmis.runs import numerics_fingerprint

__all__ = ["examine_extras", "examine_libraries", "examine_numerics", "examine_python"]

LEAST_PYTHON = (3, 11)
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9_.\-]+)(?:\[[^\]]*\])?\s*(?:>=(?P<least>[0-9.]+))?")
EXTRA = re.compile(r"extra == ['\"](?P<extra>[\w-]+)['\"]")
EXTRAS = {
    "readers": "FITS, Parquet and CSV, --where and --derive",
    "report": "figures and reports",
    "sklearn": "dgmmis.estimator",
}
"""Optional libraries, and what needs them."""


def examine_python() -> Finding:
    """Look at Python."""
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info < LEAST_PYTHON:
        least = ".".join(map(str, LEAST_PYTHON))
        return Finding("Python", "wrong", found, f"Install Python {least} or newer, and dgmmis into it.")
    return Finding("Python", "good", found)


def examine_libraries() -> Finding:
    """Compare the installed libraries with what dgmmis requires."""
    troubles, present = [], []
    for name, least, extra in _requirements():
        if extra is None:
            trouble, found = _compared(name, least)
            troubles += [trouble] if trouble else []
            present.append(found)
    if troubles:
        return Finding(
            "libraries", "wrong", "; ".join(troubles), "Install dgmmis again: pip install --upgrade dgmmis."
        )
    return Finding("libraries", "good", ", ".join(present))


def examine_extras() -> Iterator[Finding]:
    """Look at the optional libraries, extra by extra."""
    wanted = list(_requirements())
    for extra, use in EXTRAS.items():
        compared = [_compared(name, least)[0] for name, least, of in wanted if of == extra]
        lacking = [trouble for trouble in compared if trouble]
        if lacking:
            advice = f'For {use}: pip install "dgmmis[{extra}]".'
            yield Finding(f"extra {extra}", "note", "; ".join(lacking), advice)
        else:
            yield Finding(f"extra {extra}", "good", f"for {use}")


def examine_numerics() -> Finding:
    """Tell what decides the last bits of a result."""
    try:
        fingerprint = numerics_fingerprint()
    except (DgmmisError, PackageNotFoundError, OSError) as error:
        return Finding("numerics", "wrong", str(error), "Install dgmmis again: pip install --upgrade dgmmis.")
    text = ", ".join(f"{name} {value}" for name, value in fingerprint.items())
    return Finding("numerics", "good", f"{text}: bits are the same where these are")


def _requirements() -> Iterator[tuple[str, str | None, str | None]]:
    """Yield what dgmmis requires: a library's name, its least version, and the extra that it belongs to."""
    for line in requires("dgmmis") or ():
        found, extra = REQUIREMENT.match(line), EXTRA.search(line)
        if found:
            yield found["name"], found["least"], extra["extra"] if extra else None


def _compared(name: str, least: str | None) -> tuple[str, str]:
    """Say what is wrong with an installed library, if anything, and what is installed."""
    try:
        there = version(name)
    except PackageNotFoundError:
        return f"{name} is not installed", name
    if least is not None and _numbers(there) < _numbers(least):
        return f"{name} {there} is older than {least}", f"{name} {there}"
    return "", f"{name} {there}"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])
