"""Errors, correlations and derived features become the noise of the rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgmmis.errors import InvalidSetting, TooManyQuarantined, UnitMismatch, UnknownColumn
from dgmmis.ingestion import ingest
from dgmmis.ingestion.ingest_plan import Options, make_plan
from dgmmis.ingestion.row_builder import RowBuilder
from dgmmis.noise import Noise
from dgmmis.readers import open_arrays
from dgmmis.store.schema import StoredRows


def build(columns, batch_rows=1000, units=None, **options):
    """Stored rows and schema, without a catalogue."""
    options = Options(**{name: tuple(v) if isinstance(v, list) else v for name, v in options.items()})
    source = open_arrays(columns, features=options.features)
    if units:
        source.units = units
    plan = make_plan(source, options, {})
    builder = RowBuilder(plan)
    parts = [builder.build(batch) for batch in source.batches(plan.columns, batch_rows, id=plan.id)]
    return StoredRows.joined(parts), plan.schema, builder


def covariances(rows, schema):
    return schema.noise(rows.noise).covariances(len(rows), schema.n_features)


def make_columns(n_rows=40, seed=0):
    rng = np.random.default_rng(seed)
    columns = {}
    for name in ("x", "y", "z"):
        columns[name] = rng.normal(size=n_rows)
        columns[f"{name}_error"] = rng.uniform(0.1, 1, n_rows)
    for first, second in ("xy", "xz", "yz"):
        columns[f"{first}_{second}_corr"] = rng.uniform(-0.4, 0.4, n_rows)
    return columns


def base_covariances(columns):
    errors = np.stack([columns[f"{name}_error"] for name in "xyz"], axis=1)
    correlation = np.broadcast_to(np.eye(3), (len(errors), 3, 3)).copy()
    for (i, j), pair in {(0, 1): "x_y", (0, 2): "x_z", (1, 2): "y_z"}.items():
        correlation[:, i, j] = correlation[:, j, i] = columns[f"{pair}_corr"]
    return correlation * errors[:, :, None] * errors[:, None, :]


coefficient = st.floats(-3, 3).map(lambda c: round(c, 2)).filter(bool)


@given(first=st.tuples(coefficient, coefficient), second=st.tuples(coefficient, coefficient, coefficient))
@settings(max_examples=25, deadline=None)
def test_noise_of_derived_features_is_that_of_the_jacobian(first, second):
    columns = make_columns()
    derive = [
        f"p = {first[0]} * x + {first[1]} * y - 5",
        f"q = ({second[0]} * x - {second[1]} * y) / 2 + {second[2]} * z",
    ]
    options = {"features": ["p", "z", "q"], "derive": derive, "error": ["{}_error"], "corr": "{}_{}_corr"}
    rows, schema, _ = build(columns, **options)
    jacobian = np.array([
        [first[0], first[1], 0],
        [0, 0, 1],
        [second[0] / 2, -second[1] / 2, second[2]],
    ])  # fmt: skip
    base = np.stack([columns[name] for name in "xyz"], axis=1)
    np.testing.assert_allclose(rows.values, base @ jacobian.T + [-5, 0, 0], atol=1e-12)
    expected = jacobian @ base_covariances(columns) @ jacobian.T
    assert schema.noise_form == "covariances"
    np.testing.assert_allclose(covariances(rows, schema), expected, atol=1e-12)


@given(batch_rows=st.integers(1, 50))
@settings(max_examples=10, deadline=None)
def test_the_size_of_batches_does_not_matter(batch_rows):
    options = {
        "features": ["p", "z"], "derive": ["p=x-y"], "error": ["{}_error"], "corr": "{}_{}_corr",
        "where": "x > -0.5",
    }  # fmt: skip
    whole, _, _ = build(make_columns(), **options)
    parts, _, _ = build(make_columns(), batch_rows, **options)
    np.testing.assert_array_equal(parts.values, whole.values)
    np.testing.assert_array_equal(parts.source_rows, whole.source_rows)
    np.testing.assert_array_equal(parts.noise["covariances"], whole.noise["covariances"])


def test_a_derived_feature_without_one_of_its_columns_is_missing_and_spoils_no_other():
    columns = make_columns()
    columns["x"][3] = columns["x_error"][3] = np.nan
    columns["x_y_corr"][3] = columns["x_z_corr"][3] = np.nan
    options = {"features": ["p", "z"], "derive": ["p=x-y"], "error": ["{}_error"], "corr": "{}_{}_corr"}
    rows, schema, _ = build(columns, **options)
    assert np.isnan(rows.values[3, 0])
    assert rows.values[3, 1] == columns["z"][3]
    assert schema.noise(rows.noise).covariances(40, 2)[3, 1, 1] == pytest.approx(columns["z_error"][3] ** 2)


def test_an_error_given_for_a_derived_feature_is_its_own_and_independent():
    columns = make_columns()
    options = {"features": ["p", "x"], "derive": ["p=x-y"], "error": ["{}_error", "p=0.02"]}
    rows, schema, _ = build(columns, **options)
    assert schema.noise_form == "errors"
    expected = np.zeros((40, 2, 2))
    expected[:, 0, 0], expected[:, 1, 1] = 0.02**2, columns["x_error"] ** 2
    np.testing.assert_allclose(covariances(rows, schema), expected)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        (["x=0.1", "y=0.2"], [[0.01, 0.01], [0.01, 0.05]]),
        (["x=0", "y=0"], None),
    ],
)
def test_constant_errors_are_one_covariance_and_no_errors_none(errors, expected):
    options = {"features": ["x", "p"], "derive": ["p=x+y"], "error": errors}
    rows, schema, _ = build(make_columns(), **options)
    if expected is None:
        assert schema.noise_form == "none"
        return
    assert (schema.noise_form, rows.noise) == ("shared", {})
    np.testing.assert_allclose(schema.shared_noise, expected)


def test_jitter_without_errors_is_the_noise_of_all_rows(tmp_path):
    catalog = ingest(make_columns(), tmp_path / "x.zarr", features=["x", "y"], jitter={"y": 0.1})
    np.testing.assert_allclose(catalog.read_rows(0).noise.array, [[0, 0], [0, 0.01]], atol=1e-18)


@pytest.mark.parametrize(
    ("derive", "match"),
    [
        ("p=x*y", "not linear"),
        ("p=abs(x)", "not linear"),
        ("p=1/x", "not linear"),
        ("p=log10(x)", "not linear"),
        ("p=x-x", "cancel out"),
        ("p=3", "uses no column"),
        ("p", "NAME=EXPRESSION"),
        ("x=y", "also a column"),
        ("p=x>1", "condition, not a number"),
        ("p=x.real", "Attribute"),
        ("p=(", "cannot be used"),
    ],
)
def test_what_is_not_a_linear_combination_is_refused(derive, match):
    with pytest.raises(InvalidSetting, match=match):
        build(make_columns(), features=["p"], derive=[derive])


def test_a_derived_feature_of_unknown_columns_or_not_asked_for_is_refused():
    with pytest.raises(UnknownColumn, match="'xx'"):
        build(make_columns(), features=["p"], derive=["p=xx-y"])
    with pytest.raises(InvalidSetting, match="'p' is not among the features"):
        build(make_columns(), features=["x"], derive=["p=x-y"])


def test_an_error_in_another_unit_is_converted():
    columns = make_columns()
    units = {"x": "deg", "x_error": "mas", "y": "mas.yr**-1", "y_error": "mas/yr"}
    rows, schema, _ = build(columns, features=["x", "y"], error=["{}_error"], units=units)
    assert schema.units == ("deg", "mas.yr**-1")
    np.testing.assert_allclose(rows.noise["errors"][:, 0], columns["x_error"] / 3.6e6, rtol=1e-14)
    np.testing.assert_array_equal(rows.noise["errors"][:, 1], columns["y_error"])


def test_units_that_cannot_be_converted_are_refused():
    with pytest.raises(UnitMismatch, match="'x_error' is in mas, which cannot be converted to km"):
        build(make_columns(), features=["x"], error=["{}_error"], units={"x": "km", "x_error": "mas"})
    with pytest.raises(UnitMismatch, match="combines 'x' in mas with 'y' in arcsec"):
        build(make_columns(), features=["p"], derive=["p=x-y"], units={"x": "mas", "y": "arcsec"})


def test_unknown_units_are_taken_as_equal_and_that_is_noted():
    options = {"features": ["p", "z"], "derive": ["p=x-y"], "error": ["{}_error"]}
    units = {"x": "mag", "x_error": "mag", "z": "'odd'", "z_error": "km"}
    _, schema, _ = build(make_columns(), units=units, **options)
    assert schema.units == ("mag", "'odd'")
    notes = schema.provenance["notes"]
    assert "'p': unit of 'y' unknown, taken as mag" in notes
    assert any("unit ''odd'' not understood" in note for note in notes)


def test_declared_units_replace_those_of_the_source(tmp_path):
    columns = make_columns()
    catalog = ingest(
        columns, tmp_path / "x.zarr", features=["x", "p"], derive=["p=y-z"], error=["x=x_error", "p=0.1"],
        units={"x": "deg", "x_error": "arcsec", "p": "mag"},
    )  # fmt: skip
    assert catalog.units == ("deg", "mag")
    variances = np.sort(catalog.read_rows(0).noise.array[:, 0])
    np.testing.assert_allclose(variances, np.sort((columns["x_error"] / 3600) ** 2), rtol=1e-13)


def test_a_feature_without_a_usable_error_is_missing_if_so_wished():
    columns = make_columns()
    columns["x_error"][:4] = [np.nan, -1, np.inf, 0]
    columns["x"][5] = columns["x_error"][5] = np.nan
    rows, _, builder = build(columns, features=["x", "y"], error=["{}_error"], missing_error="missing")
    assert np.isnan(rows.values[:6, 0]).tolist() == [True, True, True, False, False, True]
    assert not np.isnan(rows.values[:, 1]).any()
    assert builder.n_without_error == {"x": 3, "y": 0}
    rows, _, _ = build(
        columns, features=["p", "y"], derive=["p=x-y"], error=["{}_error"], missing_error="missing"
    )
    assert np.flatnonzero(np.isnan(rows.values[:, 0])).tolist() == [0, 1, 2, 5]


@pytest.mark.parametrize("kind", ["diagonal", "full"])
def test_a_feature_of_a_matrix_without_a_usable_variance_is_missing_if_so_wished(kind, tmp_path):
    values, variances = np.ones((6, 2)), np.ones((6, 2))
    variances[:3, 1] = [np.nan, -1, np.inf]
    noise = Noise.diagonal(variances)
    if kind == "full":
        noise = Noise.packed(np.stack([variances[:, 0], np.zeros(6), variances[:, 1]], axis=1))
    options = {"features": ["x", "y"], "noise": noise}
    kept = ingest(values, tmp_path / "x.zarr", missing_error="missing", **options)
    assert np.isnan(kept.read_rows(0).values).sum(axis=0).tolist() == [0, 3]
    assert ingest(values, tmp_path / "y.zarr", **options).n_quarantined == 3


def test_rows_without_a_usable_error_are_set_aside_otherwise(tmp_path):
    columns = make_columns()
    columns["x_error"][:3] = [np.nan, -1, np.inf]
    columns["x_y_corr"][7] = 1.5
    columns["y"][9] = np.inf
    options = {"error": "{}_error", "corr": "{}_{}_corr"}
    for number, derived in enumerate(({"features": ["x", "y"]}, {"features": ["p", "y"], "derive": "p=x-y"})):
        catalog = ingest(columns, tmp_path / f"{number}.zarr", **options, **derived)
        assert [entry["row"] for entry in catalog.quarantined()] == [0, 1, 2, 7, 9]
        assert catalog.n_rows == 35
    with pytest.raises(TooManyQuarantined):
        ingest(columns, tmp_path / "z.zarr", features=["x", "y"], max_quarantined=4, **options)
    kept = ingest(columns, tmp_path / "y.zarr", features=["x", "y"], missing_error="missing", **options)
    assert [entry["row"] for entry in kept.quarantined()] == [7, 9]
    assert kept.schema.provenance["counts"]["set_missing_for_lack_of_error"] == {"x": 3}


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        (
            {"features": ["x", "w"], "error": ["{}_error"]},
            UnknownColumn,
            r"--error w=0\.02 for a constant.* w=0 for none",
        ),
        (
            {"features": ["x", "y"], "error": ["x=0.1"]},
            InvalidSetting,
            "nothing is said about the error of 'y'",
        ),
        ({"features": ["x"], "error": ["x=x_err"]}, UnknownColumn, "Similar: x_error"),
        ({"features": ["x"], "error": ["x=-1"]}, InvalidSetting, "finite and >= 0"),
        ({"features": ["x"], "error": ["x_error"]}, InvalidSetting, "neither a template"),
        ({"features": ["x"], "error": ["{}_error", "q=1"]}, UnknownColumn, "given for 'q'"),
        ({"features": ["x", "y"], "error": ["{}_error"], "corr": "{}-{}"}, UnknownColumn, "no 'x-y'"),
        ({"features": ["x", "y"], "error": ["{}_error"], "corr": "{}_corr"}, InvalidSetting, "two places"),
        (
            {"features": ["x"], "error": ["{}_error"], "corr": "{}_{}_corr"},
            InvalidSetting,
            "at least two features",
        ),
    ],
)
def test_errors_that_cannot_be_found_are_answered_with_the_way_out(options, error, match):
    columns = make_columns()
    columns["w"] = np.zeros(40)
    with pytest.raises(error, match=match):
        build(columns, **options)


def test_correlations_between_features_and_columns_of_derived_ones_count():
    columns = make_columns()
    rows, schema, _ = build(
        columns, features=["x", "p"], derive=["p=y"], error=["{}_error"], corr="{}_{}_corr"
    )
    np.testing.assert_allclose(covariances(rows, schema), base_covariances(columns)[:, :2, :2], rtol=1e-14)
