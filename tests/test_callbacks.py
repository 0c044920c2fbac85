"""Callbacks in scikit-learn's words: told of every pass, in order, whoever fits; and they change nothing."""

from __future__ import annotations

import numpy as np
import pytest

import dgmmis
from dgmmis.callbacks import FitTask, calling
from dgmmis.errors import InvalidSetting
from simulated import TRUTH, noisy_rows

VALUES, NOISE = noisy_rows(400)
SETTINGS = {"n_components": 3, "initial": TRUTH, "noise": NOISE}


class Recorder:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.passes: list[dict[str, object]] = []

    def setup(self, estimator: object, context: FitTask) -> None:
        self.heard.append(("setup", context.task_name))

    def on_fit_task_begin(self, estimator: object, context: FitTask) -> None:
        self.heard.append(("begin", context.task_name))

    def on_fit_task_end(
        self, estimator: object, context: FitTask, *, metadata: dict[str, object] | None = None
    ) -> None:
        self.heard.append(("end", context.task_name))
        if context.task_name == "pass" and metadata:
            assert context.parent.task_name == "fit"
            self.passes.append(metadata)

    def teardown(self, estimator: object, context: FitTask) -> None:
        self.heard.append(("teardown", context.task_name))


def assert_nested(heard: list[tuple[str, str]]) -> None:
    """Assert that every task that begins ends, one after another, inside the fit."""
    assert heard[:2] == [("setup", "fit"), ("begin", "fit")]
    assert heard[-2:] == [("end", "fit"), ("teardown", "fit")]
    inside = heard[2:-2]
    assert [what for what, _ in inside] == ["begin", "end"] * (len(inside) // 2)
    assert {name for _, name in inside} <= {"pass", "start pass"}


def test_every_pass_of_a_fit_is_told_of_once_and_the_bits_are_those_of_a_fit_without() -> None:
    first, second = Recorder(), Recorder()
    with calling(first, second) as observer:
        result = dgmmis.fit(VALUES, **SETTINGS, observer=observer)
    assert_nested(first.heard)
    assert second.heard == first.heard
    assert [one["number"] for one in first.passes] == [scan.number for scan in result.history]
    assert [one["log_likelihood"] for one in first.passes] == [scan.log_likelihood for scan in result.history]
    assert {one["rows"] for one in first.passes} == {np.isfinite(VALUES).any(axis=1).sum()}
    alone = dgmmis.fit(VALUES, **SETTINGS)
    assert alone.mixture.means.tobytes() == result.mixture.means.tobytes()


def test_a_fit_that_looks_for_its_start_tells_of_the_passes_over_the_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dgmmis.unkept_fit.PILOT_ROWS", 200)
    recorder = Recorder()
    with calling(recorder) as observer:
        dgmmis.fit(VALUES, n_components=1, noise=NOISE, max_passes=2, observer=observer)
    assert_nested(recorder.heard)
    assert ("end", "start pass") in recorder.heard


def test_what_a_hook_raises_ends_the_fit_and_all_are_torn_down() -> None:
    class Tired(Recorder):
        def on_fit_task_end(self, estimator: object, context: FitTask) -> None:
            raise KeyError("enough")

    tired, other = Tired(), Recorder()
    with pytest.raises(KeyError, match="enough"), calling(tired, other) as observer:
        dgmmis.fit(VALUES, **SETTINGS, observer=observer)
    assert tired.heard[-1] == other.heard[-1] == ("teardown", "fit")
    assert ("end", "fit") not in other.heard


def test_what_is_no_callback_is_refused_by_name() -> None:
    for wrong in (Recorder, print, None):
        with pytest.raises(InvalidSetting, match="on_fit_task_end"), calling(wrong):
            raise AssertionError("not reached")


def test_the_estimator_tells_the_same_to_the_same_callbacks_and_to_those_of_scikit_learn() -> None:
    callback = pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks since 1.9")
    from dgmmis.estimator import GaussianMixture

    assert isinstance(Recorder(), callback.FitCallback)
    told, recorder = Recorder(), Recorder()
    values = np.nan_to_num(VALUES[:150, :2])
    with calling(told) as observer:
        dgmmis.fit(values, n_components=2, prior=None, max_passes=3, tolerance=0, observer=observer)
    model = GaussianMixture(2, max_iter=3, tol=0).set_callbacks(recorder, callback.ProgressBar())
    model.fit(values)
    assert_nested(recorder.heard)
    assert recorder.heard == told.heard
    assert recorder.passes == told.passes


def test_a_search_over_parameters_propagates_its_callbacks_to_the_estimator() -> None:
    pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks since 1.9")
    from sklearn.model_selection import GridSearchCV

    from dgmmis.estimator import GaussianMixture

    class Propagated(Recorder):
        max_propagation_depth = None

        def __init__(self) -> None:
            super().__init__()
            self.estimators: set[str] = set()

        def on_fit_task_begin(self, estimator: object, context: FitTask) -> None:
            self.estimators.add(type(estimator).__name__)

    recorder = Propagated()
    search = GridSearchCV(GaussianMixture(max_iter=2, tol=0), {"n_components": [1]}, cv=2, refit=False)
    search.set_callbacks(recorder).fit(np.nan_to_num(VALUES[:120, :2]))
    assert recorder.estimators == {"GridSearchCV", "GaussianMixture"}
    assert [what for what, _ in recorder.heard].count("setup") == 1
