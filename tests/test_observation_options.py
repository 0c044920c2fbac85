"""What `dgmmis fit` is told of the observation reaches the fit, and comes back from a run without being told."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import dgmmis
from dgmmis.background import Background
from dgmmis.cli import main
from dgmmis.cli.observation_options import fit_arguments
from dgmmis.cli.observation_text import observation_lines
from dgmmis.cli.option_groups import ObservationOptions
from dgmmis.errors import DgmmisError, FeatureMismatch, InvalidSetting, SelectionError
from dgmmis.fit_result import Scan
from dgmmis.prior import InverseWishart, Prior
from dgmmis.progress import fit_display
from dgmmis.selection import Box
from simulated import SELECTION, TRUTH, write_selected_catalog

PLAIN = {
    "selection": None,
    "keep": [],
    "before_noise": False,
    "background": None,
    "footprint": [],
    "floor": [],
    "covariance_type": "full",
    "prior": "auto",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a selected catalogue, a model to start from, and a module of selections."""
    folder = tmp_path_factory.mktemp("observed")
    write_selected_catalog(folder / "stars.zarr", n_rows=800, chunk_rows=400)
    dgmmis.Model(TRUTH, ("a", "b", "c")).save(folder / "start.npz")
    (folder / "own_cuts.py").write_text("def gentle(rows):\n    return 1 / (1 + rows[:, 0] ** 2 / 900)\n")
    return folder


@pytest.fixture
def catalog(folder: Path) -> dgmmis.Catalog:
    return dgmmis.open_catalog(folder / "stars.zarr")


def arguments(catalog: dgmmis.Catalog, **options: object) -> dict[str, object]:
    return fit_arguments(ObservationOptions(**{**PLAIN, **options}), catalog)


