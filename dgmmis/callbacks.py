"""Callbacks with the hooks of scikit-learn's, told of a fit's passes: an adapter over `Observer`.

A callback is any object with `setup`, `on_fit_task_begin`, `on_fit_task_end` and `teardown`, as scikit-learn 1.9 calls
them (`sklearn.callback.FitCallback`); scikit-learn itself is not needed.
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, runtime_checkable

from dgmmis.errors import InvalidSetting
from dgmmis.fit_result import Scan
from dgmmis.iterate import Pass
from dgmmis.observer import Observer

__all__ = ["FitCallback", "FitTask", "PassTasks", "calling"]

Told = Mapping[str, Any]


@runtime_checkable
class FitCallback(Protocol):
    """Whoever wants to hear of a fit, in scikit-learn's words.  An exception of a hook ends the fit."""

    def setup(self, estimator: object, context: Any) -> None:
        """Hear that a fit begins; `context` is its root task."""

    def on_fit_task_begin(self, estimator: object, context: Any) -> None:
        """Hear that a task begins: the fit, or one of its passes."""

    def on_fit_task_end(self, estimator: object, context: Any) -> object:
        """Hear that a task ended.  A keyword-only parameter `metadata` gets what is known of the pass."""

    def teardown(self, estimator: object, context: Any) -> None:
        """Hear that the fit is over, however it ended."""


class Task(Protocol):
    """What a fit needs of a tree of tasks: `FitTask` has it, and so has scikit-learn's `CallbackContext`."""

    def subcontext(self, task_name: str) -> Task:
        """Add a task below."""

    def call_on_fit_task_begin(self, *, estimator: object) -> object:
        """Tell the callbacks."""

    def call_on_fit_task_end(self, *, estimator: object, metadata: Told | None = None) -> object:
        """Tell the callbacks."""


@dataclass(frozen=True, eq=False)
class FitTask:
    """A fit, or one of its passes: what callbacks get as `context`, with the attributes of scikit-learn's.

    Attributes
    ----------
    task_name : str
        "fit", or for its subtasks "start pass" (over a random sample) and "pass" (over all rows).
    task_id : int
        Number among its siblings, from 0.
    max_subtasks : int or None
        None: nobody knows before; 0: it has none.
    parent : FitTask or None
    callbacks : tuple of FitCallback
    estimator_name : str
    root_uuid : UUID
    init_time : datetime
    """

    task_name: str
    callbacks: tuple[FitCallback, ...]
    task_id: int = 0
    max_subtasks: int | None = None
    parent: FitTask | None = None
    estimator_name: str = "dgmmis.fit"
    root_uuid: uuid.UUID = field(default_factory=uuid.uuid4)
    init_time: datetime = field(default_factory=lambda: datetime.now(UTC))
    sequential_subtasks: bool = True
    source_estimator_name: str | None = None
    source_task_name: str | None = None
    _children: list[FitTask] = field(default_factory=list, repr=False)

    def subcontext(self, task_name: str) -> FitTask:
        """Add a task below."""
        child = FitTask(
            task_name,
            self.callbacks,
            len(self._children),
            max_subtasks=0,
            parent=self,
            root_uuid=self.root_uuid,
        )
        self._children.append(child)
        return child

    def call_on_fit_task_begin(self, *, estimator: object) -> None:
        """Tell the callbacks that it begins."""
        for callback in self.callbacks:
            _call(callback.on_fit_task_begin, estimator, self, None)

    def call_on_fit_task_end(self, *, estimator: object, metadata: Told | None = None) -> None:
        """Tell the callbacks that it ended."""
        for callback in self.callbacks:
            _call(callback.on_fit_task_end, estimator, self, metadata)


def _call(hook: Any, estimator: object, task: FitTask, metadata: Told | None) -> None:
    """Call a hook with what it asks for by name; what a fit of `dgmmis.fit` does not have is None."""
    known = {"X": None, "y": None, "metadata": metadata, "fitted_estimator": None}
    asked = [p.name for p in inspect.signature(hook).parameters.values() if p.kind == p.KEYWORD_ONLY]
    hook(estimator, task, **{name: known[name] for name in asked if name in known})


class PassTasks:
    """An `Observer` that makes a task of each pass: it begins with the first segment that is back, or with its end.

    Parameters
    ----------
    root : Task
        Of the fit.
    estimator : object
        What callbacks are told is fitted.
    """

    def __init__(self, root: Task, estimator: object = None) -> None:
        self._root, self._estimator = root, estimator
        self._under_way: Task | None = None

    def on_stage(self, what: str) -> None:
        """Do nothing: a stage is no task."""

    def on_start_pass(self, scan: Pass) -> None:
        """End a pass over the pilot sample."""
        statistics = scan.statistics
        self._end(
            "start pass",
            {"number": scan.number, "mean_log_likelihood": statistics.mean_log_likelihood},
        )

    def on_segment(self, done: int, of: int) -> None:
        """Begin a pass."""
        self._begin("pass")

    def on_pass(self, scan: Scan, log_likelihoods: tuple[float, ...], rows: int) -> None:
        """End a pass over all rows."""
        self._end("pass", {**asdict(scan), "rows": rows})

    def _begin(self, name: str) -> Task:
        if self._under_way is None:
            self._under_way = self._root.subcontext(task_name=name)
            self._under_way.call_on_fit_task_begin(estimator=self._estimator)
        return self._under_way

    def _end(self, name: str, metadata: Told) -> None:
        task = self._begin(name)
        self._under_way = None
        task.call_on_fit_task_end(estimator=self._estimator, metadata=metadata)

    def close(self) -> None:
        """End a task that began and came to nothing, such as a look at the rows after the last pass."""
        if self._under_way is not None:
            task, self._under_way = self._under_way, None
            task.call_on_fit_task_end(estimator=self._estimator)


@contextmanager
def calling(*callbacks: FitCallback) -> Iterator[Observer]:
    """Give the observer by which a fit calls these callbacks, for the one fit made while the context lasts.

    Raises
    ------
    InvalidSetting
        If one of them lacks a hook.
    """
    for callback in callbacks:
        if isinstance(callback, type) or not isinstance(callback, FitCallback):
            raise InvalidSetting(
                f"{callback!r} is no callback; expected an object with the methods setup, on_fit_task_begin, "
                "on_fit_task_end and teardown."
            )
    root = FitTask("fit", callbacks)
    with ExitStack() as stack:
        for callback in callbacks:
            stack.callback(callback.teardown, None, root)
            callback.setup(None, root)
        root.call_on_fit_task_begin(estimator=None)
        tasks = PassTasks(root)
        yield tasks
        tasks.close()
        root.call_on_fit_task_end(estimator=None)
