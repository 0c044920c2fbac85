"""What Dask logs of faults that are dealt with here goes to a log of ours instead of the terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["LOG_NAME", "dask_setup", "quietly"]

LOG_NAME = "dgmmis.dask"
"""The logger that has, at level DEBUG, what was kept from the terminal."""
OF_DASK = tuple(
    f"distributed.{name}"
    for name in (
        "batched", "client", "comm", "comm.core", "comm.tcp", "core", "deploy.local", "deploy.spec", "nanny",
        "process", "scheduler", "utils", "utils_comm", "worker",
    )
)  # fmt: skip
SHARED = ("asyncio", "tornado.application")
"""Loggers that others use as well: only what tells of Dask is taken from them."""


class Diversion(logging.Filter):
    """Sends what is less than critical to `LOG_NAME`; that a worker exceeds its memory has a logger of its own."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide whether a record stays where it is."""
        if record.levelno >= logging.CRITICAL:
            return True
        if not record.name.startswith("distributed.") and "distributed" not in _text_of(record):
            return True
        logging.getLogger(LOG_NAME).debug("%s: %s", record.name, _text_of(record))
        return False


def _text_of(record: logging.LogRecord) -> str:
    return logging.Formatter().format(record)


def dask_setup(worker: object) -> None:
    """Divert in a worker's own process for as long as it lives; Dask calls this, where it preloads the module."""
    for name in SHARED:
        logging.getLogger(name).addFilter(Diversion())


@contextmanager
def quietly() -> Iterator[None]:
    """Divert for as long as the context lasts."""
    diversion = Diversion()
    loggers = [logging.getLogger(name) for name in (*OF_DASK, *SHARED)]
    for logger in loggers:
        logger.addFilter(diversion)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(diversion)
