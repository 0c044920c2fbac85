"""The benchmarks' scenes and checks, at small size, so that they never rot."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
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


@pytest.fixture
def load(monkeypatch):
    """Import a module of the benchmarks, which run as scripts in their folder."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module


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


def test_a_batch_of_the_large_scene_depends_on_seed_and_number_alone_and_follows_the_truth(load):
    scene = load("simulate_large")
    mixture = scene.true_model().mixture
    batch, again = scene.draw_batch(mixture, 1, 5, 40_000), scene.draw_batch(mixture, 1, 5, 40_000)
    other = scene.draw_batch(mixture, 1, 6, 40_000)
    for name, column in batch.items():
        assert column.dtype == np.float32
        np.testing.assert_array_equal(column, again[name])
        assert (column != other[name]).mean() > 0.99
    values = np.stack([batch[name] for name in scene.FEATURES], axis=1)
    noise = np.stack([batch[f"{name}_error"] for name in scene.FEATURES], axis=1) ** 2
    within = mixture.covariances + mixture.means[:, :, None] * mixture.means[:, None, :]
    expected = np.einsum("k,kij->ij", mixture.amplitudes, within) + np.diag(noise.mean(axis=0))
    products = values[:, :, None] * values[:, None, :]
    errors = products.std(axis=0) / np.sqrt(len(values))
    assert (np.abs(products.mean(axis=0) - expected) < 5 * errors).all()
    halves = np.split(mixture.log_density(values, noise), 2)  # rows are in random order
    assert abs(halves[0].mean() - halves[1].mean()) < 5 * np.std(halves) * np.sqrt(2 / 20_000)


def test_files_of_the_large_scene_are_the_same_whatever_the_number_of_processes(load, tmp_path, monkeypatch):
    scene = load("simulate_large")
    monkeypatch.setattr(scene, "BATCH_ROWS", 700)
    assert scene.batch_sizes(1500) == [700, 700, 100]
    for workers in (1, 2):
        assert sum(scene.write_folder(tmp_path / f"{workers}", 1500, workers=workers)) == 1500
    files = [sorted((tmp_path / f"{workers}").iterdir()) for workers in (1, 2)]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    assert len(files[0]) == 3


