"""Tables: the same rows from every format, the columns that are used, and free text."""

import gzip
import json
import warnings

import numpy as np
import pandas as pd
import pytest

from dec.config import Features
from dec.data import dataset as base
from dec.data import stream
from dec.data.readers import load
from dec.data.readers.tabular import read_frame
from dec.data.stream import ParquetTable

FRAME = pd.DataFrame({
    "code": ["007", "010", "0a"], "brand": ["Nokia", "Sony, Ltd", 'LG "Life"\nGood'], "price": [3.5, np.nan, 2.25],
    "sold": [4, 5, 600], "new": [True, False, True], "class": ["b", "a", "b"]})


def write(folder, suffix, frame=FRAME):
    path = folder / f"my.table{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
        return path
    if ".jsonl" in suffix:
        records = [{key: value for key, value in row.items() if value == value} for row in frame.to_dict("records")]
        text = "\n".join(json.dumps(record) for record in records) + "\n\n"
    else:
        text = frame.to_csv(sep="," if ".csv" in suffix else "\t", index=False)
    text = text.encode("utf-8-sig" if "csv" in suffix else "utf-8")
    path.write_bytes(gzip.compress(text) if suffix.endswith(".gz") else text)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".CSV", ".tsv", ".tab.gz", ".jsonl", ".jsonl.gz", ".parquet"])
def test_formats_agree(tmp_path, suffix):
    """Also with a byte-order mark, which .csv has here, and quotes around separators and line ends."""
    path = write(tmp_path, suffix) if suffix != ".CSV" else write(tmp_path, ".csv").rename(tmp_path / "my.table.CSV")
    data = load(str(path), features=Features(id="code", label="class"))
    assert data.kind == "table" and data.name == "my.table" and data.source == f"{path}, 3 rows"
    assert list(data.x) == ["brand", "price", "sold", "new"]
    pd.testing.assert_frame_equal(data.x, FRAME[["brand", "price", "sold", "new"]], check_dtype=False)
    assert data.x["price"].dtype == float and data.x["sold"].dtype == int and data.x["new"].dtype == bool
    assert data.ids.name == "code" and data.ids.tolist() == ["007", "010", "0a"]
    assert data.y.tolist() == [1, 0, 1] and data.classes == ("a", "b")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_what_names_rows_stays_as_it_is_written(tmp_path, suffix):
    """To be joined on: '0012' is '0012' in every table, a gap beside 100 makes no 100.0 of it, and NA is a name."""
    frame = pd.DataFrame({"id": ["0012", "NA", "7"], "item": [100, None, 7], "shop": ["00", "None", None],
                          "class": ["NA", "x", "y"], "price": [1.5, 2, 3]})
    data = load(str(write(tmp_path, suffix, frame.astype({"item": "Int64"}))),
                features=Features(id="id", keep=("item", "shop"), columns=("price", "class")))
    assert data.ids.tolist() == ["0012", "NA", "7"]
    assert data.kept.to_csv(index=False) == "item,shop\n100,00\n,None\n7,\n"
    assert data.x["class"].isna().tolist() == [suffix == ".csv", False, False]


def test_a_kind_is_of_the_column_with_that_whole_name(tmp_path):
    path = write(tmp_path, ".csv", pd.DataFrame({"x": [1, None, 3], "x=y": [1, 2, None]}))
    data = load(str(path), features=Features(kinds=("x=y=drop",), missing="drop"))
    assert data.rows.tolist() == [0, 2] and data.source.endswith("missing x (1)")


def test_new_rows_need_one_of_the_columns(tmp_path):
    path = write(tmp_path, ".csv")
    with pytest.raises(ValueError, match=rf"{path} lacks the columns 'review' .*it has 'code', 'brand'"):
        load(str(path), features=Features(columns=("review",), kinds=("review=text",)), labels=False)


@pytest.mark.parametrize("options, columns", [
    ({}, ["code", "brand", "price", "sold", "new", "class"]),
    ({"columns": ("sold", "price")}, ["sold", "price"]),
    ({"drop": ("new", "code")}, ["brand", "price", "sold", "class"]),
    ({"columns": ("sold", "code", "class"), "id": "code", "label": "class"}, ["sold"]),  # neither is ever an input
    ({"columns": ("sold", "price"), "drop": ("price",)}, ["sold"]),
])
def test_which_columns_are_used(tmp_path, options, columns):
    data = load(str(write(tmp_path, ".csv")), features=Features(**options))
    assert list(data.x) == columns and (data.ids is None) == ("id" not in options)
    assert data.n_classes == (2 if "label" in options else None)


