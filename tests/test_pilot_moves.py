"""What a fit of the pilot sample has put in the wrong place is moved, and it never ends lower."""

from __future__ import annotations

import numpy as np
import pytest

from dgmmis import pilot_moves
from dgmmis.chunk import chunks_of
from dgmmis.climbing import climbing
from dgmmis.errors import CollapsedComponent
from dgmmis.iterate import Limits, iterate
from dgmmis.local_pass import LocalPasses
from dgmmis.mixture import Mixture
from dgmmis.observer import SilentObserver
from dgmmis.pilot_moves import climb_higher
from dgmmis.population import Population
from dgmmis.preparation import prepare_fit
from dgmmis.starts import choose_start
from dgmmis.task import information_sample, look, set_up
from dgmmis.unkept_fit import get_ready

CENTERS = np.array([[0.0, 0.0], [12.0, 0.0], [0.0, 12.0], [12.0, 12.0]])
N = 8_000


@pytest.fixture(scope="module")
def clusters():
    """Noisy rows of four clusters, and the fit's task."""
    rng = np.random.default_rng(3)
    values = CENTERS[rng.integers(0, 4, N)] + rng.normal(0, 1.0, (N, 2))
    return prepare_fit(values, noise=np.full((N, 2), 0.25), n_components=4, limits=Limits(0.1, 200))


def mixture_at(means):
    return Population(Mixture(np.full(4, 0.25), np.array(means, dtype=float), np.stack([np.eye(2)] * 4)), ())


MISPLACED = mixture_at([[-0.4, 0.0], [0.4, 0.0], [6.0, 12.0], [12.0, 0.0]])
"""Two components in one cluster, one over two others."""


def climber(prepared, heard=None):
    """Yield the passes of a fit to all rows."""
    chunks = chunks_of(prepared.chunks.rows, chunk_rows=2_000)
    passes, sample = LocalPasses(chunks), information_sample(chunks, prepared.task)
    seen = look(passes, sample, prepared.task)

    def climb(population):
        problem = set_up(passes, sample, prepared.task, population, seen)
        for scan in iterate(
            population, climbing(problem, prepared.task, chunks, population), Limits(0.1, 200)
        ):
            if heard is not None:
                heard.append(scan)
            yield scan

    return climb


def end_of(climb, population):
    *_, last = climb(population)
    return last


def test_two_components_in_one_cluster_and_one_over_two_are_put_right(clusters):
    climb = climber(clusters)
    stuck, best = end_of(climb, MISPLACED), end_of(climb, mixture_at(CENTERS))
    assert stuck.objectives[-1] < best.objectives[-1] - 100
    moved = climb_higher(clusters.chunks.rows, clusters.task, MISPLACED, climb, climb)
    assert moved.objectives[-1] == pytest.approx(best.objectives[-1], abs=0.3)


def test_where_no_move_is_allowed_it_is_the_plain_fit(clusters, monkeypatch):
    monkeypatch.setattr(pilot_moves, "MOST_MOVES", 0)
    climb = climber(clusters)
    plain = end_of(climb, MISPLACED)
    ended = climb_higher(clusters.chunks.rows, clusters.task, MISPLACED, climb, climb)
    assert ended.objectives[0] == plain.objectives[-1]
    assert ended.objectives[-1] == pytest.approx(plain.objectives[-1], abs=0.2)


def test_what_fits_with_little_information_found_is_fitted_with_all_of_it(clusters):
    found, gone_on, climb = [], [], climber(clusters)

    def coarsely(population):
        for scan in climb(population):
            found.append(scan.objectives[-1])
            yield scan

    def finely(population):
        gone_on.append(population)
        yield from climb(population)

    ended = climb_higher(clusters.chunks.rows, clusters.task, MISPLACED, coarsely, finely)
    assert len(gone_on) == 1
    assert ended.objectives[0] == pytest.approx(max(found), abs=pilot_moves.LEAST_GAIN)


@pytest.mark.parametrize("seed", range(4))
def test_it_never_ends_lower_than_the_fit_it_began_with(clusters, seed):
    climb = climber(clusters)
    start = mixture_at(np.random.default_rng(seed).uniform(-1, 13, (4, 2)))
    moved = climb_higher(clusters.chunks.rows, clusters.task, start, climb, climb)
    assert moved.objectives[-1] >= end_of(climb, start).objectives[-1]


def test_moves_that_lead_lower_are_given_up_early(clusters):
    heard, start = [], mixture_at(CENTERS)
    climb_higher(clusters.chunks.rows, clusters.task, start, climber(clusters, heard), climber(clusters))
    lengths = np.diff([place for place, scan in enumerate(heard) if scan.number == 0] + [len(heard)])
    assert 4 < len(lengths) <= 1 + pilot_moves.FOLLOWED
    assert max(lengths[1:]) <= 1 + 2 * pilot_moves.GIVEN_UP_AFTER


def test_what_creeps_is_judged_by_where_it_stands(clusters, monkeypatch):
    heard, start = [], mixture_at(CENTERS)
    monkeypatch.setattr(pilot_moves, "FOLLOWED_PASSES", 2)
    monkeypatch.setattr(pilot_moves, "DOUBT", 1e9)
    climb_higher(clusters.chunks.rows, clusters.task, start, climber(clusters, heard), climber(clusters))
    lengths = np.diff([place for place, scan in enumerate(heard) if scan.number == 0] + [len(heard)])
    assert max(lengths[1:]) <= 1 + 2


def test_a_move_whose_fit_fails_does_not_end_the_search(clusters):
    climb, calls = climber(clusters), []

    def failing(population):
        calls.append(population)
        if len(calls) == 2:
            raise CollapsedComponent(0, 1.0, (0, 1), collinear=False)
        yield from climb(population)

    moved = climb_higher(clusters.chunks.rows, clusters.task, MISPLACED, failing, climb)
    assert len(calls) > 2
    assert moved.objectives[-1] > end_of(climb, MISPLACED).objectives[-1] + 100


def test_under_a_selection_nothing_is_moved():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(2_000, 1)) + np.where(rng.random(2_000) < 0.5, 0, 3)[:, None]
    kept = values[values[:, 0] > -0.5]
    prepared = prepare_fit(
        kept, n_components=2, selection=lambda x: (x[:, 0] > -0.5) * 1.0, limits=Limits(0.1, 50)
    )
    ready, begun = get_ready(prepared, None, SilentObserver()), []

    def climb(population):
        begun.append(population)
        yield from iterate(
            population,
            set_up(ready.passes, ready.sample, prepared.task, population, ready.seen),
            Limits(0.1, 3),
        )

    start = Population(Mixture([0.5, 0.5], [[0.0], [3.0]], np.ones((2, 1, 1))), ())
    climb_higher(prepared.chunks.rows, prepared.task, start, climb, climb)
    assert len(begun) == 1


def test_passes_over_the_sample_count_those_of_the_moves(clusters):
    heard = []
    start = choose_start(clusters.chunks.rows, clusters.task, whole=False, report=heard.append)
    assert start.pilot_passes == sum(scan.number > 0 for scan in heard)
    assert sum(scan.number == 0 for scan in heard) > 1
