"""How starts compete on a sample: who goes on, what moves, and what is kept of each."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import dgmmis
from dgmmis import pilot_moves, starts
from dgmmis.cli.application import application
from dgmmis.constraints import Constraints
from dgmmis.errors import CollapsedComponent, InvalidSetting
from dgmmis.html_report.start_text import _carried
from dgmmis.mixture import Mixture
from dgmmis.optima import same_optimum
from dgmmis.plots import as_svg, draw_start_paths
from dgmmis.population import Population
from dgmmis.rows import Rows
from dgmmis.runs.checkpoint import DIGEST_BYTES
from dgmmis.runs.parameters import npz_of
from dgmmis.runs.start_object import decode_start, encode_start
from dgmmis.short_fits import HALVED_AFTER, SHORT_PASSES, halved, rearranged, seeded
from dgmmis.starts import FINALISTS, Start, Trial, choose_start
from dgmmis.task import N_STARTS, Task
from simulated import bits_of, write_catalog
from strategies import random_scene


def sample(seed: int = 0, n: int = 800) -> tuple[Rows, Task]:
    """Rows that five components overlap in, and what is fitted to them."""
    scene = random_scene(seed, n=n, d=2, k=5, kind="diagonal", spread=3)
    return Rows(scene.values, scene.noise), Task(5, Constraints.none(5, 2), seed=seed)


@pytest.fixture(scope="module")
def start() -> Start:
    rows, task = sample()
    return choose_start(rows, task, whole=True)


def test_every_start_is_kept_with_its_path_and_its_fate(start: Start) -> None:
    assert len(start.trials) == N_STARTS
    fates = [trial.fate for trial in start.trials]
    assert fates.count("finished") == FINALISTS
    assert fates.count("behind") == N_STARTS - FINALISTS
    for trial, score in zip(start.trials, start.mean_log_likelihoods, strict=True):
        assert score == trial.path[-1]
        if trial.fate == "behind":
            assert len(trial.path) - 1 in HALVED_AFTER
        else:
            assert trial.moved_at or len(trial.path) - 1 == SHORT_PASSES
    chosen = start.trials[start.chosen]
    assert chosen.fate == "finished"
    assert chosen.optimum == 0
    assert chosen.path[-1] == max(start.mean_log_likelihoods)


def test_who_is_left_behind_was_behind_all_that_went_on(start: Start) -> None:
    for cut in HALVED_AFTER:
        left = [trial.path[cut] for trial in start.trials if len(trial.path) == cut + 1]
        went_on = [trial.path[cut] for trial in start.trials if len(trial.path) > cut + 1]
        assert left
        assert max(left) <= min(went_on)


def test_a_start_that_goes_on_has_the_bits_of_one_that_never_paused() -> None:
    rows, task = sample(1)
    fit = seeded(rows, task, 1)[0]
    paused = fit.advanced(HALVED_AFTER[0]).advanced(HALVED_AFTER[1]).advanced(SHORT_PASSES)
    assert paused.path == fit.advanced(SHORT_PASSES).path


@pytest.mark.parametrize("kind", ["full", "diagonal", "tied"])
def test_moves_never_lower_the_objective_and_keep_to_the_constraints(kind: str) -> None:
    rows, task = sample(2)
    task = replace(task, constraints=Constraints.of(5, 2, covariance_type=kind))
    for fit in seeded(rows, task, 4):
        before = fit.advanced(10)
        after = rearranged(before, task)
        assert after.objective >= before.objective
        assert after.path[: len(before.path)] == before.path
        assert after.last is not None
        covariances = after.last.population.mixture.covariances
        if kind == "diagonal":
            assert (covariances[:, 0, 1] == 0).all()
        if kind == "tied":
            assert (covariances == covariances[0]).all()


def test_two_components_on_one_cluster_and_one_on_two_are_rearranged() -> None:
    """The trap that expectation maximization does not leave by itself."""
    rng = np.random.default_rng(5)
    centers = np.array([[0.0, 0.0], [6.0, 0.0], [30.0, 0.0], [30.0, 30.0]])
    values = centers[rng.integers(4, size=2000)] + rng.normal(size=(2000, 2))
    rows = Rows(values, dgmmis.Noise.none())
    task = Task(4, Constraints.none(4, 2))
    means = np.array([[3.0, 0.0], [30.0, 0.0], [30.0, 29.0], [30.0, 31.0]])
    trapped = Mixture(np.full(4, 0.25), means, np.stack([np.eye(2)] * 4))
    fit = replace(seeded(rows, task, 1)[0], population=Population(trapped)).advanced(SHORT_PASSES)
    after = rearranged(fit, task)
    found = after.last.population.mixture.means
    assert np.abs(np.sort(found[:, 0]) - np.sort(centers[:, 0])).max() < 0.3
    assert after.objective > fit.objective + 300
    assert len(after.moved_at) == 1


def test_if_all_finalists_fail_those_left_behind_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_fail(fits, task, keep):
        fits, order = halved(fits, task, keep)
        for place in order:
            fits[place] = replace(fits[place], error=CollapsedComponent(0, 1.0))
        return fits, []

    monkeypatch.setattr(starts, "halved", all_fail)
    rows, task = sample(3)
    start = choose_start(rows, task, whole=True)
    assert [trial.fate for trial in start.trials].count("failed") == FINALISTS
    assert start.trials[start.chosen].fate == "finished"
    assert np.isnan(start.mean_log_likelihoods).sum() == FINALISTS
    assert "collapsed" in next(trial.reason for trial in start.trials if trial.fate == "failed")


def test_the_optimum_that_is_best_on_all_rows_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pilot_moves, "MOST_MOVES", 0)  # they only cost time here
    rows, task = sample(4, n=300)
    asked: list[Population] = []

    def worse_and_worse(population: Population) -> float:
        asked.append(population)
        return -float(len(asked))

    def better_and_better(population: Population) -> float:
        return -worse_and_worse(population)

    first = choose_start(rows, replace(task, carried=3), whole=True, on_all_rows=worse_and_worse)
    n_optima = len(asked)
    last = choose_start(rows, replace(task, carried=3), whole=True, on_all_rows=better_and_better)
    assert 2 <= n_optima <= 3
    assert first.carried == tuple(-1.0 - number for number in range(n_optima))
    assert first.trials[first.chosen].optimum == 0
    assert last.trials[last.chosen].optimum == n_optima - 1
    assert last.population is asked[-1]


def test_starts_that_lead_to_the_same_optimum_are_carried_once() -> None:
    """Two clusters far apart: every start finds them."""
    scene = random_scene(3, n=500, d=1, k=2, kind="diagonal", spread=40)
    task = Task(2, Constraints.none(2, 1), carried=3)
    start = choose_start(Rows(scene.values, scene.noise), task, whole=True, on_all_rows=lambda _: 1 / 0)
    assert start.carried == ()
    assert [trial.optimum for trial in start.trials].count(0) == FINALISTS


def test_components_in_another_order_are_the_same_optimum_and_moved_ones_are_not() -> None:
    mixture = random_scene(7, n=10, d=3, k=4).mixture
    order = [2, 0, 3, 1]
    turned = Mixture(mixture.amplitudes[order], mixture.means[order], mixture.covariances[order])
    assert same_optimum(mixture, turned, 0.1)
    assert not same_optimum(mixture, turned, 0.6)
    elsewhere = Mixture(mixture.amplitudes, mixture.means + np.array([2.0, 0, 0]), mixture.covariances)
    assert not same_optimum(mixture, elsewhere, 0.0)


def test_a_start_read_back_is_the_start_written_and_one_without_paths_is_still_read(start: Start) -> None:
    start = replace(start, carried=(-3.0, -4.0))
    content = encode_start(start, "parent")
    back = decode_start(content, "start.ckpt", "parent")
    for name in ("pilot_rows", "mean_log_likelihoods", "chosen", "pilot_passes", "trials", "carried"):
        assert getattr(back, name) == getattr(start, name)
    with np.load(io.BytesIO(content[:-DIGEST_BYTES])) as stored:
        arrays = dict(stored)
    record = json.loads(str(arrays["record"]))
    arrays["record"] = np.array(
        json.dumps({key: record[key] for key in record if key not in ("trials", "carried")})
    )
    payload = npz_of(arrays)
    old = decode_start(payload + hashlib.sha256(payload).digest(), "start.ckpt", "parent")
    assert (old.trials, old.carried) == ((), ())
    assert old.mean_log_likelihoods == start.mean_log_likelihoods


@pytest.mark.thorough
def test_a_run_that_carries_several_optima_has_the_bits_of_a_fit_without_one_and_keeps_the_choice(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pilot_moves, "MOST_MOVES", 0)  # they only cost time here
    catalog = write_catalog(tmp_path / "stars.zarr", n_rows=400, chunk_rows=150)
    settings = {"n_components": 7, "tolerance": 0, "carried": 3}
    plain = dgmmis.fit(catalog, max_passes=4, **settings)
    dgmmis.fit(catalog, max_passes=1, run=tmp_path / "run", **settings)
    resumed = dgmmis.resume(tmp_path / "run", max_passes=4)
    assert bits_of(resumed) == bits_of(plain)
    assert resumed.start.carried == plain.start.carried
    assert len(plain.start.carried) > 1
    assert plain.history[0].log_likelihood == max(plain.start.carried)


@pytest.mark.parametrize("carried", [0, N_STARTS + 1, 1.5, True, "2"])
def test_numbers_of_optima_that_cannot_be_carried_are_refused(carried: object) -> None:
    with pytest.raises(InvalidSetting, match="carried"):
        dgmmis.fit(np.zeros((9, 1)), n_components=1, carried=carried)


def test_with_a_start_given_nothing_is_carried() -> None:
    mixture = random_scene(7, n=10, d=1, k=1).mixture
    with pytest.raises(InvalidSetting, match="initial"):
        dgmmis.fit(np.zeros((9, 1)), n_components=1, initial=mixture, carried=2)
    with pytest.raises(InvalidSetting, match="carried"):
        dgmmis.fit_restarts(np.zeros((9, 1)), n_components=1, carried=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one pass whose start was looked for."""
    folder = tmp_path_factory.mktemp("shown")
    catalog = write_catalog(folder / "stars.zarr", n_rows=400, chunk_rows=400)
    asked = [
        "fit",
        str(catalog.path),
        "-K",
        "3",
        "--run",
        str(folder / "run"),
        "--workers",
        "0",
        "--max-passes",
        "1",
    ]
    done = CliRunner().invoke(application, [*asked, "--carried", "2", "--json"])
    assert done.exit_code == 0, done.output
    return folder / "run"


