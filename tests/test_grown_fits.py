"""Fits of a catalogue that grew: the same sums, a start from the earlier fit, and runs that keep to their rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr
from typer.testing import CliRunner

import dgmmis
from dgmmis.background import Background
from dgmmis.cli.application import application
from dgmmis.cluster.worker_side import opened_catalog
from dgmmis.errors import FeatureMismatch, InvalidData, InvalidSetting, NotARun, RunConflict, UnitMismatch
from dgmmis.html_report.catalog_facts import consult
from dgmmis.iterate import Limits
from dgmmis.planning import workload_of
from dgmmis.preparation import prepare_fit
from simulated import FOOTPRINT, TRUTH, bits_of, noisy_rows, write_selected_catalog

FEATURES = ("a", "b", "c")
N_ROWS, CUTS = 3_000, (2_000, 2_450)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All rows at once; the same in three parts; a run of the first part, made before the others came."""
    folder, (values, noise) = tmp_path_factory.mktemp("grown"), noisy_rows(N_ROWS)
    options = {"features": FEATURES, "chunk_rows": 500}
    dgmmis.ingest(values, folder / "whole", noise=noise, **options)
    first, second = CUTS
    catalog = dgmmis.ingest(values[:first], folder / "c", noise=noise[:first], **options)
    dgmmis.fit(catalog, n_components=3, run=folder / "run")
    dgmmis.fit(catalog, n_components=3, run=folder / "begun", max_passes=2, tolerance=0)
    dgmmis.append(catalog, values[first:second], noise=noise[first:second])
    dgmmis.append(catalog, values[second:], noise=noise[second:])
    return folder


@pytest.fixture
def grown(place: Path) -> dgmmis.Catalog:
    return dgmmis.open_catalog(place / "c")


