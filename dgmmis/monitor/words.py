"""Numbers and times as people read them on the page."""

from __future__ import annotations

import math

__all__ = [
    "UNKNOWN",
    "bytes_words",
    "count_words",
    "duration_words",
    "number_words",
    "passes_words",
    "share_words",
]

UNKNOWN = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
LARGEST = 1e9


def count_words(number: float | None) -> str:
    """Write a whole number with its thousands apart, large ones in millions or milliards of three digits."""
    if number is None or not math.isfinite(number):
        return UNKNOWN
    for size, name in ((1e9, "G"), (1e6, "M")):
        if abs(number) >= size:
            return f"{number / size:.3g} {name}"
    return f"{number:,.0f}".replace("-", MINUS)


def number_words(number: float | None, digits: int = 4) -> str:
    """Write a number with so many significant digits, large ones as whole numbers."""
    if number is None or not math.isfinite(number):
        return UNKNOWN
    whole = 10**digits <= abs(number) < LARGEST
    return (f"{number:,.0f}" if whole else f"{number:,.{digits}g}").replace("-", MINUS)


def bytes_words(number: float | None) -> str:
    """Write an amount of storage."""
    if number is None or not math.isfinite(number):
        return UNKNOWN
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(number) < 1000:
            return f"{number:.3g} {unit}"
        number /= 1024
    return f"{number:.3g} TiB"


def duration_words(seconds: float) -> str:
    """Write a time in the units that suit it."""
    if not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def passes_words(number: int) -> str:
    """Write how many passes."""
    return "1 pass" if number == 1 else f"{number:,} passes"


def share_words(share: float) -> str:
    """Write a share of a whole in per cent."""
    return f"{100 * share:.3g} %" if math.isfinite(share) else UNKNOWN
