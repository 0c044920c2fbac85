"""The run folder.

run.json          what shapes the trajectory: configuration, data fingerprint, seed, numerics
arrays.npz        large arrays of the configuration (maps of a selection), if it has any
start.ckpt        the mixture the fit starts from, and how it was found
ckpt/000012.ckpt  one object per pass, each naming the digest of the one before
requests/0001.json  what somebody who left wishes a server to drive it with
attempts/0001.json  cluster, tolerance, max_passes: budgets belong to an attempt
log/0001.jsonl    one line per event of that attempt
pulse.json        what its driver is doing at this moment, written over every few seconds
cancel            somebody wants it to stop
final.json        how the run ended
collected/0001.json  which checkpoints were collected as garbage, and their digests
lock              held by whoever drives the run
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from dgmmis.errors import CorruptCheckpoint, NotARun
from dgmmis.model import Model
from dgmmis.packed import Array
from dgmmis.plain_arrays import read_arrays
from dgmmis.runs.checkpoint_chain import CheckpointChain
from dgmmis.runs.parameters import npz_of
from dgmmis.runs.task_record import names_functions, stored_selection, stored_task
from dgmmis.selection import Selection
from dgmmis.task import Task

__all__ = ["RunFolder"]

BUDGET = ("tolerance", "max_passes", "requests")
ARRAYS = "arrays.npz"
MODEL = "model.npz"


class RunFolder(CheckpointChain):
    """One run: what is fitted, in what state it is, and its model.  Use `create_run` or `open_run`."""

    @cached_property
    def selection(self) -> Selection | None:
        """The selection of the run's rows.

        Raises
        ------
        SelectionError, UntrustedFunction
            If it has a function that cannot be imported here, or is not to be.
        """
        return stored_selection(self.config, self.arrays(), self.trust)

    def task(self, features: tuple[str, ...]) -> Task:
        """Return what is fitted; raises as `selection`."""
        return stored_task(self.config, self.arrays(), features, self.trust)

    @property
    def names_functions(self) -> bool:
        """Whether run.json names functions of users."""
        return names_functions(self.config)

    def write_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Store the arrays that the configuration names by their hashes."""
        if arrays:
            with suppress(FileExistsError):  # the same content: its hashes are in run.json
                self.place.put_if_absent(ARRAYS, npz_of(arrays))

    def arrays(self) -> dict[str, Array]:
        """Return what `write_arrays` stored."""
        if not self.place.exists(ARRAYS):
            return {}
        try:
            return read_arrays(self.place.read(ARRAYS))
        except ValueError as error:
            raise CorruptCheckpoint(
                f"{self.path}/{ARRAYS} was cut off or altered: {error}. Restore it from a copy, or start a new run."
            ) from error

    def is_held(self) -> bool:
        """Tell whether a living process drives this run."""
        return self.place.is_held()

    def holder(self) -> str:
        """Who drives this run, or did last; empty if nobody did."""
        return self.place.holder()

    def state(self) -> str:
        """Compute the state from what lies there and from the lock.

        QUEUED waits to be driven; RUNNING is driven; CANCELLING is driven, and its driver is about to stop; CANCELLED
        was stopped by a cancel; SUCCEEDED converged; STOPPED ran out of its passes; FAILED cannot go on as it is;
        INTERRUPTED died.  Nothing can stay RUNNING after its driver's death, because the lock dies with it.
        """
        if self.is_held():
            cancelling = self.requests.is_cancelled() and self.final() is None
            return "CANCELLING" if cancelling else "RUNNING"
        return self.resting_state()

    def resting_state(self) -> str:
        """Compute the state as if nobody drove the run."""
        end, cancelled, waiting = self.end(), self.requests.is_cancelled(), self.is_waiting()
        if end and (cancelled or not waiting):
            return end
        if cancelled:
            return "CANCELLED"
        return "QUEUED" if waiting or self.n_attempts() == 0 else "INTERRUPTED"

    def end(self) -> str:
        """Name the end that the last attempt came to by itself: SUCCEEDED, FAILED or STOPPED; empty without one.

        A cancel that came after it was too late.
        """
        final, attempts = self.final(), self.n_attempts()
        if final is not None or attempts == 0:
            return "" if final is None else str(final["state"])
        trace = self.open_trace(attempts).read()
        return "STOPPED" if trace and trace[-1]["event"] == "stopped" else ""

    def model(self) -> Model:
        """Return the model that stands after the last pass.

        Raises
        ------
        NotARun
            Before the first one is done.
        CorruptCheckpoint
            If the run has ended, and the checkpoint it ended on is damaged or lost.
        """
        latest = self.latest()
        if not self.reaches_its_end(latest):
            raise CorruptCheckpoint(
                f"the last checkpoint of {self.path} is damaged or lost. Make it again: dgmmis resume {self.path}"
            )
        if latest is None:
            raise NotARun(f"{self.path} has no finished pass yet: drive it with `dgmmis resume {self.path}`.")
        standing = latest.scan.standing
        return Model(
            standing.mixture,
            tuple(self.data["features"]),
            tuple(self.data["units"]),
            standing.population.backgrounds,
            self.selection,
        )

    def write_model(self, model: Model) -> str:
        """Write a model beside the run, as `model.npz`, over an earlier one; tell where."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / MODEL
            model.save(path)
            self.place.replace(path.name, path.read_bytes())
            return str(self.path / path.name)

    def give_up(self, reason: str) -> None:
        """Record, in an attempt of its own, that the run cannot be driven as it is, and why.

        Raises
        ------
        RunLocked
            If somebody drives it.
        """
        with self.driven():
            budget = {key: value for key, value in self.next_budget().items() if key in BUDGET}
            number = self.begin_attempt(budget)
            self.open_trace(number).write("refused", reason=reason)
            self.reopen(number)
            self.write_final({"state": "FAILED", "reason": reason})