def test_rows_with_missing_values_are_dropped_and_counted(tmp_path):
    frame = pd.DataFrame({"id": list("pqrst"), "brand": ["x", None, "x", None, "y"], "price": [1, 2, np.nan, np.nan, 5],
                          "note": [None] * 5, "class": [1, None, 2, 3, 1]})
    options = {"id": "id", "label": "class", "missing": "drop"}
    path = write(tmp_path, ".csv", frame)
    data = load(str(path), features=Features(drop=("note",), **options))
    assert data.x.to_dict("list") == {"brand": ["x", "y"], "price": [1, 5]}
    assert data.x.index.tolist() == [0, 4]  # their rows in the file
    assert data.ids.tolist() == ["p", "t"] and data.y.tolist() == [0, 0] and data.classes == ("1",)
    assert data.source == f"{path}, 2 rows; dropped 3 of 5 rows: missing brand (2), price (2)"
    with pytest.raises(ValueError, match="no label in column 'class', row 3"):  # row 1 is gone, and 3 keeps its number
        frame.loc[3] = ["s", "x", 4, None, None]
        load(str(write(tmp_path, ".csv", frame)), features=Features(drop=("note",), **options))


@pytest.mark.parametrize("label, y", [("b", [1, 0, 1]), (None, None)])
def test_rows_to_predict_need_no_labels(tmp_path, label, y):
    """They are used where all are there."""
    frame = FRAME.assign(**{"class": ["b", "a", label]})
    wanted = Features(label="class")
    data = load(str(write(tmp_path, ".csv", frame)), features=wanted, labels=False)
    assert "class" not in data.x and (data.y is None) == (y is None) and (y is None or data.y.tolist() == y)
    without = load(str(write(tmp_path, ".csv", FRAME.drop(columns="class"))), features=wanted, labels=False)
    assert without.y is None and list(without.x) == list(data.x)


def test_a_sample_keeps_names_labels_and_rows_together(tmp_path):
    frame = pd.DataFrame({"id": range(100), "value": np.arange(100) * 2, "class": np.arange(100) % 7})
    data = load(str(write(tmp_path, ".parquet", frame)), 30, Features(id="id", label="class"))
    ids = data.ids.to_numpy()
    assert len(data) == len(set(ids)) == 30 and (np.diff(ids) > 0).all()
    assert (data.x["value"] == ids * 2).all() and (np.array(data.classes, int)[data.y] == ids % 7).all()


REVIEWS = ["a very good phone", "not so good, I say", "it broke after one day"]


@pytest.mark.parametrize("column, kinds, kind", [
    (REVIEWS, (), "text"),
    (REVIEWS, ("it=category",), "table"),
    (["Nokia", "Sony Ericsson", "LG"], (), "table"),
    (["Nokia", "Sony Ericsson", "LG"], ("it=text",), "text"),
    (["one two three four", "five six seven eight", "0"], (), "table"),  # 3 words on average: not more
    ([1, 2, 3], (), "table"),
])
def test_free_text_alone_is_text(tmp_path, column, kinds, kind):
    path = write(tmp_path, ".csv", pd.DataFrame({"name": ["u", "v", "w"], "it": column}))
    data = load(str(path), features=Features(id="name", kinds=kinds))
    assert data.kind == kind and data.ids.tolist() == ["u", "v", "w"] and len(data) == 3
    if kind == "text":
        assert data.x.dtype == object and data.x.shape == (3,) and data.x.tolist() == column
        assert all(type(text) is str for text in data.x)
    with_other = load(str(path), features=Features())
    assert with_other.kind == "table" and list(with_other.x) == ["name", "it"]


def test_texts_that_are_missing_can_be_dropped(tmp_path):
    path = write(tmp_path, ".jsonl", pd.DataFrame({"it": [REVIEWS[0], None, REVIEWS[1]], "id": [1, 2, 3]}))
    data = load(str(path), features=Features(columns=("it",), id="id", missing="drop"))
    assert data.kind == "text" and data.x.tolist() == REVIEWS[:2] and data.ids.tolist() == [1, 3]


def test_long_texts_and_blank_lines(tmp_path):
    text = "word " * 40000  # 200 KB, above the limit of a field in the module csv
    (tmp_path / "long.csv").write_text(f"text,n\r\n{text},1\r\n\r\n   \r\n{text},2\r\n", newline="")
    data = load(str(tmp_path / "long.csv"))
    assert data.x["n"].tolist() == [1, 2] and data.x["text"].tolist() == [text, text]


@pytest.mark.parametrize("suffix, pack", [(".csv", gzip.compress), (".csv.gz", bytes)])
def test_what_is_packed_is_told_by_the_content(tmp_path, suffix, pack):
    (tmp_path / f"my{suffix}").write_bytes(pack(b"a,b\n1,2\n"))
    assert load(str(tmp_path / f"my{suffix}")).x.to_dict("list") == {"a": [1], "b": [2]}


def test_numbers_from_0_are_names_of_columns(tmp_path):
    """As pandas gives them to a matrix."""
    assert list(load(str(write(tmp_path, ".csv", pd.DataFrame(np.eye(3))))).x) == ["0", "1", "2"]


