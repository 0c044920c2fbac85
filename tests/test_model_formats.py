"""Models written for other programs and read again: the same bits, what a format cannot hold said or refused."""

import json
import re
from contextlib import suppress
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.mixture import GaussianMixture as SklearnMixture

import dgmmis
from commands import run_here, run_process
from dgmmis import Background, Mixture, Model, pygmmis
from dgmmis.errors import AlreadyExists, FeatureMismatch, InvalidData, InvalidSetting
from dgmmis.estimator import from_sklearn, to_sklearn
from dgmmis.model_formats import (
    FORMATS,
    export_model,
    format_of,
    import_model,
    provenance_of,
    read_provenance,
)
from dgmmis.selection import Box

DOCS = Path(__file__).parents[1] / "docs"
SUFFIXES = {"dgmmis": "npz", "pygmmis": "npz", "xdgmm": "fit", "fits": "fits", "sklearn": "npz"}


def mixture_of(n_components, n_features, seed):
    rng = np.random.default_rng(seed)
    amplitudes = rng.dirichlet(np.ones(n_components))
    roots = rng.normal(size=(n_components, n_features, n_features)) * 10.0 ** rng.integers(-8, 8)
    covariances = roots @ roots.transpose(0, 2, 1) + np.eye(n_features) * np.square(roots).mean()
    return Mixture(amplitudes / amplitudes.sum(), rng.normal(size=(n_components, n_features)), covariances)


def bits(mixture):
    return [array.tobytes() for array in (mixture.amplitudes, mixture.means, mixture.covariances)]


MODEL = Model(mixture_of(3, 2, 0), ("parallax", "pmra"), ("mas", "mas / yr"))
BEHIND = Model(MODEL.mixture, MODEL.features, MODEL.units, Background(([-5, -5], [5, 5]), amplitude=0.25))


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_gives_the_bits_that_went_in_and_its_content_tells_it(format, tmp_path_factory):
    path = tmp_path_factory.mktemp("formats") / f"x.{SUFFIXES[format]}"

    @settings(max_examples=10, deadline=None)
    @given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1))
    def judge(n_components, n_features, seed):
        mixture = mixture_of(n_components, n_features, seed)
        export_model(Model(mixture), path, format, overwrite=True)
        assert bits(import_model(path).mixture) == bits(mixture)

    judge()


@pytest.mark.parametrize(
    ("format", "lost", "features", "units"),
    [
        ("dgmmis", [], MODEL.features, MODEL.units),
        ("fits", ["the provenance of the fit"], MODEL.features, MODEL.units),
        ("xdgmm", ["units", "the provenance of the fit"], MODEL.features, ("", "")),
        ("sklearn", ["units", "the provenance of the fit"], MODEL.features, ("", "")),
        ("pygmmis", ["names of features", "units", "the provenance of the fit"], ("x0", "x1"), ("", "")),
    ],
)
def test_what_a_format_cannot_hold_is_said(format, lost, features, units, tmp_path):
    path = tmp_path / "x"
    assert export_model(MODEL, path, format, provenance={"run": "r"}) == lost
    again = import_model(path)
    assert (again.features, again.units) == (features, units)
    named = import_model(path, features=["a", "b"], units=["m", "s"])
    assert (named.features, named.units) == (("a", "b"), ("m", "s"))
    with pytest.raises(FeatureMismatch):
        import_model(path, features=["a"])


@pytest.mark.parametrize("format", sorted({*FORMATS} - {"dgmmis"}))
def test_a_background_is_left_out_only_if_that_is_allowed(format, tmp_path):
    with pytest.raises(InvalidSetting, match=r"holds no background.*--lossy"):
        export_model(BEHIND, tmp_path / "x", format)
    assert not (tmp_path / "x").exists()
    assert "the background" in export_model(BEHIND, tmp_path / "x", format, lossy=True)
    np.testing.assert_allclose(
        import_model(tmp_path / "x").mixture.amplitudes, MODEL.mixture.amplitudes, rtol=1e-15
    )


def test_our_own_format_holds_background_selection_and_provenance(tmp_path):
    model = Model(BEHIND.mixture, BEHIND.features, BEHIND.units, BEHIND.backgrounds, Box.of(parallax=(0, 1)))
    assert export_model(model, tmp_path / "x.npz", provenance={"rows": 7}) == []
    again = import_model(tmp_path / "x.npz")
    assert again.selection.digest() == model.selection.digest()
    assert again.background.describe() == model.background.describe()
    assert read_provenance(tmp_path / "x.npz") == {"rows": 7}
    assert "the selection of the data" in export_model(model, tmp_path / "y.fits", lossy=True)


