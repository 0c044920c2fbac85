"""Laws of selections: how parts combine, what they refuse, and how they are named, hashed and rebuilt."""

import json
import pickle
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgmmis.errors import MissingLibrary, SelectionError
from dgmmis.selection import (
    Ball,
    Box,
    Callback,
    CompletenessMap,
    HalfSpace,
    HealpixMap,
    Polygon,
    Selection,
    as_selection,
    from_description,
)
from dgmmis.trust import Trust

NAMES = ("x", "y", "z")
SHAPE = np.linspace(0.1, 0.9, 12).reshape(3, 4)


def fading(values):
    """Importable from this module."""
    return np.exp(-np.abs(values[:, 0]))


def with_covariates(values, covariates):
    return np.clip(values[:, 0] + covariates[:, 0], 0, 1)


ALL = Trust(everything=True)
PARTS = {
    "box": Box([0, None], [1, 0.5], ("x", "z")),
    "ball": Ball([0.2, 0.1, -0.1], 1.1),
    "half": HalfSpace([1, -2], 0.1, (0, 2)),
    "polygon": Polygon([[-1, -1], [1, -1], [1, 1], [0, 0], [-1, 1]], ("y", "x")),
    "grid": CompletenessMap([[-1, 0, 2], [-2, -1, 0, 3]], SHAPE, ("x", "y"), outside=0.3),
    "cells": CompletenessMap([[-1, 0, 0.5, 2], [-2, -1, 0, 1, 3]], SHAPE, ("x", "y")),
    "callback": Callback(fading, ("y",), "fading"),
}
parts = st.sampled_from(list(PARTS.values()))


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(1).normal(size=(200, 3))


def answers(selection: Selection, rows: np.ndarray) -> np.ndarray:
    return selection.bind(NAMES).evaluate(rows)


@given(parts, parts, parts)
def test_parts_combine_as_independent_cuts(a, b, c):
    rows = np.random.default_rng(2).normal(size=(50, 3))
    pa, pb, pc = (answers(part, rows) for part in (a, b, c))
    expected = pa * (1 - (1 - pb) * (1 - (1 - pc)))
    np.testing.assert_allclose(answers(a & (b | ~c), rows), expected, atol=1e-15)
    np.testing.assert_allclose(answers(~(a & b), rows), answers(~a | ~b, rows), atol=1e-15)
    np.testing.assert_allclose(answers(~(a | b), rows), answers(~a & ~b, rows), atol=1e-15)
    assert ~~a == a


def test_shapes_are_what_they_say(rows):
    x, y, z = rows.T
    cases = {
        "box": (x >= 0) & (x <= 1) & (z <= 0.5),
        "ball": (x - 0.2) ** 2 + (y - 0.1) ** 2 + (z + 0.1) ** 2 <= 1.1**2,
        "half": x - 2 * z > 0.1,
        # The square without the wedge above |first| < second: first is y, second is x.
        "polygon": (np.abs(y) < 1) & (x > -1) & (x < np.abs(y)),
    }
    for name, expected in cases.items():
        np.testing.assert_array_equal(answers(PARTS[name], rows), expected, err_msg=name)
        assert 0.02 < expected.mean() < 0.98
    np.testing.assert_array_equal(answers(Box.of(z=(None, 0.5), x=(0, 1)), rows), cases["box"])


def test_grids_interpolate_between_nodes_and_cells_are_constant():
    grid, cells = PARTS["grid"].bind(NAMES), PARTS["cells"].bind(NAMES)
    at_node = [[0, -1, 9], [2, 3, 9]]
    np.testing.assert_allclose(grid.evaluate(at_node), [SHAPE[1, 1], SHAPE[2, 3]])
    halfway = (SHAPE[0, 0] + SHAPE[1, 0] + SHAPE[0, 1] + SHAPE[1, 1]) / 4
    np.testing.assert_allclose(grid.evaluate([[-0.5, -1.5, 9], [5, 0, 9]]), [halfway, 0.3])
    np.testing.assert_allclose(
        cells.evaluate([[-1, -2, 0], [0.4, 0.9, 0], [2, 3, 0], [2.1, 3, 0]]),
        [SHAPE[0, 0], SHAPE[1, 2], SHAPE[2, 3], 0],
    )


def test_healpix_maps_take_pixel_columns_and_interpolate_in_magnitude():
    table = np.random.default_rng(0).uniform(size=(12, 3))
    bound = HealpixMap(1, [10, 12, 16], table, ("pixel", "mag"), outside=0.1).bind(["mag"], ["pixel"])
    assert bound.columns.tolist() == [0]
    assert bound.covariates.tolist() == [0]
    found = bound.evaluate([[11], [12], [15], [17]], [[3], [0], [11], [5]])
    expected = [table[3, :2].mean(), table[0, 1], 0.25 * table[11, 1] + 0.75 * table[11, 2], 0.1]
    np.testing.assert_allclose(found, expected)
    with pytest.raises(SelectionError, match=r"12 is no pixel .* row 1"):
        bound.evaluate([[11], [12]], [[3], [12]])