@pytest.mark.parametrize("index, columns", [(None, ["a", "b"]), ("key", ["a", "b", "key"])])
def test_a_named_index_of_parquet_is_a_column(tmp_path, index, columns):
    """And a folder called key=value adds none."""
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]}, index=pd.Index([7, 5], name=index))
    (tmp_path / "year=2019").mkdir()
    assert list(load(str(write(tmp_path / "year=2019", ".parquet", frame))).x) == columns


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("limit", [None, 30])
@pytest.mark.parametrize("options", [
    {}, {"columns": ("price", "brand", "sold")}, {"drop": ("price",)}, {"id": "code", "label": "class"},
    {"id": "code", "label": "class", "keep": ("note", "sold"), "missing": "drop"}, {"columns": ("note",)},
])
def test_size_decides_only_how_rows_are_read(tmp_path, monkeypatch, options, limit, labels):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "code": [f"c{i}" for i in range(100)], "brand": rng.choice(["x", "y", " "], 100),
        "sold": rng.integers(0, 9, 100), "class": rng.integers(0, 3, 100),
        "price": np.where(rng.random(100) < 0.2, np.nan, rng.normal(size=100)),
        "note": [f"words that are {i} free text" for i in range(100)],
    })
    frame.to_parquet(tmp_path / "table.parquet", row_group_size=13)
    whole = load(str(tmp_path / "table.parquet"), limit, Features(**options), labels)
    monkeypatch.setattr(stream, "LARGE", 0)
    monkeypatch.setattr(base, "PIECE", 60)
    data = load(str(tmp_path / "table.parquet"), limit, Features(**options), labels)
    assert isinstance(data.x, ParquetTable) == (data.kind == "table") and len(data) == len(whole)
    assert (data.source, data.kind, data.digest, data.column) == (whole.source, whole.kind, whole.digest, whole.column)
    if data.kind == "table":
        pd.testing.assert_frame_equal(data.x[:], whole.x)
    for field in ("ids", "y", "classes", "kept", "rows"):
        got, wanted = getattr(data, field), getattr(whole, field)
        assert (got is None) == (wanted is None) and np.array_equal(got, wanted), field
    if options.get("missing"):
        missing = frame[["brand", "price"]].isin([" ", np.nan]).any(axis=1)
        assert f"dropped {missing.sum()} of 100 rows: missing brand" in data.source
        assert limit or data.rows.tolist() == np.flatnonzero(~missing).tolist() == data.x[:].index.tolist()


def test_the_digest_tells_tables_apart(tmp_path):
    same = [load(str(write(tmp_path, ".csv")), features=Features(id=name)).digest for name in ("code", "code", "sold")]
    assert same[0] == same[1] != same[2]
    changed = FRAME.assign(price=[3.5, 0, 2.25])
    assert load(str(write(tmp_path, ".csv", changed)), features=Features(id="code")).digest != same[0]


def test_one_row_is_read(tmp_path):
    assert len(load(str(write(tmp_path, ".csv", FRAME[:1])))) == 1


@pytest.mark.parametrize("rows", [
    ["4.0,2.0,kind-a", *(f"{4 + i % 30 / 10},{2 + i % 20 / 10},kind-{'abc'[i % 3]}" for i in range(60))],
    ["red,no", "blue,yes", "red,no", "green,no"],
    ["1,a,", "2,a,x", "3,b,x"],
])
def test_a_first_line_like_the_rows_below_it_is_refused(tmp_path, rows):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(rows) + "\n")
    with pytest.raises(ValueError, match=r"a first line like the rows below it .*put a line with the names above"):
        read_frame(path)


@pytest.mark.parametrize("header, told", [
    ("country,1990,1991", "is taken for the names of the columns, although it has numbers above numbers"),
    ("name,2020-01-01,2020-02-01", None), ("a,b,c", None), (",x,y", None),
])
def test_a_first_line_with_names_is_a_header(tmp_path, header, told):
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\nChad,3,4.5\nMali,5,6.5\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame = read_frame(path)
    assert len(frame) == 2
    assert [told in str(warning.message) for warning in caught] == ([True] if told else [])


def test_rows_without_any_value_are_left_out_and_counted(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,x\n,\n2,y\n,\n,\n3,x\n")
    found = load(str(path), features=Features(missing="drop"))
    assert found.rows.tolist() == [0, 2, 5] and len(found) == 3
    assert "left out 3 rows without any value, the first of them row 1" in found.source
    path.write_text("a,b\n1,x\n,\n2,y\n,z\n,\n3,x\n")
    found = load(str(path), features=Features(missing="drop"))
    assert found.rows.tolist() == [0, 2, 5]
    assert "left out 2 rows" in found.source and "dropped 1 of 4 rows: missing a (1)" in found.source
    path.write_text("a,b\n,\n,\n")
    with pytest.raises(ValueError, match="has 2 rows, but no value in any of them"):
        load(str(path))


def test_blank_lines_of_one_column_are_rows_of_the_file(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("review\nan old film about a man\n\n\nit was not for me at all\nfine enough for the evening\n\n\n")
    with pytest.raises(ValueError, match=r"no text in column 'review', row 1; .*features.missing=drop"):
        load(str(path))
    found = load(str(path), features=Features(missing="drop"))
    assert (found.kind, found.rows.tolist()) == ("text", [0, 3, 4])
    assert "dropped 2 of 5 rows: missing review (2)" in found.source
    path.write_text("size\n1\n\n3\n")
    assert load(str(path)).x["size"].isna().tolist() == [False, True, False]
