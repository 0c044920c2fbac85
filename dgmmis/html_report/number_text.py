"""Numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["aligned", "byte_text", "count", "duration", "percent", "signed", "significant"]

MINUS = "\N{MINUS SIGN}"
UNKNOWN = "not known yet"
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LARGEST_PLAIN = 1e9
LEAST_DECIMALS, MOST_DECIMALS = -3, 8


def count(number: float) -> str:
    """Write a whole number with its thousands apart."""
    return f"{round(number):,}".replace("-", MINUS)


def significant(number: float | None, digits: int = 4) -> str:
    """Write a number with so many significant digits; very large and small ones with a power of ten."""
    if number is None or not math.isfinite(number):
        return UNKNOWN
    if number == 0:
        return "0"
    exponent = math.floor(math.log10(abs(float(f"{number:.{digits - 1}e}"))))
    if -5 < exponent < 9:
        rounded = float(f"{number:.{digits - 1}e}")
        return f"{rounded:,.{max(0, digits - 1 - exponent)}f}".replace("-", MINUS)
    return _with_power(number, digits)


def _with_power(number: float, digits: int) -> str:
    mantissa, _, exponent = f"{number:.{digits - 1}e}".partition("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(SUPERSCRIPT)}".replace("-", MINUS)  # noqa: RUF001


def aligned(numbers: Sequence[float], resolution: float) -> list[str]:
    """Write the numbers of a column with the same decimals: three digits of `resolution` (> 0)."""
    decimals = 2 - math.floor(math.log10(resolution))
    largest = max((abs(number) for number in numbers), default=0.0)
    if not LEAST_DECIMALS <= decimals <= MOST_DECIMALS or largest >= LARGEST_PLAIN:
        spread = math.floor(math.log10(largest)) if largest > 0 else 0
        return [_with_power(number, int(np.clip(spread + decimals + 1, 3, 12))) for number in numbers]
    return [f"{number:,.{max(0, decimals)}f}".replace("-", MINUS) for number in numbers]


def signed(number: float) -> str:
    """Write a correlation."""
    return f"{number:+.2f}".replace("-", MINUS)


def percent(share: float) -> str:
    """Write a share of a whole in per cent, to a tenth."""
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    return f"{100 * share:.1f} %" if share >= 5e-4 else "< 0.1 %"


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    if seconds < 60:
        return f"{significant(seconds, 3)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def byte_text(n_bytes: int) -> str:
    """Write an amount of storage."""
    size, unit = float(n_bytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{significant(size, 3)} {unit}"
