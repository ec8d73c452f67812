"""Parquet files and subsets as rows that are read in pieces."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from dec.data import fit_scaling
from dec.data.stream import ParquetRows, Subset, nbytes

X = np.random.default_rng(0).integers(0, 256, (250, 3)).astype(np.uint8)


def table(x, names="abc"):
    return pa.table({name: x[:, i] for i, name in enumerate(names)})


@pytest.fixture
def folder(tmp_path):
    """250 rows in two files and seven row groups, the last of each smaller."""
    parquet.write_table(table(X[:150]), tmp_path / "part-0.parquet", row_group_size=40)
    parquet.write_table(table(X[150:]), tmp_path / "part-1.parquet", row_group_size=40)
    return tmp_path


def test_parquet_rows_are_those_that_were_written(folder):
    x = ParquetRows(folder)
    assert (x.shape, x.dtype, nbytes(x)) == ((250, 3), np.uint8, 750)
    for rows in (slice(None), slice(0, 0), slice(30, 170), slice(249, 300), np.array([0, 39, 40, 149, 150, 249])):
        np.testing.assert_array_equal(x[rows], X[rows])
    np.testing.assert_array_equal(ParquetRows(folder, ["c", "a"])[:], X[:, [2, 0]])
    np.testing.assert_array_equal(ParquetRows(folder / "part-1.parquet")[:], X[150:])
    assert fit_scaling(x, "power") == fit_scaling(X, "power")


@pytest.mark.parametrize(("dtype", "becomes"), [
    (np.uint8, np.uint8), (np.int64, np.float32), (np.float64, np.float32), (np.float32, np.float32),
])
def test_the_type_of_parquet_rows(tmp_path, dtype, becomes):
    parquet.write_table(table(X.astype(dtype)), tmp_path / "x.parquet")
    x = ParquetRows(tmp_path / "x.parquet")
    assert x.dtype == becomes and x[:].dtype == becomes
    np.testing.assert_array_equal(x[:], X)


def test_one_row_group_is_read_at_a_time(folder, monkeypatch):
    x, read = ParquetRows(folder), []
    original = parquet.ParquetFile.read_row_group
    monkeypatch.setattr(parquet.ParquetFile, "read_row_group",
                        lambda self, group, **more: read.append(group) or original(self, group, **more))
    for start in range(0, 250, 10):
        x[start : start + 10]
    assert read == [0, 1, 2, 3, 0, 1, 2]


def damaged(folder):
    (folder / "part-1.parquet").write_bytes((folder / "part-1.parquet").read_bytes()[:-30])


def emptied(folder):
    for file in folder.glob("*"):
        file.unlink()


@pytest.mark.parametrize(("spoil", "message"), [
    (emptied, "neither a Parquet file nor a folder with .parquet files"),
    (damaged, r"part-1\.parquet is no Parquet file or is damaged"),
    (lambda f: parquet.write_table(table(X, "abd"), f / "z.parquet"), r"z\.parquet has no column 'c'"),
    (lambda f: parquet.write_table(table(X.astype("f4")), f / "z.parquet"),
     r"column 'a' of .*part-0\.parquet is uint8 but 'a' of .*z\.parquet is float; cast all to one type"),
    (lambda f: parquet.write_table(table(X.astype(str)), f / "z.parquet"),
     r"z\.parquet has the column 'a' of type .*string.*, not numbers"),
    (lambda f: parquet.write_table(pa.table({n: pa.array([1, None], pa.uint8()) for n in "abc"}), f / "z.parquet"),
     r"z\.parquet has a missing value in column 'a', row group 0"),
])
def test_what_is_wrong_with_the_files_is_said(folder, spoil, message):
    spoil(folder)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        ParquetRows(folder)[:]


def test_a_subset_reads_what_it_is_asked_for(folder):
    rows = np.array([3, 5, 40, 151, 249])
    for x in (X, ParquetRows(folder)):
        part = Subset(x, rows)
        assert (part.shape, part.dtype, nbytes(part)) == ((5, 3), np.uint8, 15)
        np.testing.assert_array_equal(part[1:4], X[rows[1:4]])
        np.testing.assert_array_equal(Subset(part, np.array([0, 4]))[:], X[[3, 249]])
