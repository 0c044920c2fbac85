"""What was looked at, what was found, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Finding", "Verdict"]

Verdict = Literal["good", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    subject : str
        What was looked at.
    verdict : str
        "good"; "note": a fit works, with less; "wrong": it does not, or not safely.
    found : str
        What there is.
    advice : str
        What to do; empty only if all is good.
    """

    subject: str
    verdict: Verdict
    found: str
    advice: str = ""

    def describe(self) -> dict[str, Any]:
        """Write it in JSON."""
        return asdict(self)