def test_healpix_maps_find_the_pixel_of_a_direction():
    healpy = pytest.importorskip("astropy_healpix.healpy")
    lon, lat = healpy.pix2ang(2, np.arange(48), nest=True, lonlat=True)
    table = np.linspace(0, 1, 48)[:, None] * [1, 1]
    bound = HealpixMap(2, [0, 30], table, ("lon", "lat", "mag"), order="nested").bind(["mag"], ["lon", "lat"])
    sky = np.stack([lon - 360, lat], axis=1)
    np.testing.assert_allclose(bound.evaluate(np.full((48, 1), 20), sky), table[:, 0])
    assert bound.evaluate([[20]], [[0, 91]]) == 0


def test_directions_without_their_library_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "astropy_healpix.healpy", None)
    bound = HealpixMap(1, [0, 30], np.ones((12, 2)), ("lon", "lat", "mag")).bind(["lon", "lat", "mag"])
    with pytest.raises(MissingLibrary, match="astropy-healpix"):
        bound.evaluate([[1.0, 2.0, 3.0]])


def test_bound_selections_know_their_columns():
    bound = (Box.of(z=(0, 1)) | HalfSpace([1, 1], 0, ("sky", "x"))).bind(NAMES, ("other", "sky"))
    assert bound.columns.tolist() == [0, 2]
    assert bound.covariates.tolist() == [1]
    rows, sky = np.array([[1.0, np.nan, 5.0], [-1.0, np.nan, 0.5]]), np.array([[np.nan, 0.5], [np.nan, -2.0]])
    np.testing.assert_array_equal(bound.evaluate(rows, sky), [1, 1])
    with pytest.raises(SelectionError, match=r"covariates \['sky'\], but none"):
        bound.evaluate(rows)


