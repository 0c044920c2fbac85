"""A row's fold follows from its id alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dgmmis
from dgmmis.chunk import ArrayChunks
from dgmmis.errors import InvalidSetting
from dgmmis.folds import ALL_ROWS, Folds, Part
from dgmmis.row_hash import hash_integers, hash_texts
from dgmmis.row_parts import taken, weighing_only
from simulated import noisy_rows
from strategies import scenes


def folds_by_id(catalog: dgmmis.Catalog, folds: Folds) -> dict[object, int]:
    """Fold of each row of a catalogue, by its id."""
    hashed = catalog.hashing_ids(folds.key)
    found: dict[object, int] = {}
    for chunk in range(catalog.n_chunks):
        numbers = folds.of(hashed.read_samples(chunk).hashes)
        found |= dict(zip(catalog.read_ids(chunk)[0].tolist(), numbers.tolist(), strict=True))
    return found


@given(count=st.integers(2, 12), seed=st.integers(0, 2**64))
def test_folds_partition_the_rows(count: int, seed: int) -> None:
    folds, hashes = Folds(count, seed), hash_integers(np.arange(500), Folds(count, seed).key)
    held = [Part(folds, f, held_out=True).chosen(hashes) for f in range(count)]
    kept = [Part(folds, f).chosen(hashes) for f in range(count)]
    assert np.array_equal(np.sum(held, axis=0), np.ones(500))
    assert all(np.array_equal(one, ~other) for one, other in zip(held, kept, strict=True))
    assert ALL_ROWS.chosen(None) is None


def test_folds_are_of_about_the_same_size_and_independent_of_the_pilot() -> None:
    """Chi-square of 10 folds of 100,000 rows; sizes of the pilot's folds by binomial errors."""
    folds, numbers = Folds(10, 3), np.arange(100_000)
    found = folds.of(hash_integers(numbers, folds.key))
    sizes = np.bincount(found, minlength=10)
    assert np.sum((sizes - 10_000) ** 2 / 10_000) < 28  # 99.9 % of 9 degrees of freedom
    pilot = np.argsort(hash_integers(numbers))[:10_000]
    assert np.abs(np.bincount(found[pilot], minlength=10) - 1_000).max() < 4.5 * np.sqrt(900)


def test_another_seed_makes_other_folds() -> None:
    one, other = (Folds(5, seed).of(hash_integers(np.arange(1000), Folds(5, seed).key)) for seed in (0, 1))
    assert 0.1 < (one == other).mean() < 0.3


@pytest.mark.parametrize("ids", ["row", "integer", "text"])
def test_folds_do_not_depend_on_chunks_or_on_the_order_of_rows(tmp_path: Path, ids: str) -> None:
    values, _ = noisy_rows(700)
    columns = dict(zip("abc", values.T, strict=True))
    columns |= {"integer": np.arange(700) * 7 - 50, "text": np.array([f"star {i}" for i in range(700)])}
    settings = {"features": ("a", "b", "c"), "id": None if ids == "row" else ids}
    folds, found = Folds(4, 9), []
    for number, (chunk_rows, order) in enumerate([(100, "chunk"), (333, "chunk"), (100, "catalog")]):
        where = tmp_path / f"{number}.zarr"
        catalog = dgmmis.ingest(columns, where, chunk_rows=chunk_rows, order=order, **settings)
        found.append(folds_by_id(catalog, folds))
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 700


def test_rows_stay_in_their_folds_when_others_are_appended(tmp_path: Path) -> None:
    values, _ = noisy_rows(300)
    columns = {**dict(zip("abc", values.T, strict=True)), "id": np.arange(300) * 3}
    first, later = (
        {name: column[part] for name, column in columns.items()} for part in (slice(200), slice(200, None))
    )
    catalog = dgmmis.ingest(first, tmp_path / "x.zarr", features=("a", "b", "c"), id="id", chunk_rows=70)
    grown = dgmmis.append(catalog, later)
    before, after = folds_by_id(catalog, Folds(4)), folds_by_id(grown, Folds(4))
    assert len(after) == 300
    assert before.items() <= after.items()


def test_the_rows_of_an_array_are_named_by_their_numbers() -> None:
    values, noise = noisy_rows(250)
    folds = Folds(3, 1)
    for chunk_rows in (50, 100, 1000):
        chunks = ArrayChunks.from_arrays(values, noise, chunk_rows=chunk_rows).hashing_ids(folds.key)
        hashes = np.concatenate([chunks.read_samples(i).hashes for i in range(chunks.n_chunks)])
        assert np.array_equal(hashes, hash_integers(np.arange(250), folds.key))


def test_rows_with_the_same_id_are_in_the_same_fold() -> None:
    texts = np.array([[97, 98, 0], [97, 98, 0], [97, 99, 0]], dtype=np.uint8)
    hashes = hash_texts(texts, Folds(5, 2).key)
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_share_of_the_rows_is_the_same_share_of_each_fold() -> None:
    folds = Folds(5)
    hashes = hash_integers(np.arange(100_000), folds.key)
    kept = folds.thinned(hashes, 0.1)
    assert np.abs(np.bincount(folds.of(hashes[kept])) - 2_000).max() < 4.5 * np.sqrt(2_000)
    assert folds.thinned(hashes, 7.0).all()
    assert not folds.thinned(hashes, 0.0).any()


@given(scenes(rows=st.integers(1, 60)), st.integers(0, 2**32 - 1))
def test_rows_that_are_taken_are_those_that_keep_their_weight(scene, seed: int) -> None:
    chosen = np.random.default_rng(seed).random(len(scene.values)) < 0.5
    some, weighed = taken(scene.samples, chosen), weighing_only(scene.samples, chosen)
    density = dgmmis.Population(scene.mixture).log_density(scene.samples)
    assert np.array_equal(dgmmis.Population(scene.mixture).log_density(some), density[chosen])
    left = sum(float(group.weights.sum()) for group in weighed.groups)
    assert left == pytest.approx(sum(float(group.weights.sum()) for group in some.groups), rel=1e-12)
    assert all(np.array_equal(group.weights[~chosen[group.rows]] == 0, np.ones((~chosen[group.rows]).sum(), bool))
               for group in weighed.groups)  # fmt: skip
    assert some.n_rows == chosen.sum()


@pytest.mark.parametrize("count", [1, 0, -3, 2.5, True])
def test_a_cross_validation_needs_two_folds(count: object) -> None:
    with pytest.raises(InvalidSetting, match="at least 2"):
        Folds(count)  # type: ignore[arg-type]


def test_folds_of_rows_whose_ids_were_not_read_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="hashing_ids"):
        Part(Folds(2)).chosen(None)
