"""The benchmarks of passes and starts, at small size: what they count, and the pages they write."""

import numpy as np
import pytest

import dgmmis
from dgmmis.maximization import maximize

pytestmark = pytest.mark.thorough

PROBLEMS = ("P0", "P1", "P2", "P3", "P4", "P5", "P6")


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_is_the_same_every_time_and_begins_near_its_rows(load, name):
    make = load("convergence_scenes").make_problem
    problem, again = make(name, rows=900), make(name, rows=900)
    np.testing.assert_array_equal(problem.values, again.values)
    np.testing.assert_array_equal(problem.start.mixture.means, again.start.mixture.means)
    assert (problem.values != make(name, 2, 900).values).all()
    low, high = problem.values.min(axis=0), problem.values.max(axis=0)
    assert ((problem.start.mixture.means > low) & (problem.start.mixture.means < high)).all()
    assert (problem.noise is None) == (name < "P4")


def scanner(load, problem):
    """Passes over a problem, as the benchmark counts them."""
    passes, scanned = problem.passes(), load("squarem").Scanned

    def scan(population):
        statistics = passes.summarize(population)
        image = maximize(population, statistics, problem.constraints)
        return scanned(population, statistics.log_likelihood, image)

    return scan


def test_whitened_coordinates_lead_back_and_are_those_of_the_frame_itself_at_its_centre(load):
    problem = load("convergence_scenes").make_problem("P5", rows=400)
    frame = load("squarem").Frame.about(problem.start)
    other = scanner(load, problem)(problem.start).image
    back = frame.population(frame.coordinates(other)).mixture
    for name in ("amplitudes", "means", "covariances"):
        np.testing.assert_allclose(getattr(back, name), getattr(other.mixture, name), rtol=0, atol=1e-10)
    assert (
        np.abs(frame.coordinates(problem.start)[:, 1:]).max() < 1e-14 + 1
    )  # relative factors have unit diagonals


def test_squarem_never_begins_a_cycle_lower_and_needs_fewer_passes_than_expectation_maximization(load):
    problem = load("convergence_scenes").make_problem("P2", rows=1500)
    scan = scanner(load, problem)
    plain, population = [], problem.start
    for _ in range(200):
        scanned = scan(population)
        plain.append(scanned.log_likelihood)
        population = scanned.image
    seen, cycles = [], load("squarem").squarem(problem.start, scan)
    for _ in range(100):
        seen.append(next(cycles))
    levels = [one.log_likelihood for one in seen]
    first = load("counted_passes").first_reaching
    assert first(levels, plain[-1]) < 100
    assert first(levels, levels[-1] + 1e6) is None
    begins = [0]
    while begins[-1] + 3 < len(seen):
        second = begins[-1] + 1
        assert seen[second].population is seen[begins[-1]].image
        extrapolated = seen[second + 1].population is not seen[second].image
        begins.append(second + 1 + extrapolated)
    assert (np.diff([levels[begin] for begin in begins]) > -1e-9).all()
    assert 25 < len(begins) < 50


def test_rules_stop_where_their_programs_do(load):
    counted = load("counted_passes")
    means = [-5.0, -4.0, -3.5, -3.4995, -3.4994, -3.49939]
    assert counted.stop_of_change(means, 1e-3, 100) == (4, True)
    assert counted.stop_of_change(means, 1e-3, 3) == (3, False)
    assert counted.stop_of_change(means, 1e-9, 100) == (6, False)
    still = dgmmis.Mixture([1.0], [[0.0]], [[[1.0]]])
    moved = dgmmis.Mixture([1.0], [[0.2]], [[[1.0]]])
    population = load("dgmmis.population").Population
    held = [population(still)] * 6
    assert counted.pygmmis_stop(means, held) == (4, True)
    moving = [population(still), population(moved)] * 3
    assert counted.pygmmis_stop(means, moving) == (6, False)
    assert counted.pygmmis_stop([10 * mean for mean in means], held) == (4, True)


