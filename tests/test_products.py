"""What `apply` writes of every row equals what the model says of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr

import dgmmis
from dgmmis.background import Background
from dgmmis.errors import AlreadyExists, FeatureMismatch, InvalidData, InvalidSetting, UnitMismatch
from dgmmis.packed import lower_indices, unpack
from dgmmis.selection import Box
from simulated import TRUTH, flat, noisy_rows

N_ROWS = 1_300
MODEL = dgmmis.Model(TRUTH, ("a", "b", "c"))


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    values, noise = noisy_rows(N_ROWS, seed=4)
    values[5] = np.nan
    return values, noise


@pytest.fixture(scope="module")
def catalog(rows: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> dgmmis.Catalog:
    path = tmp_path_factory.mktemp("products") / "stars.zarr"
    return dgmmis.ingest(rows[0], path, features=("a", "b", "c"), noise=rows[1], chunk_rows=500)


def brute_force(values: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and covariance of one noise-free row, from the joint Gaussians."""
    seen = np.flatnonzero(~np.isnan(values))
    densities, estimates, spreads = [], [], []
    for amplitude, mean, covariance in zip(TRUTH.amplitudes, TRUTH.means, TRUTH.covariances, strict=True):
        total = covariance[np.ix_(seen, seen)] + noise[np.ix_(seen, seen)]
        residual, gain = values[seen] - mean[seen], covariance[:, seen] @ np.linalg.inv(total)
        exponent = -0.5 * residual @ np.linalg.inv(total) @ residual
        densities.append(amplitude * np.exp(exponent) / np.sqrt(np.linalg.det(2 * np.pi * total)))
        estimates.append(mean + gain @ residual)
        spreads.append(covariance - gain @ covariance[seen])
    share = np.array(densities) / np.sum(densities)
    mean = share @ np.array(estimates)
    about = np.array(estimates) - mean
    return mean, np.einsum("k,kde->de", share, spreads) + np.einsum("k,kd,ke->de", share, about, about)


