"""NumPy arrays: in memory, in .npy and in .npz files."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgmmis.errors import InvalidData
from dgmmis.noise import Noise
from dgmmis.readers import open_arrays, open_source


def read(source, batch_rows=4, id=None):
    return list(source.batches(source.columns, batch_rows, id=id))


@given(
    n_rows=st.integers(1, 20), batch_rows=st.integers(1, 25), order=st.sampled_from("CF"), swap=st.booleans()
)
@settings(max_examples=25, deadline=None)
def test_a_stored_matrix_is_the_matrix_in_memory(tmp_path_factory, n_rows, batch_rows, order, swap):
    values = np.random.default_rng(n_rows).normal(size=(n_rows, 3))
    path = tmp_path_factory.mktemp("npy") / "x.npy"
    stored = values.astype(">f8") if swap else values
    np.save(path, np.asarray(stored, order=order))
    for source in (open_source(path, features="abc"), open_arrays(stored, features="abc")):
        parts = [np.stack([b.columns[c] for c in "abc"], axis=1) for b in read(source, batch_rows)]
        np.testing.assert_array_equal(np.concatenate(parts), values)


@pytest.mark.parametrize("kind", ["shared", "diagonal", "full"])
@pytest.mark.parametrize("where", ["memory", "npz"])
def test_noise_beside_a_matrix_comes_along(kind, where, tmp_path):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(11, 3))
    factors = rng.normal(size=(11, 3, 3))
    full = factors @ factors.swapaxes(1, 2)
    noise = {"shared": full[0], "diagonal": rng.random((11, 3)), "full": full}[kind]
    if where == "npz":
        np.savez(
            tmp_path / "x.npz", values=values, noise=noise, weights=np.arange(11.0), row_id=np.arange(11) + 5
        )
        source = open_source(tmp_path / "x.npz", features="abc")
        assert source.columns == ("a", "b", "c", "weights", "row_id")
    else:
        source = open_arrays(values, features="abc", noise=noise)
    assert source.noise_form == {"shared": "shared", "diagonal": "variances", "full": "covariances"}[kind]
    expected = Noise.of(noise, 11, 3)
    if kind == "shared":
        np.testing.assert_array_equal(source.shared_noise, expected.array)
        return
    parts = [batch.noise[source.noise_form] for batch in read(source)]
    np.testing.assert_array_equal(np.concatenate(parts), expected.array)


def test_python_objects_are_never_loaded(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "x.npz", a=np.array([None, 1], dtype=object))
    for name in ("x.npy", "x.npz"):
        with pytest.raises(InvalidData, match="never loaded"):
            open_source(tmp_path / name, features=("a",))


def test_every_column_of_a_matrix_needs_a_name(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((5, 3)))
    with pytest.raises(InvalidData, match=r"shape \(5, 3\), but 2 features"):
        open_source(tmp_path / "x.npy", features=("a", "b"))


def test_shapes_that_do_not_fit_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3), y=np.zeros(4))
    with pytest.raises(InvalidData, match="differ in length: x 3, y 4"):
        open_source(tmp_path / "a.npz", features=())
    np.savez(tmp_path / "b.npz", x=np.zeros((3, 2)))
    with pytest.raises(InvalidData, match="one number per row"):
        open_source(tmp_path / "b.npz", features=())
    np.savez(tmp_path / "c.npz", values=np.zeros((3, 2)), noise=np.zeros((3, 3)))
    with pytest.raises(InvalidData, match=r"noise has shape \(3, 3\)"):
        open_source(tmp_path / "c.npz", features=("a", "b"))
    np.savez(tmp_path / "d.npz", values=np.zeros((2, 2)), noise=np.eye(2))
    with pytest.raises(InvalidData, match="ambiguous"):
        open_source(tmp_path / "d.npz", features=("a", "b"))


def test_an_asymmetric_covariance_is_refused_with_its_row_in_the_source(tmp_path):
    noise = np.broadcast_to(np.eye(2), (9, 2, 2)).copy()
    noise[7, 0, 1] = 0.5
    np.savez(tmp_path / "x.npz", values=np.zeros((9, 2)), noise=noise)
    with pytest.raises(InvalidData, match="not symmetric") as caught:
        read(open_source(tmp_path / "x.npz", features=("a", "b")))
    assert caught.value.row == 7


def test_a_truncated_file_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((100, 2)))
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-50])
    with pytest.raises(InvalidData, match="truncated"):
        read(open_source(tmp_path / "x.npy", features=("a", "b")))


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_a_stored_matrix_is_never_in_memory_as_a_whole(name, tmp_path):
    values = np.zeros((400_000, 4))
    if name == "x.npy":
        np.save(tmp_path / name, values)
    else:
        np.savez_compressed(tmp_path / name, values=values)
    tracemalloc.start()
    n_rows = sum(len(b) for b in open_source(tmp_path / name, features="abcd").batches("abcd", 10_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n_rows == 400_000
    assert peak < values.nbytes / 4
