"""`Run.watch()`: the panels of a run in a notebook, kept up to date by a thread.

They travel over Jupyter's own connection (jupyter_bokeh): no port is opened, and a notebook on another machine works as
one here does.  A thread of the kernel reads the folder, so that cells can be run meanwhile, a fit among them.  If the
kernel is killed the picture stays as it was, and the fit does not notice; the same cell in a new kernel goes on.
"""

from __future__ import annotations

import threading
from typing import Any

from dgmmis.errors import DgmmisError, NotARun
from dgmmis.location import Location
from dgmmis.monitor.watched import Watched
from dgmmis.optional_libraries import load_library

__all__ = ["RunWidget", "watch"]

ENDED = ("SUCCEEDED", "STOPPED", "FAILED", "CANCELLED")
JOB = "watching a run in a notebook"


class RunWidget:
    """The panels of a run, for the last line of a cell: what `watch` gives, and with its parameters and errors."""

    def __init__(self, path: str | Location, every: float = 1.0) -> None:
        load_library("bokeh", JOB, "dashboard")
        model = load_library("jupyter_bokeh", JOB, "dashboard").BokehModel
        board = load_library("dgmmis.monitor.board", JOB, "dashboard").Board
        self._watched, self._every = Watched(path), every
        record = self._watched.record()
        if record.state == "UNREADABLE":
            raise NotARun(record.problem)
        self._board = board(record, self._watched.sample(), narrow=True)
        self._over = threading.Event()
        self.widget: Any = _speaking_in_turn(model)(self._board.layout)
        self._thread = threading.Thread(target=self._follow, name="dgmmis-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more; the picture stays."""
        self._over.set()
        self._thread.join()

    @property
    def following(self) -> bool:
        """Whether it still looks: until the run has ended, or `stop`."""
        return self._thread.is_alive()

    def _follow(self) -> None:
        while not self._over.wait(self._every):
            try:
                record = self._watched.record()
            except (DgmmisError, OSError):
                continue  # the folder is not to be had for the moment
            self._board.show(record)
            if record.state in ENDED:
                return

    def _ipython_display_(self) -> None:
        inline = load_library("bokeh.resources", JOB, "dashboard").INLINE
        load_library("bokeh.io", JOB, "dashboard").output_notebook(inline, hide_banner=True)
        load_library("IPython.display", JOB, "dashboard").display(self.widget)


def watch(run: str | Location, *, every: float = 1.0) -> RunWidget:
    """Show a run in a notebook and follow it, without keeping the kernel from its work; nothing is driven by it.

    Parameters
    ----------
    run : path, or address in an object store
        The run folder.
    every : float
        Seconds between two looks.

    Raises
    ------
    MissingLibrary
        If the extra `dashboard` is not installed.
    NotARun
        If there is no run that can be read.
    """
    return RunWidget(run, every)


def _speaking_in_turn(model: Any) -> Any:
    """Make a widget whose messages of one change are not mixed with those of another thread's."""
    turn = threading.RLock()

    class InTurn(model):  # type: ignore[misc]
        def _document_patched(self, event: Any) -> None:
            with turn:
                super()._document_patched(event)

    return InTurn