def run_here(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: object) -> int:
    """Run `dgmmis ...` in this process, from `folder`; its module path is put back afterwards."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["dgmmis", *map(str, words)])
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_without_options_nothing_is_assumed(catalog: dgmmis.Catalog) -> None:
    assert arguments(catalog) == {
        "selection": None,
        "before_noise": False,
        "background": None,
        "floor": None,
        "covariance_type": "full",
        "prior": "auto",
    }


def test_sides_make_a_box_and_open_ends_stay_open(catalog: dgmmis.Catalog) -> None:
    made = arguments(catalog, keep=["a=-1:2.5", "c=:3", "b=-4e1:"])["selection"]
    assert made == Box([-1, None, -40], [2.5, 3, None], features=("a", "c", "b"))


def test_a_function_and_sides_both_keep(
    catalog: dgmmis.Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder)
    made = arguments(catalog, selection="own_cuts:gentle", keep=["b=0:"])["selection"]
    values = np.array([[30.0, 1.0, 0.0], [30.0, -1.0, 0.0]])
    np.testing.assert_array_equal(made.bind(("a", "b", "c")).evaluate(values), [0.5, 0])


def test_the_backgrounds_box_is_what_is_given_and_else_the_range_of_the_rows(catalog: dgmmis.Catalog) -> None:
    ranges = {feature["name"]: feature for feature in catalog.describe()["features"]}
    made = arguments(catalog, background=0.2, footprint=["data", "b=-9:8"])["background"]
    assert isinstance(made, Background)
    assert made.amplitude == 0.2
    np.testing.assert_array_equal(made.footprint[0], [ranges["a"]["min"], -9, ranges["c"]["min"]])
    np.testing.assert_array_equal(made.footprint[1], [ranges["a"]["max"], 8, ranges["c"]["max"]])


def test_floors_and_priors_are_read(catalog: dgmmis.Catalog) -> None:
    assert arguments(catalog, floor=["0.01"])["floor"] == 0.01
    assert arguments(catalog, floor=["c=3", "a=1", "b=2"])["floor"] == [1, 2, 3]
    assert arguments(catalog, prior="none")["prior"] is None
    assert arguments(catalog, prior="bovy=0.04")["prior"] == Prior(covariances=InverseWishart.bovy(0.04))


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"keep": ["a"]}, InvalidSetting, "'a' is not FEATURE=LOW:HIGH"),
        ({"keep": ["a=1"]}, InvalidSetting, "a=1 is no interval"),
        ({"keep": ["a=:"]}, InvalidSetting, "a=: is no interval"),
        ({"keep": ["a=2:1"]}, InvalidSetting, "a=2:1 is empty"),
        ({"keep": ["a=x:1"]}, InvalidSetting, "'x' is not a number"),
        ({"keep": ["a=nan:1"]}, InvalidSetting, "NaN"),
        ({"keep": ["a=0:1", "a=0:2"]}, InvalidSetting, "names 'a' twice"),
        ({"keep": ["paralax=0:1"]}, SelectionError, "'paralax'"),
        ({"selection": "no_such_module:f"}, SelectionError, "no_such_module"),
        ({"selection": "dgmmis.errors"}, SelectionError, "module:function"),
        ({"footprint": ["data"]}, InvalidSetting, "--background"),
        ({"background": 0.1}, InvalidSetting, "--footprint a=LOW:HIGH"),
        ({"background": 0.1, "footprint": ["a=0:1"]}, InvalidSetting, "no sides for b, c"),
        ({"background": 0.1, "footprint": ["data", "a=0:"]}, InvalidSetting, "open end"),
        ({"background": 0.1, "footprint": ["data", "x=0:1"]}, FeatureMismatch, "names 'x'"),
        ({"background": 1.5, "footprint": ["data"]}, InvalidSetting, "amplitude"),
        ({"floor": ["a=1"]}, InvalidSetting, "not for b, c"),
        ({"floor": ["1", "2"]}, InvalidSetting, "'1' is not FEATURE=NUMBER"),
        ({"floor": ["much"]}, InvalidSetting, "'much' is not a number"),
        ({"floor": ["x=1"]}, FeatureMismatch, "names 'x'"),
        ({"prior": "bovy"}, InvalidSetting, "--prior is 'bovy'"),
        ({"prior": "bovy=w"}, InvalidSetting, "'w' is not a number"),
        ({"prior": "flat"}, InvalidSetting, "auto, none or bovy=W"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    catalog: dgmmis.Catalog, options: dict[str, object], error: type[DgmmisError], says: str
) -> None:
    with pytest.raises(error, match=says):
        arguments(catalog, **options)


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--keep", "a=2:1"], 2, "--keep a=2:1"),
        (["--keep", "parallax=0:1"], 3, "'parallax'"),
        (["--selection", "absent_module:f"], 3, "absent_module"),
        (["--keep", "a=-1:1"], 3, "cannot have been observed"),
        (["--before-noise"], 2, "before_noise"),
        (["--covariance-type", "round"], 2, "covariance_type"),
        (["--floor", "-1"], 2, "floor"),
    ],
)
def test_errors_have_the_documented_exit_codes(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    options: list[str],
    code: int,
    says: str,
) -> None:
    start = ["-K", 3, "--initial", "start.npz", "--run", tmp_path / "run", "--workers", 0]
    assert run_here(monkeypatch, folder, "fit", "stars.zarr", *start, *options) == code
    assert says in capfd.readouterr().err


def test_a_fit_by_options_is_that_of_the_same_arguments_and_its_run_needs_none_of_them(
    folder: Path,
    catalog: dgmmis.Catalog,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    options = ["--selection", "own_cuts:gentle", "--keep", "a=-5:5", "--keep", "b=-4:6", "--floor", "0.1"]
    options += [
        "--background",
        "0.2",
        "--footprint",
        "data",
        "--footprint",
        "a=-10:10",
        "--prior",
        "bovy=0.1",
    ]
    means = ["-K", 3, "--initial", "start.npz", "--run", run, "--workers", 0, "--tolerance", 0]
    assert run_here(monkeypatch, folder, "fit", "stars.zarr", *means, "--max-passes", 1, *options) == 0
    text = capfd.readouterr().out
    assert "completeness: 0." in text
    assert "background: 0." in text
    assert run_here(monkeypatch, folder, "resume", run, "--max-passes", 2, "--workers", 0, "--json") == 0
    there = json.loads(capfd.readouterr().out)
    given = arguments(
        catalog,
        selection="own_cuts:gentle",
        keep=["a=-5:5", "b=-4:6"],
        floor=["0.1"],
        background=0.2,
        footprint=["data", "a=-10:10"],
        prior="bovy=0.1",
    )
    expected = dgmmis.fit(catalog, n_components=3, initial=TRUTH, tolerance=0, max_passes=2, **given)
    assert there["log_likelihood"] == expected.log_likelihood
    assert there["means"] == expected.mixture.means.tolist()
    assert there["background"] == [expected.background.amplitude]
    assert (there["completeness"], there["completeness_error"]) == (
        expected.completeness,
        expected.completeness_error,
    )
    assert there["log_likelihood_error"] == expected.log_likelihood_error
    assert there["imputed_points"] == expected.completion.n_points
    assert there["prior"] == {"covariances": {"scale": 0.1, "pseudo_rows": 1.0}}
    assert run_here(monkeypatch, folder, "status", run, "--json") == 0
    status = json.loads(capfd.readouterr().out)
    for key in ("background", "completeness", "log_likelihood_error", "imputed_points", "prior"):
        assert status[key] == there[key]
    assert run_here(monkeypatch, folder, "status", run) == 0
    assert f"{expected.completeness:.4f} +- " in capfd.readouterr().out


def test_a_plain_fit_reports_complete_rows_in_json_and_says_nothing_of_them_to_a_person(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    means = ["-K", 3, "--initial", "start.npz", "--run", tmp_path / "run", "--workers", 0, "--max-passes", 1]
    assert run_here(monkeypatch, folder, "fit", "stars.zarr", *means, "--json") == 0
    there = json.loads(capfd.readouterr().out)
    assert (there["completeness"], there["background"], there["imputed_points"]) == (1, [], 0)
    assert observation_lines(there) == {}


def test_the_progress_line_tells_the_completeness_where_it_is_known(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with fit_display(0.1) as display:
        display.on_pass(Scan(0, -10.0, -1.0, 1.0, 2.0, (), 0.73218), (-10.0,), 10)
        display.on_pass(Scan(1, -9.0, -0.9, 1.0, 2.0, ()), (-10.0, -9.0), 10)
    first, second = capfd.readouterr().err.splitlines()
    assert "completeness 0.7322" in first
    assert "completeness" not in second


def test_the_selection_of_the_simulated_rows_is_the_one_meant_here(catalog: dgmmis.Catalog) -> None:
    assert arguments(catalog, keep=["a=-5:5", "b=-4:6"])["selection"] == SELECTION
