"""HATS catalogues: each row once, and nothing that is not whole."""

import numpy as np
import pandas as pd
import pytest

from dgmmis.errors import InvalidData
from dgmmis.readers import open_arrays, open_source
from source_tables import PIXELS, write_hats
from test_readers_formats import make_columns, read, read_all


def test_a_hats_collection_gives_each_row_once_in_the_order_of_the_sky(tmp_path):
    columns = make_columns()
    folder = write_hats(columns, tmp_path / "sky")
    source = open_source(folder, features=())
    assert source.n_rows == len(columns["id"])
    np.testing.assert_array_equal(read(source, "id", id="id")[0], columns["id"])
    np.testing.assert_array_equal(read(open_source(folder / "main", features=()), "wide")[0], columns["wide"])


def test_a_hats_catalogue_that_is_not_whole_is_refused(tmp_path):
    folder = write_hats(make_columns(), tmp_path / "sky")
    with pytest.raises(InvalidData, match=r"type 'margin', not a catalogue of rows. .*'main'"):
        open_source(folder / "main_margin", features=())
    properties = folder / "main/hats.properties"
    text = properties.read_text()
    properties.write_text(text.replace("hats_nrows=23", "hats_nrows=24"))
    with pytest.raises(InvalidData, match="has 23 rows in its partitions; its properties say 24"):
        open_source(folder, features=())
    properties.write_text(text.replace("suffix=.parquet", "suffix=/../x"))
    with pytest.raises(InvalidData, match=r"the suffix '/\.\./x', which is none"):
        open_source(folder, features=())
    properties.write_text(text.replace("hats_nrows=23", "hats_nrows=24"))
    (folder / "main/dataset/Norder=0/Dir=0/Npix=2.parquet").unlink()
    with pytest.raises(InvalidData, match="lacks partition Norder=0, Npix=2"):
        open_source(folder, features=())
    (folder / "main/partition_info.csv").write_text("Norder,Npix\n0,99\n")
    with pytest.raises(InvalidData, match="no partitions that are pixels of the sky"):
        open_source(folder, features=())
    (folder / "main/partition_info.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InvalidData, match=r"partition_info\.csv, cannot be read"):
        open_source(folder, features=())
    (folder / "main/partition_info.csv").unlink()
    with pytest.raises(InvalidData, match="partitions; its properties say 24"):
        open_source(folder, features=())
    (folder / "collection.properties").write_text("hats_primary_table_url=../../etc\n")
    with pytest.raises(InvalidData, match="is not in it"):
        open_source(folder, features=())


def test_a_folder_of_partitions_with_older_properties_is_hats_and_one_of_parquet_files_is_not(tmp_path):
    folder = write_hats(make_columns(), tmp_path / "sky") / "main"
    (folder / "hats.properties").rename(folder / "properties")
    for order, pixel in PIXELS:  # partitions may be folders of files
        file = folder / f"dataset/Norder={order}/Dir=0/Npix={pixel}.parquet"
        part = file.with_suffix("")
        part.mkdir()
        file.rename(part / "part0.parquet")
    text = (folder / "properties").read_text()
    (folder / "properties").write_text(text.replace("suffix=.parquet", "suffix=/"))
    assert open_source(folder, features=()).n_rows == 23
    (folder / "properties").write_text("colour=red\n")
    assert open_source(folder, features=()).n_rows == 25  # with the sample of two rows that lies beside


@pytest.mark.filterwarnings("ignore")  # of what lsdb calls
def test_a_catalogue_that_lsdb_wrote_is_read_from_disk_and_from_its_object(tmp_path):
    lsdb = pytest.importorskip("lsdb", reason="lsdb is large and no part of the dev extra")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "n": np.arange(60),
            "ra": rng.uniform(0, 360, 60),
            "dec": rng.uniform(-80, 80, 60),
            "g": rng.normal(size=60),
        }
    )
    made = lsdb.from_dataframe(frame, ra_column="ra", dec_column="dec", partition_rows=20)
    made.write_catalog(tmp_path / "sky", catalog_name="stars", progress_bar=False)
    on_disk = read_all(open_source(tmp_path / "sky", features=()), ("n", "g"), 7)
    as_object = read_all(open_arrays(lsdb.open_catalog(tmp_path / "sky"), features=()), ("n", "g"), 7)
    np.testing.assert_array_equal(on_disk["n"], as_object["n"])
    np.testing.assert_array_equal(frame["g"].to_numpy()[on_disk["n"]], on_disk["g"])
    assert sorted(on_disk["n"]) == list(range(60))
