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
    d = 2 if kind in ("diagonal", "full") else 1
    made = random_scene(3, n=250, d=d, kind=kind, missing=0.3, weighted=kind in ("full", "shared"))
    selection = Box.of(x0=(-50, None)) if kind == "diagonal" else None
    background = (Background(footprint=([-9] * d, [9] * d)),) if kind in ("none", "full") else ()
    model = Model(made.mixture, backgrounds=background, selection=selection)
    check = check_model(model, Rows(made.values, made.noise, made.weights))
    for draw in FIGURES:
        draw(check).draw_without_rendering()


def test_of_many_features_six_are_drawn_and_one_that_nobody_observed_is_said() -> None:
    rng = np.random.default_rng(8)
    mixture = random_mixture(rng, 2, 8)
    values = mixture.draw(150, rng)
    values[:, -1] = np.nan
    check = check_model(Model(mixture), values)
    assert len(CheckContent.of(check).columns) == 6
    assert "no rows" in words_of(draw_calibration(check))
    assert len(draw_data_and_model(check).axes) > 36
    draw_residuals(check).draw_without_rendering()


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
    assert as_png(draw_residuals(check), dpi=30).startswith(b"\x89PNG")