def test_a_watched_command_tells_its_memory_and_fails_aloud(load, tmp_path):
    watched = load("watched")
    hold = "import time; held = bytearray(60 << 20); time.sleep(1); print('done')"
    seen = watched.run_watched([sys.executable, "-c", hold], tmp_path / "log")
    assert seen.output == "done\n"
    assert seen.seconds > 1
    ((part, peak),) = seen.peaks
    assert part == "main process"
    assert 60 < peak < 120
    with pytest.raises(subprocess.CalledProcessError):
        watched.run_watched([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "log")


def test_the_page_of_scale_states_rates_per_pass_and_leaves_small_processes_out(load, tmp_path):
    stage = {"name": "ingest", "rows": 4_000_000, "seconds": 2.0, "cpu_seconds": 4.0, "disk": 5e6}
    stage["peaks"] = [("main process", 300.0), ("resource tracker", 9.0)]
    fit = stage | {"name": "fit", "limit": "1 GiB"}
    facts = {"n_chunks": 40, "n_rows": 4_000_000, "n_passes": 3, "reason": "stopped", "pilot_rows": 10}
    facts |= {"pass_seconds": [1.0, 2.0, 3.0], "start_seconds": 7.0, "mean_log_likelihood": -1.0}
    facts |= {"fitted": -1.0, "true": -1.5, "error": 0.1}
    load("scale_table").write_scale_results(tmp_path / "page.md", {"processor": "p"}, [stage, fit], facts)
    page = (tmp_path / "page.md").read_text()
    assert "| ingest | 2.0 | 4.0 | 2.00 | 1.00 | 0.005 | main process 300 |" in page
    assert "| fit | 2.0 | 4.0 | 6.00 | 3.00 |" in page
    assert "median 2.00 s (1.00 to 3.00), 2.00 million rows per s" in page
    assert "choosing the start on the pilot: 7.0 s" in page


@pytest.mark.parametrize("n_components", [100, 1000])
def test_fragmented_components_keep_their_distance_and_size_whatever_their_number(load, n_components):
    scene = load("scaling_scenes").fragmented(n_components, 20_000)
    distances = np.linalg.norm(scene.means[:, None] - scene.means, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert 3 < distances.min(axis=1).mean() < 10
    nearest = np.linalg.norm(scene.values[:2000, None] - scene.means, axis=2).min(axis=1)
    assert 0.5 < np.median(nearest) < 1.5
    extent = np.ptp(scene.values, axis=0)
    np.testing.assert_allclose(extent, 10 * np.ceil(np.cbrt(n_components)), rtol=0, atol=12)


def test_a_series_varies_one_number_and_its_page_compares_few_components_with_many(load, tmp_path):
    series = load("scaling_scenes").SERIES
    records = []
    for one in series:
        shapes = set()
        for size in one.sizes[:2]:
            scene = one.make(size, 300 if one.rows else size)
            shape = {"N": len(scene.values), "D": scene.values.shape[1], "K": len(scene.amplitudes)}
            assert shape.pop(one.varied) == size
            shapes.add(tuple(shape.values()))
        assert len(shapes) == 1
        records.append({"varied": one.varied, "title": one.title, "per_row": one.per_row})
        records[-1] |= {"shape": [10, 3, 1000], "seconds": [1.0, 2.0, 3.0]}
    load("scaling_figure").draw_scaling(records, tmp_path / "figures" / "scaling.png")
    assert (tmp_path / "figures" / "scaling.png").read_bytes().startswith(b"\x89PNG")
    many = records[-1] | {"shape": [10, 3, 10_000], "seconds": [5.0]}
    assert "takes 2.50 times as long" in load("scaling")._promise([records[-1], many])[0]
    assert load("scaling")._promise(records) == []


def test_bytes_on_disk_are_those_of_values_and_noise_alone(load, tmp_path):
    scene = load("scenes").make_scene("W4", 5000)
    stored = load("roofline").stored_bytes_per_row(scene, tmp_path)
    assert 0.7 * 48 < stored < 1.1 * 48  # random digits hardly shrink


def test_rates_of_memory_and_disk_are_positive_and_drawn_as_roofs(load, tmp_path):
    transfer = load("transfer")
    rates = {"compiled": 50.0, "matrix": 40.0}
    rates |= {"memory": transfer.memory_gigabytes_per_second(8 << 20)}
    rates |= {"disk": transfer.disk_gigabytes_per_second(tmp_path, 16 << 20)}
    assert min(rates.values()) > 0
    record = {"scene": "W1", "shape": [10, 3, 4], "seconds": [1e-6], "flops": 1e3, "disk_bytes": 24.0}
    load("roofline_figure").draw_roofline(rates, [record], tmp_path / "roofline.png")
    assert (tmp_path / "roofline.png").read_bytes().startswith(b"\x89PNG")


def test_the_tables_of_the_documentation_are_those_of_the_results(load):
    fill_page = load("fill_page")
    page = fill_page.PAGE.read_text()
    assert page.count("<!-- end -->") >= 5
    assert fill_page.filled(page, BENCHMARKS) == page


def test_a_page_takes_the_columns_it_names_of_the_table_under_its_heading(load, tmp_path):
    filled = load("fill_page").filled
    page = "<!-- r.md, Two: b, c, gone -->\nold\n<!-- end -->\n"
    assert filled(page, tmp_path).splitlines()[1] == "There is no `benchmarks/r.md` of this version."
    one, two = "| a |\n|---|\n| 1 |\n", "| a | b | c |\n|---|---|---|\n| 2 | 3 | 4 |\n"
    (tmp_path / "r.md").write_text(f"## One\n\n{one}\n## Two\n\nWords.\n\n{two}\n{one}")
    assert (
        filled(page, tmp_path)
        == "<!-- r.md, Two: b, c, gone -->\n| b | c |\n| --- | --- |\n| 3 | 4 |\n<!-- end -->\n"
    )