def test_the_sums_of_a_grown_catalog_are_those_of_all_rows_at_once(
    place: Path, grown: dgmmis.Catalog
) -> None:
    settings = {"n_components": 3, "initial": TRUTH, "tolerance": 0, "max_passes": 3}
    ours, theirs = dgmmis.fit(grown, **settings), dgmmis.fit(place / "whole", **settings)
    assert ours.log_likelihood == pytest.approx(theirs.log_likelihood, rel=1e-12)
    np.testing.assert_allclose(ours.mixture.means, theirs.mixture.means, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(ours.mixture.covariances, theirs.mixture.covariances, rtol=1e-9, atol=1e-11)


def test_with_the_same_chunks_all_bits_are_the_same(tmp_path: Path) -> None:
    values, noise = noisy_rows(900)
    options = {"features": FEATURES, "chunk_rows": 150}
    whole = dgmmis.ingest(values, tmp_path / "whole", noise=noise, **options)
    dgmmis.ingest(values[:600], tmp_path / "c", noise=noise[:600], **options)
    grown = dgmmis.append(tmp_path / "c", values[600:], noise=noise[600:])
    settings = {"n_components": 3, "max_passes": 4, "tolerance": 0}  # a start from the pilot included
    assert bits_of(dgmmis.fit(grown, **settings)) == bits_of(dgmmis.fit(whole, **settings))


def test_a_refit_from_the_old_optimum_takes_fewer_passes_and_ends_no_lower(
    place: Path, grown: dgmmis.Catalog
) -> None:
    blind = dgmmis.fit(grown, n_components=3, initial=rough())
    again = dgmmis.fit(grown, n_components=3, initial=place / "run")
    assert blind.converged
    assert again.converged
    assert again.n_passes < blind.n_passes
    assert again.log_likelihood > blind.log_likelihood - 0.3


def rough() -> dgmmis.Mixture:
    return dgmmis.Mixture(np.full(3, 1 / 3), TRUTH.means + 0.5, np.broadcast_to(4 * np.eye(3), (3, 3, 3)))


def test_a_run_keeps_to_its_rows_and_says_how_to_go_on(place: Path, grown: dgmmis.Catalog) -> None:
    for run in ("run", "begun"):
        with pytest.raises(InvalidData, match=r"grew since the run began: 1000 rows were appended") as caught:
            dgmmis.resume(place / run)
        assert f"-K 3 --run NEW --initial {place / run}" in str(caught.value)
        assert caught.value.value == grown.fingerprint
        assert dgmmis.open_run(place / run).data["fingerprint"][:16] in str(caught.value)
    with pytest.raises(RunConflict, match="data fingerprint"):
        dgmmis.fit(grown, n_components=3, run=place / "run")
    with pytest.raises(InvalidData, match="Name the original"):
        dgmmis.resume(place / "run", catalog=place / "whole")


def test_workers_and_reports_see_the_catalog_as_the_run_began_on_it(place: Path) -> None:
    run = dgmmis.open_run(place / "run")
    assert opened_catalog(str(place / "c"), run.data["fingerprint"]).n_rows == CUTS[0]
    facts = consult(run, None)
    assert facts.problem == ""
    assert facts.description["rows"] == CUTS[0]
    assert consult(run, dgmmis.open_catalog(place / "c")).description == facts.description


def test_every_way_to_name_the_earlier_fit_gives_the_same_bits(
    place: Path, grown: dgmmis.Catalog, tmp_path: Path
) -> None:
    run = dgmmis.open_run(place / "run")
    run.model().save(tmp_path / "model.npz")
    before = dgmmis.fit(grown.as_of(run.data["fingerprint"]), n_components=3)
    ways = [
        place / "run",
        str(place / "run"),
        run,
        run.model(),
        run.model().mixture,
        tmp_path / "model.npz",
        before,
    ]
    fits = [dgmmis.fit(grown, n_components=3, initial=way, max_passes=1, tolerance=0) for way in ways]
    assert len({bits_of(one) for one in fits}) == 1
    planned = dgmmis.plan(grown, n_components=3, initial=place / "run", calibrated=False, workers=0)
    assert planned.workload.start_rows == 0


def test_a_start_brings_its_background_amplitude_along(tmp_path: Path) -> None:
    catalog = write_selected_catalog(tmp_path / "c", n_rows=400, chunk_rows=300)
    model = {"n_components": 3, "background": Background(FOOTPRINT, amplitude=0.2), "tolerance": 0}
    earlier = dgmmis.fit(catalog, **model, initial=TRUTH, run=tmp_path / "run", max_passes=2)
    amplitude = dgmmis.open_run(tmp_path / "run").model().background.amplitude
    assert amplitude != model["background"].amplitude
    again = dgmmis.fit(catalog, **model, initial=tmp_path / "run", max_passes=0)
    assert again.background.amplitude == amplitude == earlier.background.amplitude
    with pytest.raises(InvalidSetting, match="initial has 1 backgrounds, the fit 0"):
        dgmmis.fit(catalog, n_components=3, initial=tmp_path / "run")
    bare = dgmmis.Model(earlier.mixture, FEATURES)
    begun = dgmmis.fit(catalog, **model, initial=bare, max_passes=0)
    assert begun.background.amplitude == model["background"].amplitude


def test_a_start_of_another_kind_is_refused(place: Path, grown: dgmmis.Catalog, tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"initial has 3 components .* asks for 4 .* as many components"):
        dgmmis.fit(grown, n_components=4, initial=place / "run")
    model = dgmmis.open_run(place / "run").model()
    with pytest.raises(FeatureMismatch, match="model of b, a, c"):
        dgmmis.fit(grown, n_components=3, initial=model.marginal(["b", "a", "c"]))
    with pytest.raises(FeatureMismatch, match="model of a, b;"):
        dgmmis.fit(grown, n_components=3, initial=model.marginal(["a", "b"]))
    values = np.random.default_rng(0).normal(size=(60, 3))
    named = {"n_components": 3, "features": FEATURES, "units": ("mas", "", "")}
    with pytest.raises(UnitMismatch, match="feature 'a' in deg; the data have it in mas"):
        dgmmis.fit(values, **named, initial=dgmmis.Model(TRUTH, FEATURES, ("deg", "", "")))
    unnamed = prepare_fit(values, n_components=3, initial=model, limits=Limits(0.1, 1))
    assert unnamed.initial is not None  # rows without names take any names
    with pytest.raises(NotARun):
        dgmmis.fit(grown, n_components=3, initial=tmp_path)
    with pytest.raises(InvalidData, match="does not exist"):
        dgmmis.fit(grown, n_components=3, initial=tmp_path / "nowhere")


def test_products_of_a_grown_catalog_hold_every_row(
    place: Path, grown: dgmmis.Catalog, tmp_path: Path
) -> None:
    model = dgmmis.open_run(place / "run").model()
    expected = zarr.open_group(dgmmis.apply(model, place / "whole", tmp_path / "w", order="source"), mode="r")
    group = zarr.open_group(dgmmis.apply(model, grown, tmp_path / "z", order="source"), mode="r")
    assert group.attrs["part_rows"] == [2_000, 450, 550]
    parts = [group, group["appended/1"], group["appended/2"]]
    for name in ("row_id", "source_row", "log_density", "component", "posterior_mean"):
        joined = np.concatenate([part[name][:] for part in parts])
        np.testing.assert_allclose(joined, expected[name][:], rtol=1e-12)
    table = pq.read_table(dgmmis.apply(model, grown, tmp_path / "p.parquet", order="source"))
    assert table["source_row"].to_pylist() == list(range(N_ROWS))
    np.testing.assert_allclose(table["log_density"], expected["log_density"][:], rtol=1e-12)


def test_a_plan_counts_short_chunks(grown: dgmmis.Catalog) -> None:
    prepared = prepare_fit(grown, n_components=3, limits=Limits(0.1, 1))
    assert workload_of(grown, prepared.task, seek_start=True).n_chunks == grown.n_chunks == 7


def test_the_command_line_fits_from_an_earlier_run(place: Path, tmp_path: Path) -> None:
    command = CliRunner()
    fit = ["fit", str(place / "c"), "-K", "3", "--workers", "0", "--run", str(tmp_path / "new")]
    done = command.invoke(application, [*fit, "--initial", str(place / "run")])
    assert done.exit_code == 0, done.output
    assert "converged" in done.output
    assert dgmmis.open_run(tmp_path / "new").data["rows"] == N_ROWS
    refused = command.invoke(application, ["resume", str(place / "begun"), "--workers", "0"])
    assert isinstance(refused.exception, InvalidData)