def test_callbacks_get_their_columns_and_covariates_as_a_second_argument():
    bound = Callback(with_covariates).bind(["x"], ["c"])
    np.testing.assert_allclose(bound.evaluate([[0.1], [0.2]], [[0.3], [0.9]]), [0.4, 1.0])
    seen = []
    Callback(lambda v: seen.append(v) or np.ones(len(v)), ("z", 0)).bind(NAMES).evaluate([[1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(seen[0], [[3, 1]])


def test_a_callback_that_writes_into_its_rows_changes_nothing():
    def rude(values):
        values[:] = 0
        return np.ones(len(values))

    rows = np.ones((3, 3))
    (as_selection(rude) & PARTS["ball"]).bind(NAMES).evaluate(rows)
    assert (rows == 1).all()


def raising(values):
    if (values[:, 0] > 2).any():
        raise ZeroDivisionError("no way")
    return np.ones(len(values))


def at_two(wrong):
    """Answer `wrong` at the row whose x is above 2."""
    return lambda values: np.where(values[:, 0] > 2, wrong, 0.5)


BAD = {
    "raises": (raising, 7, "ZeroDivisionError: no way"),
    "nan": (at_two(np.nan), 7, "answered NaN"),
    "negative": (at_two(-0.5), 7, "-0.5, which is below 0"),
    "above": (at_two(1.5), 7, "1.5, which is above 1"),
    "rounding above": (at_two(1 + 1e-12), 7, "nothing is clipped"),
    "rounding below": (at_two(-1e-12), 7, "nothing is clipped"),
    "none": (lambda values: None, 0, "returned None"),
    "scalar": (lambda values: 0.5, 0, r"shape \(\)"),
    "column": (lambda values: values[:, :1] * 0, 0, r"shape \(10, 1\)"),
    "short": (lambda values: np.ones(len(values) - 1), 0, r"shape \(9,\)"),
    "text": (lambda values: np.array(["yes"] * len(values)), 0, "not numbers"),
    "complex": (lambda values: np.ones(len(values)) * 1j, 0, "not numbers"),
    "masked": (lambda v: np.ma.masked_array(np.ones(len(v)), v[:, 0] > 2), 7, "answered NaN"),
    "ragged": (lambda values: [[1], [1, 2]], 0, "no array"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_answers_are_refused_naming_row_and_values(kind):
    function, row, what = BAD[kind]
    rows = np.linspace(0, 1, 30).reshape(10, 3)
    rows[7, 0] = 2.5
    bound = Callback(function, name="mine").bind(NAMES)
    with pytest.raises(SelectionError, match=what) as caught:
        bound.evaluate(rows, first_row=100)
    assert caught.value.row == 100 + row
    assert f"row {100 + row} (x = {rows[row, 0]:g}, y = {rows[row, 1]:g}" in str(caught.value)
    assert "'mine'" in str(caught.value)
    assert "must return N finite probabilities" in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).row == 100 + row


def test_errors_that_no_single_row_causes_are_told_apart():
    def needs_few(values):
        if len(values) > 3:
            raise MemoryError("too many")
        return np.ones(len(values))

    with pytest.raises(SelectionError, match="together, though not on either half"):
        as_selection(needs_few).bind(NAMES).evaluate(np.ones((5, 3)))


def test_boolean_and_integer_answers_are_fine():
    for answer in (lambda v: v[:, 0] > 0, lambda v: (v[:, 0] > 0).astype(int), lambda v: list(v[:, 0] > 0)):
        np.testing.assert_array_equal(as_selection(answer).bind(["x"]).evaluate([[1.0], [-1.0]]), [1, 0])


def test_rows_that_lack_a_used_value_are_refused():
    bound = Box.of(y=(0, 1)).bind(NAMES)
    assert bound.evaluate([[np.nan, 0.5, np.inf]]) == 1
    with pytest.raises(SelectionError, match="column 'y', which is nan in row 1") as caught:
        bound.evaluate([[0, 0.5, 0], [0, np.nan, 0]])
    assert (caught.value.row, caught.value.column) == (1, "y")


def test_an_observed_row_of_probability_zero_is_refused():
    bound = Box.of(y=(0, 1)).bind(NAMES)
    np.testing.assert_array_equal(bound.evaluate_observed([[9, 0.5, 9]]), [1])
    with pytest.raises(SelectionError, match=r"cannot have been observed: row 41 \(y = -3\)") as caught:
        bound.evaluate_observed([[0, 0.5, 0], [0, -3, 0]], first_row=40)
    assert caught.value.row == 41


def test_random_and_batch_dependent_answers_are_refused(rows):
    rng = np.random.default_rng(0)
    random = as_selection(lambda v: rng.uniform(size=len(v)))
    with pytest.raises(SelectionError, match=r"not a fixed function: asked twice .*row 0 \(x = "):
        random.bind(NAMES).require_deterministic(rows)
    relative = as_selection(lambda v: v[:, 0] > v[:, 0].mean())
    with pytest.raises(SelectionError, match="among others and alone"):
        relative.bind(NAMES).require_deterministic(rows)
    for part in PARTS.values():
        part.bind(NAMES).require_deterministic(rows)


REFUSED = {
    "unknown name": (lambda: Box.of(w=(0, 1)).bind(NAMES, ("sky",)), r"'w'.*\['x', 'y', 'z'\].*\['sky'\]"),
    "unknown index": (lambda: Box([0], [1], (3,)).bind(NAMES), "column 3"),
    "too many": (lambda: Box([0, 0], [1, 1]).bind(NAMES), "takes 2 columns, but it names no features"),
    "too few": (lambda: Box([0, 0], [1, 1], ("x",)).bind(NAMES), "takes 2 columns, but it names 1"),
    "twice": (lambda: Box([0, 0], [1, 1], ("x", 0)).bind(NAMES), "names a column twice"),
    "both": (lambda: Box.of(x=(0, 1)).bind(NAMES, ("x",)), "occur more than once"),
    "empty box": (lambda: Box([0, 2], [1, 2]), "low 2 is not below high 2"),
    "nan box": (lambda: Box([np.nan], [1]), "None for an open side"),
    "text box": (lambda: Box(["a"], [1]), "real numbers"),
    "pair": (lambda: Box.of(x=3), "no pair"),
    "radius": (lambda: Ball([0, 0], 0), "not above 0"),
    "normal": (lambda: HalfSpace([0, 0], 0), "points nowhere"),
    "vertices": (lambda: Polygon([[0, 0], [1, 1]]), r"shape \(2, 2\)"),
    "map values": (lambda: CompletenessMap([[0, 1]], [0, 1.5]), r"1.5 at \(1,\)"),
    "map axes": (lambda: CompletenessMap([[0, 1, 2], [0, 1]], np.ones((2, 2))), "do not fit"),
    "map order": (lambda: CompletenessMap([[1, 0]], [0, 1]), "ascending"),
    "map outside": (lambda: CompletenessMap([[0, 1]], [0, 1], outside=2), "outside"),
    "pixels": (lambda: HealpixMap(1, [0, 1], np.ones((11, 2)), ("p", "m")), r"need \(12, 2\)"),
    "order": (lambda: HealpixMap(1, [0, 1], np.ones((12, 2)), ("p", "m"), order="rings"), "none of"),
    "features": (lambda: Box([0], [1], (1.5,)), "no feature"),
    "no selection": (lambda: as_selection(3), "is no selection"),
    "no module": (lambda: as_selection("nowhere_at_all:f"), "cannot be imported"),
    "no colon": (lambda: as_selection("nowhere"), "write 'module:function'"),
    "no function": (lambda: as_selection("json:nothing"), "cannot be imported"),
    "not callable": (lambda: as_selection("string:digits"), "is no selection"),
    "shape": (lambda: Box([0], [1], ("x",)).bind(NAMES).evaluate(np.ones((4, 2))), r"expected \(N, 3\)"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_makes_no_sense_is_refused(kind):
    build, what = REFUSED[kind]
    with pytest.raises(SelectionError, match=what):
        build()


@given(parts, parts)
def test_pickles_and_descriptions_keep_digest_and_answers(a, b):
    rows = np.random.default_rng(3).normal(size=(20, 3))
    selection = a & ~(b | a)
    selection.require_picklable()
    selection.require_importable()
    written = json.loads(json.dumps(selection.describe(), allow_nan=False))
    for other in (pickle.loads(pickle.dumps(selection)), from_description(written, trust=ALL)):
        assert other == selection
        assert other.digest() == selection.digest()
        np.testing.assert_array_equal(answers(other, rows), answers(selection, rows))
    bound = pickle.loads(pickle.dumps(selection.bind(NAMES)))
    np.testing.assert_array_equal(bound.evaluate(rows), answers(selection, rows))


def test_digests_differ_where_selections_differ():
    others = [
        *PARTS.values(),
        ~PARTS["box"],
        PARTS["box"] & PARTS["ball"],
        PARTS["box"] | PARTS["ball"],
        Box([0, None], [1, 0.5], ("x", "y")),
        Box([0, None], [1, 0.5 + 1e-16 * 2**1], ("x", "z")),
        CompletenessMap([[-1, 0, 2], [-2, -1, 0, 3]], SHAPE, ("x", "y"), outside=0.2),
        *(as_selection(lambda v, low=low: v[:, 0] > low) for low in (0, 1)),
    ]
    assert len({selection.digest() for selection in others}) == len(others)


def test_large_maps_are_rebuilt_from_their_arrays():
    table = np.random.default_rng(0).uniform(size=(192, 10))
    chart = HealpixMap(4, np.arange(10.0), table, ("pixel", "mag"))
    selection = chart & Box.of(mag=(None, 8))
    written = json.loads(json.dumps(selection.describe()))
    assert len(json.dumps(written)) < 2000
    with pytest.raises(SelectionError, match="to_arrays"):
        from_description(written)
    arrays = selection.to_arrays()
    again = from_description(written, arrays)
    assert again == selection
    assert again.digest() == selection.digest()
    assert from_description(selection.describe(with_arrays=True)) == selection
    altered = {
        key: array + 1e-9 * (array.shape == table.shape) * (array < 0.5) for key, array in arrays.items()
    }
    with pytest.raises(SelectionError, match="not the one described"):
        from_description(written, altered)


def test_no_description_is_refused():
    for wrong in (
        {},
        {"kind": "Sphere"},
        {"kind": "Box", "low": [0]},
        {"kind": "Box", "low": "a", "high": [1]},
    ):
        with pytest.raises(SelectionError):
            from_description(wrong)


def test_functions_that_cannot_be_imported_again_are_refused_for_run_folders():
    limit = 2.0

    def local(values):
        return values[:, 0] < limit

    for function in (local, lambda values: values[:, 0] < 2):
        selection = as_selection(function) & PARTS["box"]
        assert selection.digest() == selection.digest()
        with pytest.raises(SelectionError, match="module:function"):
            selection.require_importable()
        with pytest.raises(SelectionError, match="module:function"):
            selection.require_picklable()
        with pytest.raises(SelectionError, match="give the same function again"):
            from_description(selection.describe())


def test_what_a_local_function_holds_is_part_of_its_digest():
    def above(limit):
        return as_selection(lambda values: values[:, 0] > limit)

    assert above(1.0).digest() == above(1.0).digest()
    assert above(1.0).digest() != above(2.0).digest()


def test_a_function_whose_source_changed_is_refused(tmp_path, monkeypatch):
    (tmp_path / "my_cuts.py").write_text("def keep(values):\n    return values[:, 0] > 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_cuts", raising=False)
    selection = as_selection("my_cuts:keep")
    selection.require_importable()
    written = selection.describe()
    assert from_description(written, trust=ALL).digest() == selection.digest()
    written["source_sha256"] = "0" * 64
    with pytest.raises(SelectionError, match="changed since"):
        from_description(written, trust=ALL)


def test_a_module_may_hold_a_ready_selection(tmp_path, monkeypatch):
    text = "from dgmmis.selection import Box\nfield = Box.of(parallax=(0, 0.5))\n"
    (tmp_path / "my_field.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert as_selection("my_field:field") == Box.of(parallax=(0, 0.5))
