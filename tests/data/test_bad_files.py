"""One table of bad files: what each is refused with, naming the file, the place in it and the fix."""

import gzip
import pickle

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from dec.config import Features
from dec.data import arrays
from dec.data.readers import load

SMALL = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
IDX = bytes([0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2]) + SMALL.tobytes()
CSV = "brand,price\nNokia,3\nSony,7\n"
FIELDS = r"table\.csv has {} fields in the row at line {}, but the header names 2 columns; correct that row"


def saved(write, cut=None, holes=None):
    """A writer of what `write` writes, without what follows byte `cut`, or with `holes` of zeros."""
    def bad(path):
        write(path)
        content = bytearray(path.read_bytes()[:cut])
        if holes:
            content[slice(*holes)] = bytes(holes[1] - holes[0])
        path.write_bytes(content)
    return bad


def hdf5(path):
    with h5py.File(path, "w") as file:
        file["train/rows"], file["test"] = SMALL, np.ones(3)


def tree(*names):
    """A writer of a folder with these files, each empty."""
    def write(folder):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        folder.mkdir(exist_ok=True)
    return write


def shards(folder):
    folder.mkdir()
    pd.DataFrame({"a": [1], "b": [2]}).to_parquet(folder / "0.parquet")
    pd.DataFrame({"a": [1], "c": [2]}).to_parquet(folder / "1.parquet")


def lying_sparse(path):
    """A CSR array with an index outside its columns, which compiled code would follow."""
    scipy.sparse.save_npz(path, scipy.sparse.csr_array(np.eye(3)))
    arrays = dict(np.load(path))
    arrays["indices"][1] = 10**9
    np.savez(path, **arrays)