def test_status_tells_how_the_start_was_found(run: Path) -> None:
    told = json.loads(CliRunner().invoke(application, ["status", str(run), "--json"]).output)["start"]
    start = dgmmis.open_run(run).read_start()
    assert [tuple(trial["path"]) for trial in told["trials"]] == [trial.path for trial in start.trials]
    assert told["trials"][told["chosen"]]["updates"] >= SHORT_PASSES
    assert told["carried"] == list(start.carried)
    text = CliRunner().invoke(application, ["status", str(run)]).output
    assert f"number {start.chosen} of {N_STARTS}; {FINALISTS} went the whole way" in text


def test_status_says_that_a_start_is_damaged_and_shows_the_rest(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "start.ckpt").write_bytes(b"nonsense")
    told = json.loads(CliRunner().invoke(application, ["status", str(copy), "--json"]).output)
    assert told["updates"] == dgmmis.open_run(copy).latest().scan.number
    assert "start.ckpt" in told["start"]


def test_paths_of_starts_are_drawn_one_for_each_that_made_a_pass(start: Start) -> None:
    trials = [Trial((), "failed", "at once"), *start.trials[1:]]
    figure = draw_start_paths(trials, start.chosen)
    assert as_svg(figure)
    drawn = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 1]
    assert len(drawn) >= len(trials) - 1
    key = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert {"chosen", "left behind", "failed"} <= set(key)


def test_a_report_tells_of_optima_that_were_compared_on_all_rows() -> None:
    assert "2 distinct optima" in _carried([-10.0, -12.5])
    assert "2.50 nats in total below" in _carried([-10.0, -12.5])
