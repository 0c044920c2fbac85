"""Whoever watches a run being driven."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from dgmmis.errors import InvalidSetting
from dgmmis.fit_result import Scan
from dgmmis.iterate import Pass

__all__ = ["Observer", "SilentObserver", "watching"]


@runtime_checkable
class Observer(Protocol):
    """Whoever watches a run being driven.  An exception of any of its methods ends the drive."""

    def on_stage(self, what: str) -> None:
        """Hear that another stage begins."""

    def on_start_pass(self, scan: Pass) -> None:
        """Hear of a pass over the pilot sample."""

    def on_segment(self, done: int, of: int) -> None:
        """Hear that `done` of the segments of the pass under way are back; on a cluster every second or so."""

    def on_pass(self, scan: Scan, log_likelihoods: tuple[float, ...], rows: int) -> None:
        """Hear of a finished pass over all `rows`; `log_likelihoods` are those of all passes so far."""


class SilentObserver:
    """Watches and says nothing."""

    def on_stage(self, what: str) -> None:
        """Do nothing."""

    def on_start_pass(self, scan: Pass) -> None:
        """Do nothing."""

    def on_segment(self, done: int, of: int) -> None:
        """Do nothing."""

    def on_pass(self, scan: Scan, log_likelihoods: tuple[float, ...], rows: int) -> None:
        """Do nothing."""


def watching(observer: Observer | None) -> Observer:
    """Take whoever watches, or nobody; refuse what cannot watch, by `InvalidSetting`."""
    if observer is None:
        return SilentObserver()
    if not isinstance(observer, Observer):
        raise InvalidSetting(
            f"observer is {observer!r}; expected an object with the methods of dgmmis.observer.SilentObserver."
        )
    return observer
