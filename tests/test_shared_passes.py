"""Many fits that share a pass are what each would be alone, to the last bit."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

import dgmmis
from dgmmis.chunk import ArrayChunks
from dgmmis.cluster import ClusterPasses, local_cluster
from dgmmis.constraints import Constraints
from dgmmis.errors import CollapsedComponent, InvalidData
from dgmmis.folds import ALL_ROWS, Folds, Part
from dgmmis.iterate import Limits, Pass, Problem, iterate
from dgmmis.local_pass import LocalPasses
from dgmmis.lockstep import Trial, advance
from dgmmis.many_statistics import ManyStatistics, ManySurveys, Spoiled
from dgmmis.population import Population
from dgmmis.preparation import prepare_fit
from dgmmis.row_hash import hash_integers
from dgmmis.score_statistics import Statistics
from dgmmis.seeding import seeded_mixture
from dgmmis.selected_rows import Cut
from dgmmis.survey import Survey, surveyor_of
from dgmmis.task import information_sample, look, set_up
from simulated import (
    FOOTPRINT,
    SELECTION,
    TRUTH,
    noisy_rows,
    whole_model,
    write_catalog,
    write_selected_catalog,
)
from test_comparison_folder import DiesAfter, all_bits

FOLDS = Folds(3, 2)
PARTS = (ALL_ROWS, *(Part(FOLDS, f, held) for f in range(3) for held in (False, True)))
BEHIND = (dgmmis.Background(FOOTPRINT, amplitude=0.1),)


def populations(values: np.ndarray, backgrounds=()) -> list[Population]:
    return [
        Population(seeded_mixture(values, k, np.random.default_rng(k)), backgrounds) for k in (1, 2, 3, 5)
    ]


def assert_same_bits(left: Statistics | Survey, right: Statistics | Survey) -> None:
    for name, value in vars(left).items():
        assert np.array_equal(value, getattr(right, name)), name


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    return noisy_rows(2_000)


@pytest.fixture(scope="module")
def client():
    with local_cluster(workers=2, threads=1, memory_limit="1 GiB") as client:
        yield client


@pytest.mark.parametrize("backgrounds", [(), BEHIND], ids=["plain", "background"])
@pytest.mark.parametrize("threads", [1, 3])
def test_each_population_has_the_bits_it_has_alone_with_weight_0_for_rows_left_out(
    rows: tuple[np.ndarray, np.ndarray], backgrounds: tuple, threads: int
) -> None:
    values, noise = rows[0], np.diagonal(rows[1], axis1=1, axis2=2)
    weights = np.random.default_rng(3).uniform(0.5, 2, len(values))
    jobs = tuple((population, part) for population in populations(values, backgrounds) for part in PARTS)
    chunks = ArrayChunks.from_arrays(values, noise, weights, chunk_rows=300)
    together = LocalPasses(chunks, threads=threads, hash_key=FOLDS.key).gather(ManyStatistics(jobs))
    folds = FOLDS.of(hash_integers(np.arange(len(values)), FOLDS.key))
    for (population, part), found in list(zip(jobs, together.members, strict=True))[
        :: 3 if threads > 1 else 1
    ]:
        counted = np.ones(len(values), bool)
        if part is not ALL_ROWS:
            counted = (folds == part.fold) == part.held_out
        alone = ArrayChunks.from_arrays(values, noise, np.where(counted, weights, 0), chunk_rows=300)
        assert_same_bits(found, LocalPasses(alone, threads=1).summarize(population))


def test_statistics_of_a_fold_and_of_the_others_add_up(rows: tuple[np.ndarray, np.ndarray]) -> None:
    chunks = ArrayChunks.from_arrays(*rows, chunk_rows=300)
    population = Population(TRUTH)
    jobs = tuple((population, part) for part in PARTS)
    whole, *parts = LocalPasses(chunks, hash_key=FOLDS.key).gather(ManyStatistics(jobs)).members
    assert sum(part.weight for part in parts[1::2]) == whole.weight
    for kept, held in zip(parts[::2], parts[1::2], strict=True):
        assert kept.log_likelihood + held.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-13)
        assert kept.second + held.second == pytest.approx(whole.second, abs=1e-9)


@pytest.mark.cluster
def test_a_cluster_gives_the_bits_of_this_process(tmp_path: Path, client: Client) -> None:
    catalog = write_catalog(tmp_path / "stars.zarr", n_rows=6_000, chunk_rows=700)
    array = ArrayChunks.from_arrays(*noisy_rows(2_000), chunk_rows=300)
    jobs = tuple(
        (population, part) for population in populations(catalog.read_rows(0).values) for part in PARTS
    )
    for chunks in (catalog, array):
        here = LocalPasses(chunks, hash_key=FOLDS.key).gather(ManyStatistics(jobs))
        there = ClusterPasses(chunks, client, hash_key=FOLDS.key).gather(ManyStatistics(jobs))
        for one, other in zip(here.members, there.members, strict=True):
            assert_same_bits(one, other)


@pytest.mark.cluster
def test_fits_that_impute_on_one_cluster_have_points_of_their_own(tmp_path: Path, client: Client) -> None:
    catalog = write_selected_catalog(tmp_path / "cut.zarr", n_rows=300, chunk_rows=100)
    task = prepare_fit(catalog, n_components=3, selection=SELECTION, limits=Limits(0, 0)).task
    sample, starts = (
        information_sample(catalog, task),
        [Population(TRUTH), populations(catalog.read_rows(0).values)[2]],
    )

    def imputed(passes: LocalPasses | ClusterPasses) -> list[Statistics]:
        seen = look(passes, sample, task)
        imputations = [set_up(passes, sample, task, start, seen).imputation for start in starts]
        found = [
            one.impute(start, one.first_reference(start))
            for one, start in zip(imputations, starts, strict=True)
        ]
        return [one.statistics for one in found]

    here, there = (
        imputed(LocalPasses(catalog, cut=task.cut)),
        imputed(ClusterPasses(catalog, client, cut=task.cut)),
    )
    for one, other in zip(here, there, strict=True):
        assert_same_bits(one, other)


@pytest.mark.cluster
@pytest.mark.thorough
def test_a_cluster_and_a_death_change_no_bit_under_the_whole_observation_model(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgmmis.short_fits.SELECTED_PASSES", 4)
    catalog = write_selected_catalog(tmp_path / "cut.zarr", n_rows=900, chunk_rows=150)
    settings = {**whole_model(), "n_components": (1, 3), "folds": 2, "restarts": 1, "max_passes": 4}
    here = all_bits(dgmmis.compare(catalog, **settings))
    with pytest.raises(KeyboardInterrupt):
        dgmmis.compare(catalog, client=client, output=tmp_path / "out", observer=DiesAfter(7), **settings)
    there = dgmmis.compare(catalog, client=client, output=tmp_path / "out", **settings)
    assert all_bits(there) == here
    assert there.best.label == "K=3 full"
    assert there.models[1].model.selection is not None


def test_each_survey_is_that_of_its_rows(tmp_path: Path) -> None:
    catalog = write_selected_catalog(tmp_path / "cut.zarr", n_rows=1_500, chunk_rows=300)
    cut = Cut(SELECTION.bind(catalog.features))
    sample = catalog.read_pilot().samples(checked=True, keep_noise=cut.noise_columns)
    surveyor = surveyor_of(sample, cut, one_noise=False)
    passes = LocalPasses(catalog, cut=cut, hash_key=FOLDS.key)
    whole, *parts = passes.gather(ManySurveys(surveyor, PARTS)).members
    assert_same_bits(whole, passes.survey(surveyor))
    for kept, held in zip(parts[::2], parts[1::2], strict=True):
        assert kept.weights + held.weights == pytest.approx(whole.weights, abs=1e-9)
    assert sum(held.weights for held in parts[1::2]) == pytest.approx(whole.weights, abs=1e-9)


def test_a_population_that_cannot_be_evaluated_spoils_no_other() -> None:
    values = np.random.default_rng(0).normal(size=(500, 2))
    good = Population(dgmmis.Mixture([1.0], [[0.0, 0.0]], [np.eye(2)]))
    flat = Population(dgmmis.Mixture([1.0], [[0.0, 0.0]], [[[1.0, 0.0], [0.0, 0.0]]]))
    chunks = ArrayChunks.from_arrays(values, chunk_rows=100)
    spoiled, whole = LocalPasses(chunks).gather(ManyStatistics(((flat, ALL_ROWS), (good, ALL_ROWS)))).members
    assert isinstance(spoiled, Spoiled)
    assert isinstance(spoiled.error, InvalidData)
    assert_same_bits(whole, LocalPasses(chunks).summarize(good))


def lockstep(passes: LocalPasses, trials: list[Trial], limits: Limits):
    return deque(
        advance(trials, lambda jobs: passes.gather(ManyStatistics(tuple(jobs))).members, limits), 1
    ).pop()


def last_pass(problem: Problem, population: Population, limits: Limits) -> Pass:
    return deque(iterate(population, problem, limits), 1).pop()


def test_fits_in_lockstep_make_the_passes_that_each_makes_alone(rows: tuple[np.ndarray, np.ndarray]) -> None:
    passes, limits = (
        LocalPasses(ArrayChunks.from_arrays(*rows, chunk_rows=500), hash_key=FOLDS.key),
        Limits(0.5, 60),
    )
    trials = []
    for start in populations(rows[0]):
        problem = Problem(passes.summarize, Constraints.none(start.n_components, 3))
        for i, part in enumerate(PARTS[:3]):
            trials.append(Trial(f"{start.n_components}/{i}", start, problem, part))
    outcomes = lockstep(passes, trials, limits)
    assert len({outcome.scan.number for outcome in outcomes.values()}) > 3
    for trial in trials:

        def alone(population: Population, part: Part = trial.part) -> Statistics:
            return passes.gather(ManyStatistics(((population, part),))).members[0]

        expected = last_pass(replace(trial.problem, summarize=alone), trial.population, limits)
        found = outcomes[trial.key].scan
        assert (found.reason, found.objectives) == (expected.reason, expected.objectives)
        assert_same_bits(found.statistics, expected.statistics)


def test_giving_up_rivals_costs_nothing_of_the_best(rows: tuple[np.ndarray, np.ndarray]) -> None:
    """The last start has two components on one blob, and its optimum is far below the others."""
    passes, limits = LocalPasses(ArrayChunks.from_arrays(*rows)), Limits(0.01, 300)
    problem = Problem(passes.summarize, Constraints.none(3, 3))
    starts = [Population(seeded_mixture(rows[0], 3, np.random.default_rng(i))) for i in range(3)]
    means = np.concatenate([TRUTH.means[:1] - 0.3, TRUTH.means[:1] + 0.3, TRUTH.means[1:].mean(axis=0)[None]])
    starts.append(
        Population(dgmmis.Mixture(np.full(3, 1 / 3), means, np.stack([np.eye(3), np.eye(3), 9 * np.eye(3)])))
    )
    trials = [Trial(str(i), start, problem, group="rivals") for i, start in enumerate(starts)]
    outcomes = lockstep(passes, trials, limits)
    alone = [last_pass(problem, start, limits).objectives[-1] for start in starts]
    assert any(outcome.given_up for outcome in outcomes.values())
    best = max(outcome.scan.objectives[-1] for outcome in outcomes.values())
    assert best > max(alone) - 0.01
    free = lockstep(passes, [replace(trial, group="") for trial in trials], limits)
    assert not any(outcome.given_up for outcome in free.values())
    assert [outcome.scan.objectives[-1] for outcome in free.values()] == alone


def test_a_fit_that_fails_leaves_the_others_alone() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(size=(400, 2)), np.full((30, 2), 9.0)])
    passes = LocalPasses(ArrayChunks.from_arrays(values))
    spike = dgmmis.Mixture([0.9, 0.1], [[0.0, 0.0], [9.0, 9.0]], [np.eye(2), 0.1 * np.eye(2)])
    whole = Population(dgmmis.Mixture([1.0], [[0.0, 0.0]], [np.eye(2)]))
    trials = [
        Trial("spike", Population(spike), Problem(passes.summarize, Constraints.none(2, 2))),
        Trial("whole", whole, Problem(passes.summarize, Constraints.none(1, 2))),
    ]
    outcomes = lockstep(passes, trials, Limits(0.1, 100))
    assert isinstance(outcomes["spike"].error, CollapsedComponent | InvalidData)
    assert outcomes["whole"].converged
    gains = [b - a for a, b in pairwise(outcomes["whole"].scan.objectives)]
    assert min(gains) > -1e-9
