"""A report tells how rows were observed, in words, and draws it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dgmmis
from dgmmis.background import Background
from dgmmis.html_report import Wanted, write_report
from dgmmis.prior import InverseWishart, Prior
from dgmmis.selection import Ball, Box, Callback, CompletenessMap, HalfSpace, HealpixMap, Polygon
from dgmmis.selection.words import in_words
from simulated import FOOTPRINT, TRUTH, whole_model, write_selected_catalog
from test_report import Page

NAMES = ("a", "b", "c")
QUICK = Wanted(check_rows=0, errors="none")


def gauge(rows: np.ndarray) -> np.ndarray:
    """Keep the rows whose first feature is small."""
    return np.where(np.abs(rows[:, 0]) < 50, 1.0, 0.0)


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (Box.of(a=(0, 0.5), c=(None, 3)), "0 ≤ a ≤ 0.5 and c ≤ 3"),
        (Box([None, 0], [None, 1], features=(2, 0)), "0 ≤ a ≤ 1"),
        (~Ball([1, 2], 3, features=("b", "c")), "not (within 3 of (1, 2) in b, c)"),
        (
            Box.of(a=(0, None)) & (Box.of(b=(1, None)) | HalfSpace([1, 0, -2], 4)),
            "0 ≤ a and (1 ≤ b or 1 a + -2 c > 4)",
        ),
        (Polygon([[0, 0], [1, 0], [0, 1]], features=("a", "b")), "inside a polygon of 3 corners in a and b"),
        (CompletenessMap([[0, 1, 2]], [0.5, 1], features=("c",)), "by a map of completeness over c"),
        (
            HealpixMap(1, [10, 20], np.ones((12, 2)), features=("a", "b")),
            "by a map of completeness on the sphere, by a and b",
        ),
        (Callback(gauge, name="the gauge"), "by the gauge of a, b, c"),
    ],
)
def test_a_selection_reads_as_a_person_would_say_it(selection: object, words: str) -> None:
    assert in_words(selection.describe(), NAMES) == words


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dgmmis.Catalog:
    return write_selected_catalog(tmp_path_factory.mktemp("cut") / "stars.zarr", n_rows=1_000, chunk_rows=500)


def page_of(catalog: dgmmis.Catalog, folder: Path, **settings: object) -> str:
    settings = {"initial": TRUTH, "tolerance": 0, "max_passes": 2, "method": "em", **settings}
    dgmmis.fit(catalog, run=folder / "run", **settings)
    return Page.of(write_report(dgmmis.open_run(folder / "run"), folder / "report.html", wanted=QUICK)).words


def test_the_page_tells_of_every_part_of_the_observation_model(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    prior = Prior(covariances=InverseWishart(0.25, pseudo_rows=2))
    page = page_of(catalog, tmp_path, **whole_model(), prior=prior, covariance_type="diagonal")
    scan = dgmmis.open_run(tmp_path / "run").latest().scan
    assert "Selection -5 ≤ a ≤ 5 and -4 ≤ b ≤ 6" in page
    assert "the values as observed" in page
    assert f"{scan.completion.completeness:.2f}" in page
    assert f"imputed by {scan.completion.n_points:,} weighted points" in page
    assert f"{100 * scan.population.background_amplitudes[0]:.1f} % of the complete sample" in page
    assert "a \N{EN DASH} \N{MINUS SIGN}10 10" in page
    assert "Least dispersion of a component a 0.1, b 0.1, c 0.1" in page
    assert "inverse Wishart on the covariances (pseudo rows 2, scale 0.25)" in page
    assert "Covariances diagonal" in page
    for amplitude in scan.population.amplitudes:
        assert f" {amplitude:.4f} " in page
    assert "those of the complete sample" in page
    assert "The dashed line is what the fit expects of the histogram" in page
    assert "The selection is what was said" in page
    assert "No selection is modelled" not in page


def test_a_plain_fit_has_no_such_section(catalog: dgmmis.Catalog, tmp_path: Path) -> None:
    page = page_of(catalog, tmp_path, n_components=3)
    assert "How the rows were observed" not in page
    assert "No selection is modelled" in page


def test_a_selection_that_cannot_be_imported_here_is_said_and_the_page_still_made(
    catalog: dgmmis.Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lost_cut.py").write_text("def keep(rows):\n    return (abs(rows[:, 0]) < 50) * 1.0\n")
    with monkeypatch.context() as here:
        here.syspath_prepend(tmp_path)
        page = page_of(catalog, tmp_path, n_components=3, selection="lost_cut:keep", before_noise=False)
        assert "by lost_cut:keep of a, b, c" in page
        assert "cannot be used here" not in page
    monkeypatch.delitem(__import__("sys").modules, "lost_cut")
    lost = Page.of(
        write_report(dgmmis.open_run(tmp_path / "run"), tmp_path / "lost.html", wanted=QUICK)
    ).words
    assert "The selection cannot be used here" in lost
    assert "by lost_cut:keep of a, b, c" in lost
    assert "Components" in lost


def test_a_background_alone_is_shown_with_its_box_and_without_completeness(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    fixed = Background(FOOTPRINT, amplitude=0.125, fixed=True)
    page = page_of(catalog, tmp_path, n_components=3, background=fixed)
    assert "12.5 % of the complete sample, uniform in the box below; kept fixed" in page
    assert "Completeness" not in page