ROWS = np.random.default_rng(0).normal(size=(100, 10))
BAD = [  # (name of the file, its content or what writes it, options of features, what the message says)
    # Arrays
    ("objects.npy", lambda p: np.save(p, np.array([[1, "a"]], dtype=object)), {}, "pickled objects.*np.asarray"),
    ("pickle.npy", pickle.dumps([[1, 2]]), {}, "pickled objects.*np.asarray"),
    ("objects.npz", lambda p: np.savez(p, X=np.array([[None]])), {}, "pickled objects"),
    ("labels.npz", lambda p: np.savez(p, X=SMALL, y=np.array([None] * 4)), {}, r"pickled objects in 'y'.*y\.astype"),
    ("labels.npz", lambda p: np.savez(p, X=SMALL, y=[0, 1, np.nan, np.nan]), {}, "labels .* first being nan in row 2"),
    ("empty.npy", b"", {}, "damaged or incomplete.*write it again"),
    ("short.npy", saved(lambda p: np.save(p, ROWS), 500), {}, "damaged or incomplete"),
    ("short.npz", saved(lambda p: np.savez_compressed(p, X=ROWS), 500), {}, "damaged or incomplete"),
    ("holes.npz", saved(lambda p: np.savez_compressed(p, X=ROWS), None, (1000, 1100)), {}, "damaged or incomplete"),
    ("keys.npz", lambda p: np.savez(p, rows=SMALL, y=SMALL), {}, "no array 'X' or .*, only 'rows', 'y'; rename"),
    ("none.npz", np.savez, {}, "no array 'X' or 'x' or 'data', only nothing"),
    ("sparse.npz", lying_sparse, {}, "damaged or incomplete .*indices"),
    ("nan.npy", lambda p: np.save(p, np.array([[0, 1], [np.nan, 2]])), {}, "nan in row 1, column 0; remove"),
    ("norows.npy", lambda p: np.save(p, np.ones((0, 4))), {}, "is empty"),
    ("flat.npy", lambda p: np.save(p, np.ones(4)), {}, r"reshape\(-1, 1\)"),
    ("text.npy", lambda p: np.save(p, np.array([["a"]])), {}, "encode text"),
    ("labels.npz", lambda p: np.savez(p, X=SMALL, y=np.zeros(3)), {}, r"labels of shape \(3,\) for 4 rows"),
    ("keys.h5", hdf5, {}, r"no array 'X' or 'x' or 'data', only test \(3,\), train/rows \(4, 3, 2\); rename"),
    ("none.hdf5", b"no HDF5", {}, "not an HDF5 file, or a damaged one .*write it again"),
    ("short.h5", saved(hdf5, 1500), {}, "not an HDF5 file, or a damaged one"),
    ("magic-idx3-ubyte", b"\0\x01" + IDX[2:], {}, "not an IDX file: it starts with 00 01 08 03"),
    ("short-idx3-ubyte.gz", gzip.compress(IDX)[:-9], {}, "damaged or truncated gzip .* download it again"),
    ("header.idx", IDX[:-1], {}, r"40 bytes by its header \(shape \(4, 3, 2\)\) but has 39"),
    ("labels.idx", bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 7]), {}, r"shape \(2,\).*reshape"),
    ("model.pickle", pickle.dumps(1), {}, r"no file of a known kind: .*\.csv .*np.savez"),
    ("array.npy.gz", gzip.compress(b"not IDX"), {}, "no file of a known kind"),
    # Tables
    ("table.csv", CSV + "LG,1,2\n", {}, FIELDS.format(3, 4)),
    ("table.csv", CSV + '"two\nlines",1\n\nLG\n', {}, FIELDS.format(1, 7)),
    ("table.csv", "brand,price\nNokia,3,\nSony,7,\n", {}, FIELDS.format(3, 2)),  # pandas: an index, or nothing
    ("table.csv", CSV + 'LG,"1\n', {}, "not a table .*row 3.*close the quotes"),
    ("table.csv", "1,1,2\n3,4,5\n", {}, "two columns '1' in its first line; .* put a header"),
    ("table.csv", "1.5,2,-3e5,4\n3,4,5,6\n", {}, r"but numbers in its first line \(1.5, 2, -3e5, ...\).* put a header"),
    ("table.csv", b"PK\x03\x04\x14\0\xff\xfe", {}, "is a zip file or an Excel workbook"),
    ("table.csv", CSV + "LG,?\n", {"missing": "drop"}, "column 'price' has the value '\\?' in row 2, but 67%"),
    ("table.csv", "row,price\n1,2\n", {"keep": ("row",)}, "features.keep='row' is the name .* of its own; rename"),
    ("table.csv", "cluster,price\n1,2\n", {"keep": ("cluster",)}, "features.keep='cluster' is the name"),
    ("table.csv", "seed_1,price\n1,2\n", {"id": "seed_1"}, "features.id='seed_1' is the name"),
    ("table.csv", "brand;price\nNokia;3\n", {}, "separated by ';', not by ','"),
    ("table.csv", "", {}, "no rows: it is empty; give a header"),
    ("table.csv", "brand,price\n", {}, "0 rows and 2 columns; give at least one"),
    ("table.tsv.gz", gzip.compress(CSV.replace(",", "\t").encode() * 99)[:60], {}, "damaged or truncated gzip"),
    ("table.csv", CSV.encode() + "Café,1\n".encode("latin-1"), {},
     "not UTF-8: byte 0xe9 at position 3 of line 4. .*iconv -f WINDOWS-1252 -t UTF-8 table.csv"),
    ("table.csv.gz", gzip.compress(CSV.encode("utf-16")), {}, "byte 0xff at position 0 of line 1.*iconv -f UTF-16"),
    ("table.csv", CSV + "Nokia,4\n", {"id": "brand"}, "'Nokia' in column 'brand'.* in row 0 and in row 2; remove"),
    ("table.csv", CSV + ",4\n", {"id": "brand"}, "no name of the row .features.id. in column 'brand', row 2; fill"),
    ("table.csv", CSV + ",4\n", {"label": "brand"}, "no label in column 'brand', row 2; fill it in"),
    ("table.csv", CSV, {"label": "brnd"}, "column .features.label. .*'brnd'. Did you mean 'brand'. Known: brand"),
    ("table.csv", CSV, {"id": "barnd"}, "column .features.id. .*'barnd'. Did you mean 'brand'"),
    ("table.csv", CSV, {"drop": ("pirce",)}, "column .features.drop. .*'pirce'. Did you mean 'price'"),
    ("table.csv", CSV, {"columns": ("price", "Brand")}, "column .features.columns. .*'Brand'. Did you mean 'brand'"),
    ("table.csv", CSV, {"drop": ("price",), "label": "brand"}, "no column left .*features.drop"),
    ("table.csv", "a,b\n1,\n,2\n", {"missing": "drop", "kinds": ("a=number", "b=number")},
     r"in every row .dropped 2 of 2 rows: missing a \(1\), b \(1\)"),
    ("texts.csv", 'review\na b c d e\n""\n', {}, "no text in column 'review', row 1; .*features.missing=drop"),
    ("table.parquet", CSV, {}, "not a Parquet file, or a damaged one .*DataFrame.to_parquet"),
    ("short.parquet", saved(lambda p: pd.DataFrame(ROWS, columns=list("abcdefghij")).to_parquet(p), 900), {},
     "not a Parquet file, or a damaged one"),
    ("lists.parquet", lambda p: pd.DataFrame({"a": [1, 2], "b": [[1], [2]]}).to_parquet(p), {},
     "a ndarray in column 'b', row 0; .*features.drop=b"),
    ("table.jsonl", '{"a": 1}\n\n{"a": 1\n', {}, r"'\{\"a\": 1' in line 3, not a JSON object .*delimiter.* write"),
    ("table.jsonl", '{"a": 1}\n[1, 2]\n', {}, r"'\[1, 2\]' in line 2, not a JSON object; write"),
    ("table.jsonl", '{"a": 1, "b": 2}\n{"a": 1, "b": {"c": 3}}\n', {}, "a dict in column 'b', row 1"),
    ("table.jsonl", "\n", {}, "0 rows and 0 columns"),
    # Folders
    ("folder", tree(), {}, "a folder without a file to read: it holds nothing; give one with images"),
    ("folder", tree("a.md", "b.md", "c/d.py", ".hidden.png"), {}, "without a file to read: it holds 2 .md, 1 .py"),
    ("folder", tree("cats/1.png", "cats/2.JPG", "note.txt"), {},
     r"several kinds of data: it holds 1 \.png, 1 \.jpg, 1 \.txt \(first cats/1\.png, note\.txt\); keep one kind"),
    ("folder", tree("cats/1.png", "2.png"), {}, r"\(cats/1\.png\), and outside \(2\.png\); move all"),
    ("folder", tree("train/cats/1.png"), {}, r"\(train/cats/1\.png\); give the folder .*folder/train"),
    ("folder", tree("a/1.parquet"), {}, r"shards in sub-folders \(a/1\.parquet\)"),
    ("folder", shards, {}, r"1\.parquet has other columns than 0\.parquet: b, c in one of them only"),
]


