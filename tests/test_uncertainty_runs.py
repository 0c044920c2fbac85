"""Uncertainties of runs: from the folder alone, on any cluster, by the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from distributed import Client
from typer.testing import CliRunner

import dgmmis
from dgmmis.chunk import ArrayChunks
from dgmmis.cli.application import application
from dgmmis.cluster import ClusterPasses, local_cluster
from dgmmis.constraints import Constraints
from dgmmis.coordinates import Chart
from dgmmis.errors import AlreadyExists, InvalidData, InvalidSetting, NotARun
from dgmmis.local_pass import LocalPasses
from dgmmis.outer_products import Scorer
from dgmmis.population import Population
from dgmmis.resampling import Resample
from simulated import TRUTH, noisy_rows, whole_model, write_catalog, write_selected_catalog


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uncertainty")


@pytest.fixture(scope="module")
def result(folder: Path) -> dgmmis.FitResult:
    catalog = write_selected_catalog(folder / "stars.zarr", n_rows=3000, chunk_rows=500)
    return dgmmis.fit(catalog, **whole_model(), initial=TRUTH, max_passes=20, run=folder / "run")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with local_cluster(workers=2, threads=1, memory_limit="1 GiB") as client:
        yield client


def test_a_run_says_what_its_result_does(result: dgmmis.FitResult, folder: Path) -> None:
    own, of_run = result.uncertainty(), dgmmis.uncertainty(folder / "run")
    np.testing.assert_array_equal(own.covariance, of_run.covariance)
    assert own.notes == of_run.notes
    resumed = dgmmis.resume(folder / "run", max_passes=20)
    np.testing.assert_array_equal(resumed.uncertainty().covariance, own.covariance)


@pytest.mark.cluster
@pytest.mark.parametrize("method", ["information", "bootstrap"])
def test_a_cluster_gives_the_bits_of_none(
    result: dgmmis.FitResult, folder: Path, client: Client, method: str
) -> None:
    alone = result.uncertainty(method=method, replicates=2)
    together = dgmmis.uncertainty(folder / "run", method=method, replicates=2, client=client)
    for name in ("amplitudes", "means", "covariances", "background"):
        np.testing.assert_array_equal(getattr(together, name), getattr(alone, name))


@pytest.mark.cluster
def test_an_array_on_a_cluster_is_scored_and_resampled_with_the_bits_of_the_array_alone(
    client: Client,
) -> None:
    values, noise = noisy_rows(3000)
    chunks, population = ArrayChunks.from_arrays(values, noise, chunk_rows=400), Population(TRUTH)
    alone, sent = LocalPasses(chunks, threads=1), ClusterPasses(chunks, client)
    statistics = alone.summarize(population)
    constraints = Constraints.none(3, 3)
    scorer = Scorer(Chart.at(population, statistics, constraints), squares=True)
    np.testing.assert_array_equal(sent.score(scorer).matrix.whole, alone.score(scorer).matrix.whole)
    which = Resample(1, 2)
    np.testing.assert_array_equal(
        sent.resampled(which).summarize(population).second,
        alone.resampled(which).summarize(population).second,
    )


def test_a_moved_catalogue_is_named_and_another_refused(result: dgmmis.FitResult, folder: Path) -> None:
    moved = shutil.copytree(folder / "stars.zarr", folder / "moved.zarr")
    found = dgmmis.uncertainty(folder / "run", catalog=moved)
    np.testing.assert_array_equal(found.means, result.uncertainty().means)
    write_catalog(folder / "others.zarr", n_rows=500, chunk_rows=100)
    with pytest.raises(InvalidData, match="fingerprint"):
        dgmmis.uncertainty(folder / "run", catalog=folder / "others.zarr")
    with pytest.raises(InvalidSetting, match="leave values out"):
        dgmmis.uncertainty(folder / "run", moved)
    with pytest.raises(NotARun):
        dgmmis.uncertainty(folder / "stars.zarr")


def test_a_run_keeps_to_its_rows_when_its_catalogue_grows(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "growing.zarr", n_rows=1000, chunk_rows=300)
    result = dgmmis.fit(catalog, n_components=3, initial=TRUTH, max_passes=3, run=tmp_path / "run")
    values, noise = noisy_rows(400, seed=9)
    dgmmis.append(tmp_path / "growing.zarr", values, noise=noise)
    found = dgmmis.uncertainty(tmp_path / "run")
    np.testing.assert_array_equal(found.means, result.uncertainty().means)
    assert found.rows < 1001


def run_command(*arguments: object):
    return CliRunner().invoke(application, ["uncertainty", *map(str, arguments)])


def test_the_command_prints_and_saves_every_number(result: dgmmis.FitResult, folder: Path) -> None:
    saved = folder / "errors.npz"
    shown = run_command(folder / "run", "--workers", 0, "--output", saved, "--json")
    assert shown.exit_code == 0, shown.output
    content = json.loads(shown.stdout)
    errors = result.uncertainty()
    assert content["parameters"][1]["parameter"] == "mean a"
    assert content["parameters"][1]["error"] == errors.means[0, 0]
    assert content["rows_used"] == content["rows"] == errors.rows
    with np.load(saved) as stored:
        np.testing.assert_array_equal(stored["means_error"], errors.means)
    assert isinstance(run_command(folder / "run", "--workers", 0, "-o", saved).exception, AlreadyExists)
    assert run_command(folder / "run", "--workers", 0, "-o", saved, "--overwrite").exit_code == 0


def test_the_command_shows_a_table_with_its_notes(folder: Path, result: dgmmis.FitResult) -> None:
    shown = run_command(
        folder / "run", "--workers", 0, "--method", "bootstrap", "--replicates", 3, "--resampling-seed", 1
    )
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert any(line.split() == ["method", "bootstrap"] for line in lines)
    assert any(line.startswith("background") and "amplitude of background 0" in line for line in lines)
    sampled = run_command(folder / "run", "--workers", 0, "--sample-rows", 400)
    assert "note: estimated on a random sample of 400" in sampled.stdout
