"""FITS tables: what their conventions mean."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from dgmmis.errors import InvalidData
from dgmmis.readers import open_source
from source_tables import write_fits

SAMPLE = Path(__file__).parents[1].parent / "shared/data/gaia_dr3_sample.fits"


def read(path, *columns, id=None, batch_rows=1000):
    batches = open_source(path, features=(), wanted=columns).batches(columns, batch_rows, id=id)
    parts = [batch.columns for batch in batches]
    return [np.concatenate([part[name] for part in parts]) for name in columns]


def test_integers_marked_as_null_are_missing_and_then_no_id(tmp_path):
    path = write_fits(tmp_path / "x.fits", fits.Column("n", "J", array=np.array([1, -99, 3]), null=-99))
    (n,) = read(path, "n")
    np.testing.assert_array_equal(n, [1, np.nan, 3])
    with pytest.raises(InvalidData, match="no id") as caught:
        read(path, "n", id="n", batch_rows=1)
    assert caught.value.row == 1


def test_scaled_columns_are_scaled(tmp_path):
    path = write_fits(tmp_path / "x.fits", fits.Column("x", "I", array=np.array([0, 1, -2])))
    fits.setval(path, "TSCAL1", value=0.5, ext=1)
    fits.setval(path, "TZERO1", value=10.0, ext=1)
    np.testing.assert_array_equal(read(path, "x")[0], [10, 10.5, 9])
    np.testing.assert_array_equal(read(path, "x")[0], fits.getdata(path)["x"])


def test_unsigned_integers_are_exact_and_refused_as_id_beyond_int64(tmp_path):
    values = np.array([0, 2**63 - 1, 7], dtype=np.uint64)
    path = write_fits(tmp_path / "x.fits", fits.Column("u", "K", bzero=2**63, array=values))
    assert read(path, "u", id="u")[0].tolist() == values.tolist()
    values[2] = 2**63
    path = write_fits(tmp_path / "y.fits", fits.Column("u", "K", bzero=2**63, array=values))
    with pytest.raises(InvalidData, match="int64") as caught:
        read(path, "u", id="u")
    assert caught.value.row == 2
    np.testing.assert_array_equal(read(path, "u")[0], values.astype(float))


def test_true_and_false_stay_so(tmp_path):
    path = write_fits(tmp_path / "x.fits", fits.Column("f", "L", array=np.array([True, False, True])))
    (flags,) = read(path, "f")
    assert flags.dtype == bool
    assert flags.tolist() == [True, False, True]


def test_units_are_kept_as_they_stand(tmp_path):
    columns = [
        fits.Column("x", "D", unit="'electron'.s**-1", array=np.zeros(2)),
        fits.Column("y", "D", unit="log(cm.s**-2)", array=np.zeros(2)),
    ]
    source = open_source(write_fits(tmp_path / "x.fits", *columns), features=())
    assert dict(source.units) == {"x": "'electron'.s**-1", "y": "log(cm.s**-2)"}


def test_the_first_table_with_the_wanted_columns_is_read(tmp_path):
    first = fits.BinTableHDU.from_columns([fits.Column("a", "D", array=np.zeros(3))])
    second = fits.BinTableHDU.from_columns([fits.Column("b", "D", array=np.ones(2))])
    fits.HDUList([fits.PrimaryHDU(), first, second]).writeto(tmp_path / "x.fits")
    assert read(tmp_path / "x.fits", "b")[0].tolist() == [1, 1]
    assert open_source(tmp_path / "x.fits", features=(), wanted=("z",)).columns == ("a",)


def test_several_numbers_per_row_are_no_feature(tmp_path):
    path = write_fits(tmp_path / "x.fits", fits.Column("v", "3E", array=np.zeros((2, 3))))
    with pytest.raises(InvalidData, match="3 numbers per row"):
        read(path, "v")


@pytest.mark.parametrize("suffix", [".fits", ".fits.gz"])
def test_a_truncated_file_is_refused_where_it_ends(suffix, tmp_path):
    path = write_fits(tmp_path / "x.fits", fits.Column("a", "D", array=np.arange(1000.0)))
    content = path.read_bytes()[:-5760]
    path = tmp_path / f"short{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    with pytest.raises(InvalidData, match="truncated") as caught:
        read(path, "a")
    assert 0 < caught.value.row < 1000


def test_a_file_without_a_table_is_refused(tmp_path):
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "x.fits")
    with pytest.raises(InvalidData, match="no binary table"):
        open_source(tmp_path / "x.fits", features=())


@pytest.mark.skipif(not SAMPLE.exists(), reason="the Gaia sample is not there")
@pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")
def test_all_numbers_of_a_real_table_are_those_that_astropy_reads():
    table = Table.read(SAMPLE)
    source = open_source(SAMPLE, features=())
    numeric = tuple(name for name in table.colnames if table[name].dtype.kind in "biuf")
    assert len(numeric) > 140
    for name, found in zip(numeric, read(SAMPLE, *numeric, batch_rows=300), strict=True):
        expected = table[name]
        if found.dtype == bool:
            expected = np.ma.filled(expected, False)
        elif found.dtype.kind == "f":
            expected = np.ma.filled(expected.astype(found.dtype), np.nan)
        np.testing.assert_array_equal(found, np.asarray(expected), err_msg=name)
    assert source.units["pmra"] == "mas.yr**-1"
