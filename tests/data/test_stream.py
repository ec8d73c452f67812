"""Parquet files and subsets as rows that are read in pieces."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from scipy.sparse import issparse

from dec.data import dataset as base
from dec.data import stream
from dec.data.scaling import fit_scaling
from dec.data.stream import ParquetRows, ParquetTable, Subset, nbytes, read_parquet
from dec.data.transformers.table import TableFeatures

N = 250
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({
    "price": np.where(RNG.random(N) < 0.1, np.nan, RNG.normal(50, 9, N)),
    "sold": RNG.integers(0, 9, N),
    "brand": pd.Categorical(np.repeat(["Nokia", "LG", "Sony", "Acme", "Bosch"], 50)),  # row groups lack some
    "note": [None if i % 7 == 0 else f"word{i % 5} other{i % 3}" for i in range(N)],
    "used": RNG.random(N) < 0.5,
    "added": pd.Timestamp("2020-03-01") + pd.to_timedelta(RNG.integers(0, 900, N), unit="D"),
})


@pytest.fixture
def folder(tmp_path):
    """The frame in two files and seven row groups, the last of each smaller; read in small pieces."""
    FRAME[:150].to_parquet(tmp_path / "part-0.parquet", row_group_size=40)
    FRAME[150:].to_parquet(tmp_path / "part-1.parquet", row_group_size=40, index=False)
    return tmp_path


@pytest.fixture
def table(folder, monkeypatch):
    monkeypatch.setattr(stream, "LARGE", 0)
    monkeypatch.setattr(stream, "PIECE", 700)
    monkeypatch.setattr(base, "PIECE", 70)
    return read_parquet(sorted(folder.glob("*")))


def test_rows_are_those_that_were_written(folder, table, monkeypatch):
    assert isinstance(table, ParquetTable) and table.shape == (N, 6) and table.columns == list(FRAME)
    for rows in (slice(None), slice(0, 0), slice(30, 170), slice(249, 300), np.array([0, 39, 40, 149, 150, 249])):
        pd.testing.assert_frame_equal(table[rows], FRAME.iloc[rows], check_dtype=False, check_categorical=False)
    pd.testing.assert_frame_equal(table[["sold", "price"]][5:9], FRAME[["sold", "price"]][5:9])
    pd.testing.assert_frame_equal(pd.concat(base.pieces(table[["sold"]])), FRAME[["sold"]])
    part = table.take(np.arange(0, N, 2)).take(np.arange(20, 120, 5))
    assert part.shape == (20, 6) and part[["sold"]][3:5].to_dict() == {"sold": {70: FRAME.sold[70], 80: FRAME.sold[80]}}
    monkeypatch.setattr(stream, "LARGE", 8 * N * 6)
    pd.testing.assert_frame_equal(read_parquet(sorted(folder.glob("*"))), table[:])


def test_size_decides_what_stays_on_the_disk(folder, table, monkeypatch):
    """Rows that are few are read."""
    monkeypatch.setattr(stream, "LARGE", 8 * N)
    table = read_parquet(sorted(folder.glob("*")))
    assert isinstance(table, ParquetTable) and isinstance(table.take(np.arange(N // 6 + 1)), ParquetTable)
    assert isinstance(table.take(np.arange(N // 6)), pd.DataFrame)
    long = pd.DataFrame({"text": [f"{i} " + "long " * 100 for i in range(50)]})
    long.to_parquet(folder / "long.parquet")
    monkeypatch.setattr(stream, "LARGE", 10000)  # of 25,000
    assert isinstance(read_parquet([folder / "long.parquet"]), ParquetTable)


def test_shards_share_the_types_that_hold_all_values(tmp_path, monkeypatch):
    """A row is the same whatever rows it is read with."""
    monkeypatch.setattr(stream, "LARGE", 0)
    pd.DataFrame({"a": [1, 2], "b": [None, None]}).to_parquet(tmp_path / "0.parquet")
    pd.DataFrame({"b": ["x", None], "a": [0.5, None]}).to_parquet(tmp_path / "1.parquet")
    table = read_parquet(sorted(tmp_path.glob("*")))
    assert table[:1].dtypes.equals(table[:].dtypes) and table[:1]["a"].dtype == float
    assert table[:].fillna({"a": -1, "b": "-"}).to_dict("list") == {"a": [1, 2, 0.5, -1], "b": ["-", "-", "x", "-"]}


def test_one_row_group_is_read_at_a_time(table, monkeypatch):
    read, original = [], ParquetTable._read
    monkeypatch.setattr(ParquetTable, "_read", lambda self, group: read.append(int(group)) or original(self, group))
    assert sum(len(piece) for piece in base.pieces(table[table.columns])) == N
    assert read == [0, 1, 2, 3, 4, 5, 6]


def test_the_sample_is_uniform_and_no_larger_than_it_may_be(table, monkeypatch):
    assert len(table.sample) == N
    monkeypatch.setattr(stream, "SAMPLE_VALUES", 600)
    part = table[["price", "sold"]]
    assert len(part.sample) == 250 and len(table.take(np.arange(N)).sample) == 100
    monkeypatch.setattr(stream, "SAMPLE_ROWS", 50)
    sample = table.take(np.arange(100, N)).sample
    assert len(sample) == 50 and (np.diff(sample.index) > 0).all() and sample.index[0] < 115 and sample.index[-1] > 235
    pd.testing.assert_series_equal(sample["sold"], FRAME["sold"][sample.index])


@pytest.mark.parametrize("options", [{}, {"numeric": "none", "kinds": {"brand": "drop", "note": "drop"}},
                                     {"kinds": {"note": "text", "brand": "category"}, "missing": "category"}])
def test_features_of_rows_do_not_depend_on_how_they_are_read(table, options):
    features = TableFeatures(**options).fit(FRAME)
    whole, x = features.transform(FRAME), ParquetRows(table, features)
    assert (x.shape, x.dtype, issparse(x[:0])) == (whole.shape, np.float32, issparse(whole))
    for rows in (slice(None), slice(0, 0), slice(30, 170), slice(249, 300), np.array([0, 39, 40, 149, 150, 249])):
        assert (x[rows] != whole[rows]).sum() == 0 and x[rows].shape == whole[rows].shape
    assert fit_scaling(x, "power") == fit_scaling(whole, "power")


def test_columns_may_be_more_but_not_less(table):
    features = TableFeatures().fit(FRAME[["sold", "price"]])
    with pytest.warns(UserWarning, match="not there in fit and are not used: 'brand', 'note'") as warned:
        x = ParquetRows(table, features)
    np.testing.assert_array_equal(x[:], features.transform(FRAME[["price", "sold"]]))
    assert len(warned) == 1
    with pytest.raises(ValueError, match=r"X lacks the columns 'sold', 'brand', .* add them"):
        ParquetRows(table[["price"]], TableFeatures().fit(FRAME))


def damaged(folder):
    (folder / "part-1.parquet").write_bytes((folder / "part-1.parquet").read_bytes()[:-30])


def spoilt(folder):
    content = bytearray((folder / "part-1.parquet").read_bytes())
    content[4:2000] = bytes(1996)
    (folder / "part-1.parquet").write_bytes(content)


@pytest.mark.parametrize(("spoil", "message"), [
    (damaged, r"part-1\.parquet is not a Parquet file, or a damaged one"),
    (spoilt, r"part-1\.parquet cannot be read"),
    (lambda f: FRAME.drop(columns="sold").to_parquet(f / "z.parquet"), r"z\.parquet has other columns .*: sold in one"),
    (lambda f: FRAME.astype({"sold": str}).to_parquet(f / "z.parquet"),
     r"do not go together .*sold.* int64 vs .*string.*; cast each column to one type"),
])
def test_what_is_wrong_with_the_files_is_said(folder, spoil, message):
    spoil(folder)
    with pytest.raises(ValueError, match=message):
        read_parquet(sorted(folder.glob("*")))


def test_two_columns_of_one_name(tmp_path):
    parquet.write_table(pa.Table.from_arrays([pa.array([1])] * 2, ["a", "a"]), tmp_path / "0.parquet")
    with pytest.raises(ValueError, match="duplicate field names"):
        read_parquet([tmp_path / "0.parquet"])


def test_a_subset_reads_what_it_is_asked_for(table):
    features = TableFeatures().fit(FRAME)
    rows, whole = np.array([3, 5, 40, 151, 249]), features.transform(FRAME)
    for x in (whole, ParquetRows(table, features)):
        part = Subset(x, rows)
        assert (part.shape, part.dtype, nbytes(part)) == ((5, x.shape[1]), np.float32, 20 * x.shape[1])
        np.testing.assert_array_equal(part[1:4], whole[rows[1:4]])
        np.testing.assert_array_equal(Subset(part, np.array([0, 4]))[:], whole[[3, 249]])