@pytest.mark.parametrize("name, content, options, message", BAD, ids=[f"{i}-{row[0]}" for i, row in enumerate(BAD)])
def test_bad_files(tmp_path, name, content, options, message):
    path = tmp_path / name
    if callable(content):
        content(path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=message) as caught:
        load(str(path), features=Features(**options))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("x, message", [
    (ROWS * 1e39, "wide.npy has the value 6.4.* in row 0, column 2; .*rescale them to finite float32 values"),
    (ROWS.astype(complex), "wide.npy holds values of dtype complex128"),
    (ROWS.astype(object), "wide.npy holds pickled objects"),
])
def test_a_large_npy_that_cannot_be_read_in_pieces(tmp_path, monkeypatch, x, message):
    monkeypatch.setattr(arrays, "MAPPED", 100)
    np.save(tmp_path / "wide.npy", x)
    with pytest.raises(ValueError, match=message):
        load(str(tmp_path / "wide.npy"))


def test_a_missing_path(tmp_path):
    for spec in ("missing.csv", str(tmp_path / "missing"), "~/no-such-folder/x.png"):
        with pytest.raises(FileNotFoundError, match=f"no file {spec} .*check the path"):
            load(spec)


def test_infinite_values_of_a_table_are_for_its_transformer(tmp_path):
    """The reader takes them: only `TableFeatures` knows which columns are numbers, and refuses them there."""
    pd.DataFrame({"a": [1.0, np.inf], "b": [1, 2]}).to_parquet(tmp_path / "inf.parquet")
    assert load(str(tmp_path / "inf.parquet")).x["a"].tolist() == [1, np.inf]
