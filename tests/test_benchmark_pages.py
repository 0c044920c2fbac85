"""What the benchmarks measure beside the peers: scaling, roofs, a catalogue beyond memory; and the pages they write."""

import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.thorough


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
    for path in fill_page.PAGES:
        page = path.read_text()
        assert page.count("<!-- end -->") >= 4
        assert fill_page.filled(page, fill_page.HERE) == page


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
