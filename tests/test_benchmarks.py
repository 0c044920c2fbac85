"""The benchmarks' scenes and checks, at small size, so that they never rot."""

import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.thorough

ROWS = 600
SHAPES = {
    "W1": (3, 16),
    "W2": (2, 256),
    "W3": (5, 32),
    "W4": (3, 16),
    "W5": (5, 16),
    "W6": (2, 3),
    "W7": (2, 3),
    "W8": (3, 16),
}
NOISE = {
    "W1": None,
    "W2": None,
    "W3": (ROWS, 5, 5),
    "W4": (ROWS, 3),
    "W5": (ROWS, 5, 5),
    "W6": (2, 2),
    "W7": (2, 2),
    "W8": (3, 3),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_scene_has_its_stated_shapes_and_the_same_rows_every_time(load, name):
    scenes = load("scenes")
    scene, again = scenes.make_scene(name, ROWS), scenes.make_scene(name, ROWS)
    n_features, n_components = SHAPES[name]
    assert scene.values.shape == (ROWS, n_features)
    assert scene.means.shape == (n_components, n_features)
    assert (None if scene.noise is None else scene.noise.shape) == NOISE[name]
    np.testing.assert_array_equal(scene.values, again.values)
    missing = np.isnan(scene.values)
    assert not missing.all(axis=1).any()
    assert (0.25 < missing.mean() < 0.35) if name == "W5" else not missing.any()


def test_selected_scenes_hold_only_rows_that_were_kept_and_many_were_not(load):
    scenes = load("scenes")
    for name in scenes.SELECTED:
        scene = scenes.make_scene(name, ROWS)
        assert scene.is_selected
        assert not scene.own_noise
        assert scenes.keep(scene.values).all()
        noisy = scene.values + np.random.default_rng(0).normal(size=scene.values.shape)
        assert 0.5 < scenes.keep(noisy).mean() < 0.98


def test_the_selection_is_asked_when_points_are_drawn_and_in_no_other_pass(load):
    scene = load("scenes").make_scene("W6", ROWS)
    counted = load("imputed_cost").calls_per_pass(scene, 15)
    drawn_later = counted["refreshes"] - 1
    assert counted["first_calls"] > 0
    assert counted["passes_without"] == counted["passes"] - 1 - drawn_later
    assert (counted["refresh_calls"] > 0) == (drawn_later > 0)


def test_a_scene_read_back_is_the_scene_written(load, tmp_path):
    scenes = load("scenes")
    for name in ("W1", "W4"):
        scene = scenes.make_scene(name, 50)
        scenes.save_scene(scene, tmp_path / "scene.npz")
        back = scenes.load_scene(tmp_path / "scene.npz")
        for key, value in vars(scene).items():
            np.testing.assert_array_equal(vars(back)[key], value)


@pytest.mark.parametrize("name", SHAPES)
def test_our_contender_climbs_on_every_scene_and_agrees_with_itself_only(load, name):
    scene = load("scenes").make_scene(name, 10 * ROWS if name == "W2" else ROWS)
    agreement, fit = load("agreement"), load("contenders").load_contender("dgmmis")
    one, two = fit(scene, 1), fit(scene, 2)
    assert two.mean_log_likelihood > one.mean_log_likelihood
    assert agreement.require_agreement(one, fit(scene, 1), 1e-14, name) <= 1e-14
    with pytest.raises(agreement.Disagreement, match=name):
        agreement.require_agreement(one, two, 1e-10, name)


def test_a_likelihood_that_a_peer_does_not_tell_is_left_out_of_the_comparison(load):
    agreement, outcome = load("agreement"), load("contenders").Outcome
    mixture = np.ones(1), np.zeros((1, 1)), np.ones((1, 1, 1))
    assert agreement.largest_difference(outcome(1.0, *mixture), outcome(2.0, *mixture)) == 1
    assert agreement.largest_difference(outcome(1.0, *mixture), outcome(None, *mixture)) == 0


def test_every_duel_names_contenders_and_scenes_that_there_are(load):
    contenders, scenes = load("contenders").CONTENDERS, load("scenes").FULL_ROWS
    for duel in load("duels").DUELS:
        assert {duel.contender, duel.peer} <= contenders.keys()
        assert duel.rows <= scenes[duel.scene]
        assert duel.first < duel.last <= duel.ours
        assert duel.first <= duel.agree_after <= duel.last or not duel.agree_after


def test_cpu_seconds_count_living_descendants_and_ended_ones(load):
    processes = load("processes")
    spin = "import os; sum(i * i for i in range(3_000_000)); print(os.getpid(), flush=True); input()"
    before = processes.cpu_seconds()
    with subprocess.Popen([sys.executable, "-c", spin], stdin=-1, stdout=-1, text=True) as child:
        pid = int(child.stdout.readline())
        living = processes.cpu_seconds() - before
        assert pid in processes.descendants()
        assert processes.peak_mebibytes(pid) > 5
        child.communicate("\n")
    assert living > 0.03
    assert processes.cpu_seconds() - before >= living - 2 / processes.TICKS
    assert processes.peak_mebibytes(pid) is None


def test_covariances_about_old_means_exceed_the_exact_ones_by_the_steps_square(load):
    scene = load("scenes").make_scene("W1", ROWS)
    agreement, fit = load("agreement"), load("contenders").load_contender("dgmmis")
    outcome = fit(scene, 1)
    mixture = load("dgmmis").Mixture(scene.amplitudes, scene.means, scene.covariances)
    q = mixture.responsibilities(scene.values)
    dx = scene.values[:, None] - scene.means
    expected = np.einsum("nk,nki,nkj->kij", q, dx, dx) / q.sum(axis=0)[:, None, None]
    restated = agreement.about_old_means(outcome, scene.means).covariances
    np.testing.assert_allclose(restated, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("n_features", "own_noise", "flops"), [(1, True, 14), (5, True, 262), (3, False, 40)]
)
def test_least_operations_are_those_of_the_tables(load, n_features, own_noise, flops):
    assert load("flops").least_flops_of_pair(n_features, own_noise=own_noise) == flops


def test_a_missing_value_makes_a_pass_cheaper_by_its_features_operations(load):
    scenes, flops = load("scenes"), load("flops")
    scene = scenes.make_scene("W5", ROWS)
    observed = np.isfinite(scene.values).sum(axis=1)
    assert flops.least_flops(scene) == 16 * sum(d**3 + 4 * d**2 + 7 * d + 2 for d in observed)


def test_the_page_states_ratio_spread_and_rate(load, tmp_path):
    duel = {"scene": "W1", "peer": "other", "agree_after": 4, "tolerance": 1e-10, "last": 4, "bar": 4}
    duels = [
        {
            "duel": duel,
            "shape": [1000, 3, 10],
            "ours": [1.0, 2.0, 1.0],
            "theirs": [3.0, 3.0, 5.0],
            "our_peak": 100.0,
            "their_peak": 200.0,
            "difference": 2e-14,
        }
    ]
    alone = [{"scene": "W1", "shape": [1000, 3, 10], "seconds": [2.0], "peak_mebibytes": 90.0, "flops": 4e9}]
    cost = {"n_points": 1000, "points": 1e-4, "rows": 2e-4, "drawing": 1e-3}
    counts = {"passes": 9, "refreshes": 2, "first_calls": 12, "refresh_calls": 8, "passes_without": 7}
    imputed = [{"scene": "W6", "shape": [1000, 3, 10], "costs": [cost], **counts}]
    peak = {"compiled": 40.0, "matrix": 30.0}
    run = {"pairs": 3, "scale": 1, "load": [0, 0], "minutes": 1, "peak": peak, "left_out": ["a peer"]}
    load("results_table").write_results(tmp_path / "page.md", {"processor": "p"}, run, duels, alone, imputed)
    page = (tmp_path / "page.md").read_text()
    assert "| 3 (1.5 to 5) | 4 | **no** |" in page
    assert "- left out: a peer\n" in page
    assert "2e-14 after 4 (allowed 1e-10)" in page
    assert "| 2.00 | 5.0% |" in page
    assert "| W6 | 3 | 10 | 1,000 | 10 | 20 | 0.5 | 1000 |" in page
    assert "| W6 | 9 | 2 | 12 | 8 | 7 |" in page


@pytest.mark.cluster
def test_dasks_overhead_and_the_speedup_of_workers_are_measured_on_passes_that_agree(load, tmp_path):
    overhead, workers = load("dask_overhead"), load("workers")
    catalog = overhead.write_small_chunks(tmp_path, 6, rows=50)
    with load("dgmmis.cluster").local_cluster(workers=1, memory_limit="1 GiB") as client:
        record = overhead.pairs_of_passes(catalog, client, 1e-4, 1)
        workers.keep_nothing(client)
        both = workers.speedup(catalog, overhead.population_of(2), (client, client), 2)
    assert record["chunks"] == 6
    assert len(record["loop"]) == len(record["cluster"]) == 1
    assert min(cost["cpu"] for cost in record["loop"] + record["cluster"]) > 0
    assert len(both["seconds"]) == 2
    assert both["speedup_cpu"] > 0


def test_every_criterion_of_split_and_merge_is_judged_by_what_its_pick_is_worth(load, monkeypatch):
    split_merge = load("split_merge")
    for name, value in {"ROWS": 300, "SETTLED": 20, "JUDGED": 3}.items():
        monkeypatch.setattr(split_merge, name, value)
    lines = split_merge.criteria_table(2)
    for name in (*split_merge.SPLITS, *split_merge.MERGERS):
        (line,) = [line for line in lines if line.startswith(f"| {name} |")]
        assert all(np.isfinite(float(cell)) for cell in line.strip("| ").split(" | ")[1:])