def test_pygmmis_reads_ours_and_we_read_its_own_with_whatever_lies_beside(tmp_path):
    export_model(MODEL, tmp_path / "ours.npz", "pygmmis")
    gmm = pygmmis.GMM.from_file(tmp_path / "ours.npz")
    assert bits(Mixture(gmm.amp, gmm.mean, gmm.covar)) == bits(MODEL.mixture)
    np.savez(
        tmp_path / "its.npz",
        amp=gmm.amp * 0.75,
        mean=gmm.mean,
        covar=gmm.covar,
        U=np.array([{}], dtype=object),
    )
    read = import_model(tmp_path / "its.npz")
    np.testing.assert_allclose(read.mixture.amplitudes, gmm.amp, rtol=1e-15)
    export_model(BEHIND, tmp_path / "behind.npz", "pygmmis", lossy=True)
    assert pygmmis.GMM.from_file(tmp_path / "behind.npz").amp.sum() == pytest.approx(0.75)


OLD_XDGMM = """# XDGMM Model
# n_components  n_iter  tol  method   random_state
2,100,1e-05,astroML,None
# weights
0.25,0.75
# means
0.0,1.0
2.0,3.0
# covars
1.0,0.5
0.5,2.0
#
3.0,0.0
0.0,4.0
"""


def test_files_of_xdgmm_with_and_without_labels_are_read_and_written_as_it_writes_them(tmp_path):
    (tmp_path / "old.fit").write_text(OLD_XDGMM)
    old = import_model(tmp_path / "old.fit")
    assert old.mixture.covariances[1].tolist() == [[3, 0], [0, 4]]
    labelled = OLD_XDGMM.replace("# weights", "# labels\nNo labels\n# weights")
    export_model(old, tmp_path / "new.fit")
    assert (tmp_path / "new.fit").read_text() == labelled
    named = import_model(tmp_path / "new.fit", features=["x1", "c"])
    export_model(named, tmp_path / "named.fit")
    assert (tmp_path / "named.fit").read_text() == labelled.replace("No labels", "x1,c")
    assert import_model(tmp_path / "named.fit").features == ("x1", "c")
    with pytest.raises(InvalidSetting, match="'a b' cannot be a label"):
        export_model(Model(old.mixture, ("a b", "c")), tmp_path / "x.fit")


def test_a_fits_table_has_a_row_for_each_component_and_other_layouts_are_read(tmp_path):
    export_model(MODEL, tmp_path / "x.fits")
    with fits.open(tmp_path / "x.fits") as file:
        table = file["MIXTURE"]
        assert table.data["alpha"].tolist() == MODEL.mixture.amplitudes.tolist()
        assert table.data["V"].shape == (3, 2, 2)
        assert (table.header["FEAT2"], table.header["FUNIT2"]) == ("pmra", "mas / yr")
    one_row = {
        "XAMP": MODEL.mixture.amplitudes,
        "XMEAN": MODEL.mixture.means,
        "XCOVAR": MODEL.mixture.covariances,
    }
    rows = np.array([tuple(one_row.values())], [(name, "f8", array.shape) for name, array in one_row.items()])
    fits.BinTableHDU(rows).writeto(tmp_path / "y.fits")
    assert bits(import_model(tmp_path / "y.fits").mixture) == bits(MODEL.mixture)
    with pytest.raises(InvalidSetting, match="cannot stand in a FITS header"):
        export_model(Model(MODEL.mixture, ("größe", "b")), tmp_path / "z.fits")
    fits.BinTableHDU(np.rec.fromarrays([np.ones(2)], names=["g"])).writeto(tmp_path / "other.fits")
    with pytest.raises(InvalidData, match="no table has columns alpha, mu, V"):
        import_model(tmp_path / "other.fits")


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_a_mixture_of_scikit_learn_is_the_same_density_here_and_there(kind, tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 2))
    theirs = SklearnMixture(2, covariance_type=kind, random_state=0).fit(X)
    ours = from_sklearn(theirs, features=["a", "b"])
    np.testing.assert_allclose(ours.log_density(X), theirs.score_samples(X), rtol=1e-12)
    back = to_sklearn(ours)
    np.testing.assert_allclose(back.score_samples(X), theirs.score_samples(X), rtol=1e-12)
    np.testing.assert_array_equal(back.predict(X), theirs.predict(X))
    assert bits(from_sklearn(back).mixture) == bits(ours.mixture)
    attributes = {name: getattr(theirs, name) for name in ("weights_", "means_", "covariances_")}
    np.savez(tmp_path / "x.npz", covariance_type=kind, **attributes)
    assert bits(import_model(tmp_path / "x.npz").mixture) == bits(ours.mixture)


def test_the_arrays_of_scikit_learn_are_its_mixture_again_by_the_lines_of_the_docs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    export_model(MODEL, tmp_path / "sk.npz", "sklearn")
    (block,) = re.findall(r"^  ```python\n(.*?)^  ```", (DOCS / "formats.md").read_text(), re.M | re.S)
    names: dict = {}
    exec(dedent(block), names)
    values = MODEL.mixture.draw(20, np.random.default_rng(0))
    np.testing.assert_allclose(names["mixture"].score_samples(values), MODEL.log_density(values), rtol=1e-12)


