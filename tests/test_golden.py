"""What earlier versions wrote is read, told of, and gone on with; what is not says so, and the way out.

`make_golden.py` made these folders, each with the version of its day.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import dgmmis
from dgmmis.errors import NotARun
from dgmmis.runs import numerics_fingerprint, verify_run

GOLDEN = Path(__file__).parent / "golden"
RUNS = {
    "integrating": "the first runs of format 2; a catalogue of format 1",
    "growing": "rows appended: a catalogue of format 2",
    "climbing": "steps of the gradient, and what a fit remembers of them; starts that tell of their trials",
    "sealed": "records that carry their hash",
    "confined": "steps that keep to where covariances stay positive",
    "curved": "steps by the Hessian of all rows",
}
REFUSED = {"skeleton": "runs of format 1, catalogues and models of their first format"}


@pytest.fixture
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    shutil.unpack_archive(GOLDEN / f"{request.param}.tar.xz", tmp_path, filter="data")
    return tmp_path


@pytest.mark.parametrize("golden", RUNS, indirect=True)
def test_a_run_of_every_version_is_read_and_leads_where_it_led(golden: Path) -> None:
    expected = json.loads((golden / "expected.json").read_text())
    assert all(check.passed for check in verify_run(golden / "run"))
    run = dgmmis.open_run(golden / "run")
    assert (run.state(), run.latest().scan.number) == ("STOPPED", 3)
    assert run.latest().digest == expected["stopped"]
    loaded = dgmmis.Model.load(golden / "run" / "model.npz")
    np.testing.assert_array_equal(run.model().mixture.means, loaded.mixture.means)
    result = dgmmis.resume(golden / "run", max_passes=5, catalog=golden / "stars.zarr")
    rounding = 1e-9 * np.abs(expected["log_likelihoods"]).max()
    np.testing.assert_allclose(run.latest().scan.log_likelihoods, expected["log_likelihoods"], atol=rounding)
    np.testing.assert_allclose(result.mixture.means, expected["means"], atol=1e-6)
    assert all(check.passed for check in verify_run(golden / "run"))


@pytest.mark.parametrize("golden", ["curved"], indirect=True)
def test_a_run_of_this_version_leads_to_the_same_bits_where_the_same_code_computes(golden: Path) -> None:
    expected = json.loads((golden / "expected.json").read_text())
    if expected["numerics"] != numerics_fingerprint():
        pytest.skip("this machine computes with other versions than the run was made with")
    dgmmis.resume(golden / "run", max_passes=5, catalog=golden / "stars.zarr")
    assert dgmmis.open_run(golden / "run").latest().digest == expected["resumed"]


@pytest.mark.parametrize("golden", REFUSED, indirect=True)
def test_a_run_that_is_too_old_is_refused_with_the_way_out_which_works(golden: Path) -> None:
    with pytest.raises(NotARun, match=r"'dgmmis run 1'.*--initial .*model\.npz"):
        dgmmis.open_run(golden / "run")
    catalog = dgmmis.open_catalog(golden / "stars.zarr")
    assert catalog.verify() > 0
    result = dgmmis.fit(
        catalog, n_components=2, run=golden / "new", initial=golden / "run" / "model.npz", max_passes=2
    )
    assert np.isfinite(result.log_likelihood)


@pytest.mark.parametrize("golden", [*RUNS, *REFUSED], indirect=True)
def test_a_catalogue_of_every_version_is_whole_and_gives_its_rows(golden: Path) -> None:
    catalog = dgmmis.open_catalog(golden / "stars.zarr")
    assert catalog.verify() > 0
    rows = [catalog.read_rows(chunk) for chunk in range(catalog.n_chunks)]
    assert sum(len(part.values) for part in rows) == catalog.n_rows in (120, 150)
    assert catalog.read_pilot().values.shape[1] == 2


def test_the_golden_folders_are_small_and_all_are_looked_at() -> None:
    there = {path.name.removesuffix(".tar.xz"): path.stat().st_size for path in GOLDEN.iterdir()}
    assert there.keys() == RUNS.keys() | REFUSED.keys()
    assert sum(there.values()) < 200_000
