"""A selection that cannot be used is refused before the first pass, naming row, values and what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dgmmis
from dgmmis.cluster import local_cluster
from dgmmis.errors import SelectionError
from dgmmis.mixture import Mixture
from dgmmis.observer import SilentObserver
from dgmmis.selection import Box, Callback

START = Mixture(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])
ROWS = np.random.default_rng(0).normal(size=(60, 2))
ROWS[41] = [2.5, 7.0]
ROWS[:, 0] = np.where(np.arange(60) == 41, 2.5, np.minimum(ROWS[:, 0], 2.0))


class Watching(SilentObserver):
    """Counts the passes it hears of."""

    def __init__(self) -> None:
        self.passes = 0

    def on_pass(self, *_: object) -> None:
        self.passes += 1

    def on_start_pass(self, *_: object) -> None:
        self.passes += 1


def refused(selection: object, values: object = ROWS, **settings: object) -> SelectionError:
    """Fit, and return the refusal that came before the first pass."""
    observer = Watching()
    settings = {"initial": START, "features": ("ra", "dec"), **settings}
    with pytest.raises(SelectionError) as caught:
        dgmmis.fit(values, n_components=1, selection=selection, observer=observer, max_passes=3, **settings)
    assert observer.passes == 0
    return caught.value


def raising(x: np.ndarray) -> np.ndarray:
    if (x[:, 0] > 2.2).any():
        raise ZeroDivisionError("no way")
    return np.ones(len(x))


def answering(wrong: float):
    """Answer `wrong` where the first value is above 2.2: at row 41."""
    return lambda x: np.where(x[:, 0] > 2.2, wrong, 0.5)


AT_ROW_41 = {
    "raises": (raising, "raised ZeroDivisionError: no way"),
    "NaN": (answering(np.nan), "answered NaN"),
    "below 0": (answering(-0.25), "answered -0.25, which is below 0"),
    "above 1": (answering(1.5), "answered 1.5, which is above 1"),
    "0": (answering(0.0), "probability 0"),
    "0 of a box": (Box([-9.0, -9.0], [2.2, 9.0]), "cannot have been observed"),
}


@pytest.mark.parametrize("kind", AT_ROW_41)
@pytest.mark.parametrize("blind", [False, True], ids=["started", "blind"])
def test_wrong_answers_at_an_observed_row_are_refused_by_number_values_and_way_out(kind, blind):
    selection, what = AT_ROW_41[kind]
    error = refused(selection, **({"initial": None} if blind else {}))
    assert what in str(error)
    assert error.row == 41
    assert "row 41 (ra = 2.5, dec = 7)" in str(error)
    assert any(
        way in str(error) for way in ("must return N finite probabilities from 0 to 1", "Leave such rows out")
    )


def test_a_row_of_a_catalogue_is_named_by_its_number_there(tmp_path: Path):
    """A catalogue puts the rows of a chunk that lack nothing first."""
    values = ROWS.copy()
    values[np.arange(60) % 3 == 1, 1] = np.nan
    catalog = dgmmis.ingest(values, tmp_path / "rows.zarr", features=("ra", "dec"), chunk_rows=13)
    chunk = np.arange(39, 52)
    stored = chunk[np.argsort(chunk % 3 == 1, kind="stable")]
    error = refused(Callback(answering(0.0), ("ra",)), catalog, features=())
    assert error.row == 39 + int(np.flatnonzero(stored == 41)[0]) != 41
    assert f"row {error.row} (ra = 2.5)" in str(error)


EVERYWHERE = {
    "None": (lambda x: None, "returned None"),
    "a scalar": (lambda x: 0.5, "returned shape ()"),
    "a column": (lambda x: np.ones((len(x), 1)), "returned shape ("),
    "one too few": (lambda x: np.ones(len(x) - 1), "returned shape ("),
    "text": (lambda x: np.array(["yes"] * len(x)), "not numbers"),
}


@pytest.mark.parametrize("kind", EVERYWHERE)
def test_answers_of_the_wrong_kind_are_refused(kind):
    function, what = EVERYWHERE[kind]
    error = refused(function)
    assert what in str(error)
    assert f"row 0 (ra = {ROWS[0, 0]:g}, dec = {ROWS[0, 1]:g})" in str(error)
    assert "must return N finite probabilities from 0 to 1" in str(error)


def test_a_selection_that_fails_only_where_nothing_was_observed_is_refused():
    """Imputed points lie there; no pass has been reported yet."""
    error = refused(lambda x: np.where(x[:, 0] > 2.6, np.nan, 0.5))
    assert "answered NaN" in str(error)
    assert "must return N finite probabilities from 0 to 1" in str(error)


def test_random_answers_are_refused():
    rng = np.random.default_rng(1)
    error = refused(lambda x: rng.uniform(0.1, 0.9, len(x)))
    assert "not a fixed function: asked twice" in str(error)
    assert "return the probability itself instead of drawing with it" in str(error)


def test_answers_that_depend_on_the_other_rows_are_refused():
    error = refused(lambda x: np.where(x[:, 0] >= np.median(x[:, 0]), 0.9, 0.1))
    assert "among others and alone" in str(error)
    assert "use no statistics of the batch" in str(error)


def test_what_is_no_selection_or_cannot_be_imported_is_refused():
    for given, what in {
        3: "is no selection",
        "nowhere_at_all:omega": "cannot be imported",
        "json:nothing": "cannot be imported",
        "string:digits": "is no selection",
        "omega": "write 'module:function'",
    }.items():
        assert what in str(refused(given))


def test_columns_that_the_rows_do_not_have_are_refused():
    assert "the features ['ra', 'dec']" in str(refused(Box.of(parallax=(0, 1))))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dgmmis.Catalog:
    return dgmmis.ingest(ROWS, tmp_path_factory.mktemp("refused") / "rows.zarr", features=("ra", "dec"))


def test_a_run_folder_refuses_what_another_process_could_not_import(catalog: dgmmis.Catalog, tmp_path: Path):
    error = refused(lambda x: np.full(len(x), 0.5), catalog, features=(), run=tmp_path / "run")
    assert "lambda" in str(error)
    assert "put it in a module and name it 'module:function'" in str(error)
    assert not (tmp_path / "run").exists()


@pytest.mark.cluster
def test_workers_that_cannot_import_the_selection_are_told_of_before_the_first_pass(
    catalog: dgmmis.Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with local_cluster(workers=1, threads=1, memory_limit="1 GiB") as client:
        text = "import numpy as np\n\n\ndef omega(x):\n    return np.full(len(x), 0.5)\n"
        (tmp_path / "only_here.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        error = refused("only_here:omega", catalog, features=(), client=client)
    assert "worker tls://" in str(error)
    assert "only_here" in str(error)
    assert "installed on every worker and name it 'module:function'" in str(error)
