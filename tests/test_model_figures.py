"""Figures of a check: every kind of rows is drawn, and they say what they show."""

from __future__ import annotations

import numpy as np
import pytest

from dgmmis import Background, Mixture, Model, Noise
from dgmmis.checking import ModelCheck, check_model
from dgmmis.plots import as_pdf, as_png, draw_calibration, draw_data_and_model, draw_residuals
from dgmmis.plots.check_content import CheckContent
from dgmmis.rows import Rows
from dgmmis.selection import Box
from strategies import KINDS, random_mixture, random_scene

HOSTILE = ("$\\frac{", "a_b^c\n\t\x00", "<script>alert(1)</script>" * 5)
FIGURES = (draw_data_and_model, draw_residuals, draw_calibration)


def words_of(figure) -> set[str]:
    found = set()
    for axes in figure.findobj(lambda artist: hasattr(artist, "get_text")):
        found.add(axes.get_text())
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_rows_is_drawn(kind: str) -> None:
    made = random_scene(3, n=250, kind=kind, missing=0.3, weighted=kind == "full")
    selection = Box.of(x0=(-50, None)) if kind == "diagonal" else None
    background = (Background(footprint=([-9, -9], [9, 9])),) if kind in ("diagonal", "full") else ()
    model = Model(made.mixture, backgrounds=background, selection=selection)
    check = check_model(model, Rows(made.values, made.noise, made.weights))
    for draw in FIGURES:
        assert as_png(draw(check), dpi=30).startswith(b"\x89PNG")


@pytest.mark.parametrize("d", [1, 8])
def test_one_feature_and_many_are_drawn(d: int) -> None:
    rng = np.random.default_rng(d)
    mixture = random_mixture(rng, 2, d)
    values = mixture.draw(150, rng)
    if d > 1:
        values[:, -1] = np.nan  # nobody observed it
    check = check_model(Model(mixture), values)
    assert len(CheckContent.of(check).columns) == min(d, 6)
    calibration = draw_calibration(check)
    assert ("no rows" in words_of(calibration)) == (d > 1)
    assert len(draw_data_and_model(check).axes) > min(d, 6) ** 2
    assert as_png(draw_residuals(check), dpi=25)


def with_spot() -> ModelCheck:
    made = random_scene(6, n=1_500, d=3, spread=1.0)
    spot = np.array([5.0, -5.0, 5.0]) + 0.05 * np.random.default_rng(1).normal(size=(80, 3))
    return check_model(Model(made.mixture, HOSTILE, ("mas", "", "")), np.concatenate([made.values, spot]))


def test_the_worst_cells_are_numbered_where_they_lie_and_names_are_words() -> None:
    check = with_spot()
    marked = CheckContent.of(check).marked()
    words = words_of(draw_residuals(check))
    assert marked
    assert {str(number) for number, _ in marked} <= words
    assert any(word.startswith(HOSTILE[0]) for word in words)
    assert {"observed", "simulated"} <= words_of(draw_data_and_model(check))


def test_equal_figures_are_equal_pages() -> None:
    check = check_model(
        Model(Mixture([1.0], [[0.0]], [[[1.0]]])), np.linspace(-2, 2, 40)[:, None], Noise.none()
    )
    first = as_pdf(draw_calibration(check))
    assert first.startswith(b"%PDF")
    assert first == as_pdf(draw_calibration(check))