def test_scikit_learn_stops_after_as_many_passes(load):
    library = pytest.importorskip("sklearn.mixture")
    problem = load("convergence_scenes").make_problem("P1", rows=1500)
    mixture = problem.start.mixture
    theirs = library.GaussianMixture(
        mixture.n_components,
        reg_covar=0,
        weights_init=mixture.amplitudes,
        means_init=mixture.means,
        precisions_init=np.linalg.inv(mixture.covariances),
    ).fit(problem.values)
    scan, means, population = scanner(load, problem), [], problem.start
    for _ in range(100):
        scanned = scan(population)
        means.append(scanned.log_likelihood / len(problem.values))
        population = scanned.image
    assert load("counted_passes").stop_of_change(means, 1e-3, 100) == (theirs.n_iter_, theirs.converged_)


def test_the_page_of_convergence_tells_passes_stops_and_ends(load, tmp_path):
    record = load("counted_passes").count_passes("P0", 1, rows=1000, most=60)
    assert record["best"] >= max(record["optima"].values())
    for stop in record["stops"].values():
        assert stop["to_gain"] >= 0
        assert stop["level"] + stop["to_gain"] <= record["best"] + 1e-9
    assert record["stops"]["XD in C"]["to_gain"] <= record["stops"]["scikit-learn"]["to_gain"] + 0.5
    load("convergence_table").write_convergence(tmp_path / "page.md", {"processor": "p"}, 0.5, [record])
    lines = (tmp_path / "page.md").read_text().splitlines()
    assert sum(line.startswith("| P0 |") for line in lines) == 3
    load("convergence_figure").draw_convergence([record], tmp_path / "figures" / "convergence.png")
    assert (tmp_path / "figures" / "convergence.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["noisy", "cut"])
def test_passes_over_all_rows_are_counted_and_what_they_leave_is_told(load, tmp_path, name):
    record = load("full_runs").run_full(name, 1, rows=3000, em_passes=5)
    ours, em = load("full_table").gaps(record)
    assert min(*ours, *em) >= 0
    assert ours[0] == pytest.approx(em[0], abs=1e-6)
    assert record["converged"]
    assert record["ours"][record["stops"] - 1]["predicted"] <= 0.1
    assert record["seconds"]["fit"]["scans"] == record["stops"]
    load("full_table").write_full(tmp_path / "page.md", {"processor": "p"}, [record])
    lines = (tmp_path / "page.md").read_text().splitlines()
    assert sum(line.startswith(f"| {name} |") for line in lines) == 3
    load("full_figure").draw_full([record], tmp_path / "figures" / "full_passes.png")
    assert (tmp_path / "figures" / "full_passes.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["noisy", "noisy-5", "cut", "overlap"])
def test_a_scene_of_very_many_rows_is_the_same_every_time_and_another_with_another_seed(load, name):
    make = load("full_scenes").make_full_scene
    scene, again = make(name, rows=500), make(name, rows=500)
    np.testing.assert_array_equal(scene.values, again.values)
    assert (scene.values != make(name, 2, 500).values).all()
    assert (scene.noise is None) == (name == "overlap")


def test_ways_to_start_are_scored_beside_the_truth(load):
    starts = load("starts")
    record = starts.scores_of("noisy", 3, rows=1000)
    assert record["scores"].keys() < load("start_ways").WAYS.keys()
    assert "dgmmis" in record["scores"]
    rows = starts._score_rows([{"scene": scene, **record} for scene in load("start_scenes").SCENES])
    assert len(rows) == len(record["scores"])
    assert all(len(row) == 4 for row in rows)


@pytest.mark.statistical
def test_our_starts_lead_higher_than_every_other_way_and_their_tail_is_no_worse(load):
    """Medians over seeds that the page of results does not use."""
    starts, scenes = load("starts"), load("start_scenes").SCENES
    for scene in scenes:
        records = [starts.scores_of(scene, seed) for seed in range(100, 112)]
        scores = {way: np.array([one["scores"][way] for one in records]) for way in records[0]["scores"]}
        ours = scores.pop("dgmmis")
        assert np.median(ours) > max(np.median(other) for other in scores.values())
        assert ours.min() >= max(other.min() for other in scores.values())
