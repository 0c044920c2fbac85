"""Real Gaia tables through the command line, end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from scipy.special import ndtr

import dgmmis
from commands import run_here
from dgmmis.rows import Rows
from dgmmis.selection import Box

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
FIELD, SAMPLE = DATA / "gaia_edr3_cluster_field.csv", DATA / "gaia_dr3_sample.fits"
WITH_ERRORS = ("--error", "{}_error", "--corr", "{}_{}_corr", "--id", "source_id")


def fit_apply_report(folder: Path, n_components: int, *options: object) -> tuple[dict, pq.ParquetFile, str]:
    """Fit the catalogue in `folder`, and return status, products and page."""
    run, stars = folder / "run", folder / "stars.zarr"
    run_here("fit", stars, "-K", n_components, "--run", run, "--workers", 0, *options)
    run_here("apply", run, stars, "-o", folder / "out.parquet", "--workers", 0, "--order", "source")
    run_here("report", run, "-o", folder / "report.html")
    status = json.loads(run_here("status", run, "--json").stdout)
    return status, pq.read_table(folder / "out.parquet"), (folder / "report.html").read_text()


@pytest.mark.skipif(not FIELD.exists(), reason="the Gaia EDR3 field is not beside this checkout")
def test_a_field_of_gaia_stars_with_full_covariances(tmp_path: Path) -> None:
    features = ["parallax", "pmra", "pmdec"]
    run_here("ingest", FIELD, tmp_path / "stars.zarr", "--features", ",".join(features), *WITH_ERRORS)
    status, products, page = fit_apply_report(tmp_path, 3)
    assert status["state"] == "SUCCEEDED"
    source = pyarrow.csv.read_csv(FIELD)
    np.testing.assert_array_equal(products["row_id"], source["source_id"])
    observed = np.column_stack([source[name] for name in features])
    posterior = np.column_stack([products[f"posterior_mean_{name}"] for name in features])
    errors = np.column_stack([source[f"{name}_error"] for name in features])
    # A deconvolved value lies within a few errors of what was measured, and scatters less.
    assert np.mean(np.abs(posterior - observed) < 3 * errors) > 0.97
    assert (posterior.std(axis=0) < observed.std(axis=0)).all()
    # One Gaussian always knows more than the measurement; a mixture need not for each star, but does on average.
    variances = np.array(products["posterior_covariance_parallax_parallax"])
    assert variances.mean() < (errors[:, 0] ** 2).mean() / 2
    assert "selection" in page
    assert len(page) > 100_000
    two = dgmmis.fit(tmp_path / "stars.zarr", n_components=2)
    assert status["log_likelihood"] > two.log_likelihood + 100


def beyond(mixture: dgmmis.Mixture, parallax: float) -> float:
    """Share of a mixture's noise-free parallaxes above a value."""
    widths = np.sqrt(mixture.covariances[:, 0, 0])
    return float(mixture.amplitudes @ ndtr((mixture.means[:, 0] - parallax) / widths))


def log_likelihood_behind_the_cut(model: dgmmis.Model, rows: Rows) -> float:
    """ln L of rows that were kept for 0 <= parallax <= 0.5, each with its own noise, in closed form."""
    covariances = rows.noise.covariances(len(rows), rows.n_features)
    mixture = model.mixture
    widths = np.sqrt(mixture.covariances[:, 0, 0] + covariances[:, 0, :1])
    low, high = ((face - mixture.means[:, 0]) / widths for face in (0.0, 0.5))
    kept = (mixture.amplitudes * (ndtr(high) - ndtr(low))).sum(axis=1)
    return float((model.log_density(rows.values, rows.noise) - np.log(kept)).sum())


@pytest.mark.skipif(not FIELD.exists(), reason="the Gaia EDR3 field is not beside this checkout")
def test_the_field_reaches_beyond_its_parallax_cut_once_the_cut_is_told(tmp_path: Path) -> None:
    features = ("parallax", "pmra", "pmdec")
    stars = dgmmis.ingest(
        FIELD, tmp_path / "stars.zarr", features=features, error=["{}_error"], corr="{}_{}_corr"
    )
    cut = dgmmis.fit(stars, n_components=2, tolerance=5)
    result = dgmmis.fit(
        stars, n_components=2, selection=Box.of(parallax=(0, 0.5)), initial=cut.mixture, tolerance=1
    )
    assert result.converged
    # Of the cut data next to nothing lies beyond the cut; of the population it was taken from several per cent.
    assert beyond(cut.mixture, 0.5) < 0.01
    assert 0.02 < beyond(result.mixture, 0.5) < 0.15
    assert 0.6 < result.completeness < 0.85
    near, near_cut = (np.argmax(mixture.means[:, 0]) for mixture in (result.mixture, cut.mixture))
    spread = np.sqrt(result.mixture.covariances[near, 0, 0])
    assert spread > 1.2 * np.sqrt(cut.mixture.covariances[near_cut, 0, 0])
    # The log-likelihood is the closed form's to its stated error, and the fit that ignores the cut falls far behind.
    rows = stars.read_pilot()
    exact = log_likelihood_behind_the_cut(result.model, rows)
    assert len(rows) == stars.n_rows
    assert result.log_likelihood == pytest.approx(exact, abs=3 * result.log_likelihood_error)
    assert result.log_likelihood_error < 30
    assert log_likelihood_behind_the_cut(cut.model, rows) < exact - 100


@pytest.mark.skipif(not SAMPLE.exists(), reason="the Gaia DR3 sample is not beside this checkout")
@pytest.mark.thorough
def test_a_fits_table_with_masks_odd_units_and_hardly_any_velocity(tmp_path: Path) -> None:
    features = "parallax,pmra,pmdec,bp_rp,radial_velocity"
    options = ["--features", features, *WITH_ERRORS]
    refused = run_here("ingest", SAMPLE, tmp_path / "stars.zarr", *options, code=3)
    assert "--error bp_rp=0.02" in refused.stderr
    assert not (tmp_path / "stars.zarr").exists()
    run_here("ingest", SAMPLE, tmp_path / "stars.zarr", *options, "--error", "bp_rp=0.02")
    description = json.loads(run_here("describe", tmp_path / "stars.zarr", "--json").stdout)
    observed = {feature["name"]: feature["observed"] for feature in description["features"]}
    assert observed == {"parallax": 1000, "pmra": 1000, "pmdec": 1000, "bp_rp": 923, "radial_velocity": 24}
    units = {feature["name"]: feature["unit"] for feature in description["features"]}
    assert (units["parallax"], units["pmra"]) == ("mas", "mas.yr**-1")
    status, products, _ = fit_apply_report(tmp_path, 2, "--tolerance", 1)
    assert status["state"] == "SUCCEEDED"
    assert np.isfinite(np.array(products["posterior_mean_radial_velocity"])).all()
    assert products.num_rows == 1000