def test_scikit_learn_is_refused_what_is_no_mixture_and_gets_no_background():
    with pytest.raises(InvalidSetting, match="is no fitted GaussianMixture"):
        from_sklearn(SklearnMixture(2))
    with pytest.raises(InvalidSetting, match="holds no background"):
        to_sklearn(BEHIND)
    assert to_sklearn(BEHIND, lossy=True).weights_.sum() == pytest.approx(1)


@pytest.mark.parametrize("format", FORMATS)
def test_an_altered_file_is_refused_as_data_or_gives_a_model(format, tmp_path):
    path = tmp_path / f"x.{SUFFIXES[format]}"
    export_model(MODEL, path, format)
    right = path.read_bytes()

    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, len(right) - 1), st.integers(0, 7), st.booleans())
    def judge(at, bit, cut):
        altered = bytearray(right[:at] if cut else right)
        if not cut:
            altered[at] ^= 1 << bit
        path.write_bytes(altered)
        with suppress(InvalidData):
            assert isinstance(import_model(path), Model)

    judge()


def test_a_fit_starts_from_a_model_of_any_format(tmp_path):
    values = MODEL.mixture.draw(60, np.random.default_rng(0))
    ends = set()
    for format in FORMATS:
        path = tmp_path / format
        export_model(Model(MODEL.mixture), path, format)
        result = dgmmis.fit(values, n_components=3, initial=path, max_passes=1, method="em", floor=1e-3)
        ends.add(result.mixture.means.tobytes())
    assert len(ends) == 1


def test_the_format_follows_the_suffix_and_an_existing_file_is_kept(tmp_path):
    assert [format_of(Path(f"x.{suffix}")) for suffix in ("npz", "fits", "fit")] == [
        "dgmmis",
        "fits",
        "xdgmm",
    ]
    with pytest.raises(InvalidSetting, match="tells no format"):
        format_of(Path("x.pkl"))
    with pytest.raises(InvalidSetting, match="expected one of"):
        export_model(MODEL, tmp_path / "x.npz", "pickle")
    export_model(MODEL, tmp_path / "x.npz")
    with pytest.raises(AlreadyExists, match="--overwrite"):
        export_model(MODEL, tmp_path / "x.npz")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    values = MODEL.mixture.draw(200, np.random.default_rng(0))
    catalog = dgmmis.ingest(values, folder / "x.zarr", features=["a", "b"], units={"a": "mas"})
    dgmmis.fit(catalog, n_components=2, run=folder / "run", max_passes=2)
    return dgmmis.open_run(folder / "run")


def test_a_run_is_exported_with_its_provenance_and_imported_with_names_and_units(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = run_process("export", run.path, "-o", "m.npz")
    assert said.stdout == "2 components written to m.npz, format dgmmis\n"
    provenance = read_provenance("m.npz")
    assert provenance == json.loads(json.dumps(provenance_of(run)))
    assert provenance["catalog"] == {"fingerprint": run.data["fingerprint"], "rows": 200}
    said = run_here("export", "m.npz", "-o", "m.fit", "--json")
    assert json.loads(said.stdout)["lost"] == ["units", "the provenance of the fit"]
    run_here("import", "m.fit", "-o", "n.npz", "--features", "p,q", "--unit", "q=km/s")
    again = Model.load("n.npz")
    assert (again.features, again.units) == (("p", "q"), ("", "km/s"))
    assert bits(again.mixture) == bits(run.model().mixture)


# --- the documented format


def reader_of_the_docs():
    (block,) = [
        block
        for block in re.findall(r"^```python\n(.*?)^```", (DOCS / "formats.md").read_text(), re.M | re.S)
        if "def read_model" in block
    ]
    return block


def test_the_reader_in_the_docs_needs_numpy_only_and_gives_our_densities(tmp_path):
    block = reader_of_the_docs()
    assert len(block.splitlines()) <= 50
    assert set(re.findall(r"^(?:import|from) (\w+)", block, re.M)) == {"json", "numpy"}
    names: dict = {}
    exec(block, names)
    rng = np.random.default_rng(0)
    for model in (MODEL, BEHIND):
        export_model(model, tmp_path / "x.npz", provenance={"rows": 3}, overwrite=True)
        read = names["read_model"](tmp_path / "x.npz")
        assert (tuple(read["features"]), tuple(read["units"])) == (MODEL.features, MODEL.units)
        assert read["provenance"] == {"rows": 3}
        values = rng.normal(size=(20, 2)) * 4
        values[rng.random((20, 2)) < 0.3] = np.nan
        found, expected = names["log_density"](read, values), model.log_density(values)
        np.testing.assert_allclose(
            found, expected, rtol=1e-12, atol=1e-14
        )  # ln 1 of a row with nothing observed