@pytest.mark.parametrize("order", ["storage", "source"])
def test_zarr_products_hold_the_posterior_of_every_row_by_its_id(
    rows: tuple[np.ndarray, np.ndarray], catalog: dgmmis.Catalog, tmp_path: Path, order: str
) -> None:
    out = zarr.open_group(dgmmis.apply(MODEL, catalog, tmp_path / "out.zarr", top=2, order=order), mode="r")
    ids = out["row_id"][:]
    assert sorted(ids) == list(range(N_ROWS))
    assert (list(ids) == list(range(N_ROWS))) == (order == "source")
    responsibilities = TRUTH.responsibilities(*rows)[ids]
    best = np.argsort(-responsibilities, axis=1, kind="stable")[:, :2]
    np.testing.assert_array_equal(out["component"][:], best)
    np.testing.assert_allclose(
        out["responsibility"][:], np.take_along_axis(responsibilities, best, axis=1), atol=1e-12
    )
    np.testing.assert_allclose(out["log_density"][:], TRUTH.log_density(*rows)[ids], rtol=1e-12, atol=1e-12)
    entries = lower_indices(3)
    for position in range(0, N_ROWS, 37):
        mean, covariance = brute_force(rows[0][ids[position]], rows[1][ids[position]])
        np.testing.assert_allclose(out["posterior_mean"][position], mean, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(
            out["posterior_covariance"][position], covariance[entries], rtol=1e-9, atol=1e-10
        )


def test_a_row_with_nothing_observed_gets_the_mixture_itself(catalog: dgmmis.Catalog, tmp_path: Path) -> None:
    out = zarr.open_group(dgmmis.apply(MODEL, catalog, tmp_path / "out.zarr", order="source"), mode="r")
    assert out["log_density"][5] == pytest.approx(0, abs=1e-15)
    np.testing.assert_allclose(out["posterior_mean"][5], TRUTH.amplitudes @ TRUTH.means)


def test_parquet_products_equal_zarr_products(catalog: dgmmis.Catalog, tmp_path: Path) -> None:
    as_zarr = zarr.open_group(dgmmis.apply(MODEL, catalog, tmp_path / "out.zarr"), mode="r")
    table = pq.read_table(dgmmis.apply(MODEL, catalog, tmp_path / "out.parquet"))
    np.testing.assert_array_equal(table["row_id"], as_zarr["row_id"][:])
    np.testing.assert_array_equal(table["log_density"], as_zarr["log_density"][:])
    np.testing.assert_array_equal(table["component_1"], as_zarr["component"][:, 0])
    np.testing.assert_array_equal(table["posterior_mean_b"], as_zarr["posterior_mean"][:, 1])
    np.testing.assert_array_equal(table["posterior_covariance_c_b"], as_zarr["posterior_covariance"][:, 4])


BACKGROUNDS = (
    Background(([-8.0] * 3, [9.0] * 3), amplitude=0.2),
    Background(([-1.0, -2.0, 0.0], [1.0, 2.0, 5.0]), amplitude=0.1),
)


def test_products_of_a_model_with_backgrounds_equal_what_it_says_row_by_row(tmp_path: Path) -> None:
    values, noise = noisy_rows(90, seed=4)
    values[5], values[6:9] = np.nan, [[7.0, -6.0, 8.0]] * 3
    catalog = dgmmis.ingest(values, tmp_path / "r.zarr", features=("a", "b", "c"), noise=noise, chunk_rows=40)
    model = dgmmis.Model(TRUTH, ("a", "b", "c"), backgrounds=BACKGROUNDS)
    out = zarr.open_group(dgmmis.apply(model, catalog, tmp_path / "out.zarr", order="source"), mode="r")
    np.testing.assert_allclose(
        out["log_density"][:], model.log_density(values, noise), rtol=1e-12, atol=1e-12
    )
    behind = out["background_probability"][:]
    np.testing.assert_allclose(behind, model.background_probability(values, noise), rtol=1e-10, atol=1e-14)
    assert behind[5] == pytest.approx(0.3)  # nothing observed: the amplitudes themselves
    assert behind.min() < 0.1
    assert behind.max() > 0.8
    by_component = np.empty((90, 3))
    np.put_along_axis(by_component, out["component"][:], out["responsibility"][:], axis=1)
    responsibilities = model.responsibilities(values, noise)
    np.testing.assert_allclose(by_component, responsibilities, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(by_component.sum(axis=1), 1 - behind, rtol=1e-10, atol=1e-14)
    means, covariances = model.posterior(values, noise)
    np.testing.assert_allclose(out["posterior_mean"][:], means, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(unpack(out["posterior_covariance"][:]), covariances, rtol=1e-10, atol=1e-12)
    table = pq.read_table(dgmmis.apply(model, catalog, tmp_path / "out.parquet", order="source"))
    np.testing.assert_array_equal(table["background_probability"], behind)


def test_a_selection_changes_no_product_and_without_backgrounds_there_is_no_column_for_them(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    selected = dgmmis.Model(TRUTH, ("a", "b", "c"), selection=Box.of(a=(0, None)))
    with_it = pq.read_table(dgmmis.apply(selected, catalog, tmp_path / "selected.parquet"))
    assert with_it.equals(pq.read_table(dgmmis.apply(MODEL, catalog, tmp_path / "plain.parquet")))
    assert "background_probability" not in with_it.column_names


def test_text_ids_are_written_as_text(tmp_path: Path) -> None:
    ids = np.array(["Gaia 1", "Gaia 22", "ζ Tau"])
    np.savez(tmp_path / "t.npz", values=np.arange(9.0).reshape(3, 3), name=ids)
    catalog = dgmmis.ingest(
        {"a": np.arange(3.0), "b": np.ones(3), "c": np.ones(3), "name": ids},
        tmp_path / "t.zarr",
        features=("a", "b", "c"),
        id="name",
    )
    table = pq.read_table(dgmmis.apply(MODEL, catalog, tmp_path / "out.parquet", order="source"))
    assert table["row_id"].to_pylist() == list(ids)
    out = zarr.open_group(dgmmis.apply(MODEL, catalog, tmp_path / "out.zarr", order="source"), mode="r")
    assert bytes(out["row_id"][2]).rstrip(b"\0").decode() == "ζ Tau"


def test_nothing_is_overwritten_unless_asked_and_a_failure_leaves_nothing(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    out = dgmmis.apply(MODEL, catalog, tmp_path / "out.zarr")
    with pytest.raises(AlreadyExists, match=r"out\.zarr"):
        dgmmis.apply(MODEL, catalog, out)
    dgmmis.apply(MODEL, catalog, out, overwrite=True, top=1)
    assert zarr.open_group(out, mode="r")["component"].shape == (N_ROWS, 1)
    with pytest.raises(FeatureMismatch, match="fitted to a, b, x"):
        dgmmis.apply(dgmmis.Model(TRUTH, ("a", "b", "x")), catalog, tmp_path / "other.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["out.zarr"]


def test_only_an_older_product_is_ever_replaced(catalog: dgmmis.Catalog, tmp_path: Path) -> None:
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter1.tex").write_text("years of work")
    for precious in (thesis, catalog.path):
        with pytest.raises(AlreadyExists, match="nothing that apply wrote"):
            dgmmis.apply(MODEL, catalog, precious, overwrite=True)
    assert (thesis / "chapter1.tex").read_text() == "years of work"
    assert dgmmis.open_catalog(catalog.path).n_rows == N_ROWS


def test_a_row_without_density_is_named_and_no_nan_is_written(tmp_path: Path) -> None:
    values, noise = noisy_rows(900, missing=0)
    noise[777] = 0
    catalog = dgmmis.ingest(
        values, tmp_path / "far.zarr", features=("a", "b", "c"), noise=noise, chunk_rows=500
    )
    stored = np.concatenate([catalog.read_ids(chunk)[1] for chunk in range(catalog.n_chunks)])
    with pytest.raises(InvalidData, match=f"row {list(stored).index(777)} "):
        dgmmis.apply(dgmmis.Model(flat(TRUTH, 1), MODEL.features), catalog, tmp_path / "out.zarr")
    with pytest.raises(InvalidData, match="row 777 has log-density"):
        flat(TRUTH, 1).responsibilities(values, noise)
    assert not (tmp_path / "out.zarr").exists()


def test_the_source_order_is_refused_where_rows_were_moved_across_chunks(
    rows: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    options = {"features": ("a", "b", "c"), "noise": rows[1], "chunk_rows": 500}
    catalog = dgmmis.ingest(rows[0], tmp_path / "moved.zarr", order="catalog", **options)
    with pytest.raises(InvalidSetting, match="Sort by source_row"):
        dgmmis.apply(MODEL, catalog, tmp_path / "out.zarr", order="source")
    out = zarr.open_group(dgmmis.apply(MODEL, catalog, tmp_path / "out.zarr"), mode="r")
    ids = out["source_row"][:]
    assert sorted(ids) == list(range(N_ROWS)) != list(ids)
    np.testing.assert_allclose(out["log_density"][:], TRUTH.log_density(*rows)[ids], rtol=1e-12, atol=1e-12)


def test_feature_names_that_make_one_column_of_two_are_refused_for_parquet(tmp_path: Path) -> None:
    names = ("c", "b_c", "a_b", "a")
    catalog = dgmmis.ingest(np.eye(4), tmp_path / "n.zarr", features=names)
    model = dgmmis.Model(dgmmis.Mixture([1.0], np.zeros((1, 4)), np.eye(4)[None]), names)
    with pytest.raises(InvalidSetting, match="two columns"):
        dgmmis.apply(model, catalog, tmp_path / "out.parquet")
    dgmmis.apply(model, catalog, tmp_path / "out.zarr")


def test_other_units_than_the_models_are_refused(tmp_path: Path) -> None:
    values, noise = noisy_rows(50)
    catalog = dgmmis.ingest(
        values, tmp_path / "u.zarr", features=("a", "b", "c"), noise=noise, units={"a": "deg"}
    )
    with pytest.raises(UnitMismatch, match="deg"):
        dgmmis.apply(dgmmis.Model(TRUTH, ("a", "b", "c"), ("mas", "", "")), catalog, tmp_path / "out.zarr")
