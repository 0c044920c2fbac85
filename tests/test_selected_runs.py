"""A run of the whole observation model is never lost: selection, background and floor come back with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import dgmmis
from dgmmis.background import Background
from dgmmis.errors import RunConflict
from dgmmis.observer import SilentObserver
from dgmmis.selection import CompletenessMap
from simulated import FOOTPRINT, SELECTION, TRUTH, bits_of, whole_model, write_selected_catalog

VAGUE = dgmmis.Mixture(np.full(3, 1 / 3), TRUTH.means / 2, np.tile(9 * np.eye(3), (3, 1, 1)))
CELLS = CompletenessMap(
    [[-15, -5, 0, 5, 15], [-15, -4, 6, 15]],
    [[0, 0, 0], [0, 1, 0.5], [0, 0.75, 0.5], [0, 0, 0]],
    features=("a", "b"),
)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dgmmis.Catalog:
    return write_selected_catalog(tmp_path_factory.mktemp("cut") / "stars.zarr", n_rows=800, chunk_rows=200)


def fit(catalog: dgmmis.Catalog, run: Path | None, **settings: object) -> dgmmis.FitResult:
    settings = {"initial": VAGUE, "tolerance": 0, "max_passes": 16, **whole_model(), **settings}
    return dgmmis.fit(catalog, run=run, **settings)


class DiesAfter(SilentObserver):
    """Dies once the pass of this number lies in the run folder."""

    def __init__(self, number: int) -> None:
        self.number = number

    def on_pass(self, scan: dgmmis.fit_result.Scan, *_: object) -> None:
        if scan.number == self.number:
            raise KeyboardInterrupt


def assert_same(left: dgmmis.FitResult, right: dgmmis.FitResult) -> None:
    assert bits_of(left) == bits_of(right)
    assert left.history == right.history
    assert (left.reason, left.background.amplitude) == (right.reason, right.background.amplitude)
    assert (left.completeness, left.completeness_error) == (right.completeness, right.completeness_error)
    assert (left.completion.since, left.completion.n_points) == (
        right.completion.since,
        right.completion.n_points,
    )
    assert left.completion.reference.refresh == right.completion.reference.refresh


def killed_and_resumed(
    catalog: dgmmis.Catalog, run: Path, deaths: tuple[int, ...], settings: Mapping[str, object]
) -> dgmmis.FitResult:
    """Fit in a run that dies after each of these passes, resumed from its folder alone."""
    with pytest.raises(KeyboardInterrupt):
        fit(catalog, run, observer=DiesAfter(deaths[0]), **settings)
    for number in deaths[1:]:
        with pytest.raises(KeyboardInterrupt):
            dgmmis.resume(run, observer=DiesAfter(number))
    assert dgmmis.open_run(run).state() == "INTERRUPTED"
    return dgmmis.resume(run)


@pytest.mark.parametrize("selection", [SELECTION, CELLS], ids=["box", "map"])
def test_a_killed_and_resumed_run_equals_one_never_stopped_and_a_fit_without_one(
    catalog: dgmmis.Catalog, tmp_path: Path, selection: object
) -> None:
    settings = {"selection": selection}
    never_stopped = fit(catalog, tmp_path / "whole", **settings)
    assert never_stopped.completion.reference.refresh > 0
    assert 0.3 < never_stopped.completeness < 0.95
    assert_same(fit(catalog, None, **settings), never_stopped)
    assert_same(killed_and_resumed(catalog, tmp_path / "run", (0, 1, 9), settings), never_stopped)


def test_a_run_killed_where_its_imputed_points_grow_equals_one_never_stopped(
    catalog: dgmmis.Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked early whether the points are enough, a small error that is wanted says no."""
    monkeypatch.setattr("dgmmis.iterate.JUDGED_AT", 20.0)
    monkeypatch.setattr("dgmmis.imputed_passes.WANTED_ERROR", 0.05)
    settings = {"tolerance": 20.0, "max_passes": 200}
    never_stopped = fit(catalog, tmp_path / "whole", **settings)
    grown = [scan.number for scan in never_stopped.history if "imputed points times" in str(scan.events)]
    assert never_stopped.converged
    assert grown
    resumed = killed_and_resumed(catalog, tmp_path / "run", (grown[0], grown[0] + 1), settings)
    assert_same(resumed, never_stopped)
    assert_same(dgmmis.resume(tmp_path / "run"), never_stopped)


def test_the_model_of_a_run_has_its_selection_and_its_fitted_background(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    result = fit(catalog, tmp_path / "run", max_passes=2)
    model = dgmmis.open_run(tmp_path / "run").model()
    assert model.selection == SELECTION
    assert [background.amplitude for background in model.backgrounds] == [result.background.amplitude]
    assert result.background.amplitude != whole_model()["background"].amplitude


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"selection": CELLS}, "selection"),
        ({"background": Background(FOOTPRINT, amplitude=0.3)}, "backgrounds"),
        ({"floor": 0.2}, "floor"),
        ({"before_noise": True}, "selection"),
    ],
)
def test_another_observation_model_is_another_run(
    catalog: dgmmis.Catalog, tmp_path: Path, settings: dict[str, object], named: str
) -> None:
    fit(catalog, tmp_path / "run", max_passes=0)
    with pytest.raises(RunConflict, match=f"{named}: there"):
        fit(catalog, tmp_path / "run", max_passes=0, **settings)
