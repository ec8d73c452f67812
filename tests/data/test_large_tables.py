"""Parquet tables that stay on the disk: features learnt from a sample, training, new rows and `dec data inspect`."""

import numpy as np
import pandas as pd
import pytest
from command_line import run

import dec
from dec.config import Features
from dec.data import dataset as base
from dec.data import stream
from dec.data.kinds import fit_features, to_numbers
from dec.data.readers import load
from dec.data.stream import ParquetRows
from dec.training import rows

N = 400
GROUP = np.arange(N) % 2
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({
    "id": [f"s{i}" for i in range(N)],
    "price": np.where(np.arange(N) % 20 == 7, np.nan, RNG.normal(50 + 40 * GROUP, 3)),
    "brand": np.where(GROUP, "Nokia", RNG.choice(["LG", "Sony"], N)),
    "size": RNG.normal(GROUP * 4, 1),
    "group": np.where(GROUP, "phones", "tools"),
})


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stream, "LARGE", 8 * 2 * N)  # three columns are too many
    monkeypatch.setattr(stream, "PIECE", 300)
    monkeypatch.setattr(base, "PIECE", 300)


def write(frame, name="large.parquet"):
    frame.to_parquet(name, row_group_size=50)
    return name


def fitted(frame, **options):
    """(features, what is told of them, the rows) of a frame."""
    data = load(write(frame), features=Features(id="id", label="group", **options))
    features, told, rows = fit_features(data, Features(**options), "mine")
    again = to_numbers(features, data, "mine")[2]
    np.testing.assert_array_equal(rows[:], again[:])
    return features, told, again


@pytest.mark.slow
def test_training_is_the_same_streamed_and_resident(tiny, monkeypatch):
    """The very same labels, anomaly scores and codes, from batches of several windows."""
    monkeypatch.setattr(rows, "WINDOW_BYTES", 150 * 24)  # of 150 rows of six features
    monkeypatch.setattr(rows, "LEAST_WINDOW", 1)
    few = tiny | {"pretraining": dec.Pretraining(epochs=3)}
    features, _, x = fitted(FRAME)
    whole = features.transform(FRAME[["price", "brand", "size"]])
    assert isinstance(x, ParquetRows) and rows.window_rows(x) == rows.window_rows(whole) == 150
    streamed = dec.AEKMEANS(2, **few, stream_above=0).fit(x)
    resident = dec.AEKMEANS(2, **few).fit(whole)
    np.testing.assert_array_equal(streamed.labels_, resident.labels_)
    np.testing.assert_array_equal(streamed.codes_, resident.codes_)
    np.testing.assert_array_equal(streamed.score_samples(x), resident.score_samples(whole))
    assert len(np.unique(streamed.labels_)) == 2


def test_a_sample_says_so_and_what_it_misses_is_handled_as_in_new_rows(monkeypatch):
    monkeypatch.setattr(stream, "SAMPLE_ROWS", 100)
    seen = base.sample_rows(N, 100)
    missed = np.setdiff1d(np.arange(N), seen)[[3, 60]]
    frame = FRAME.assign(price=FRAME["price"].fillna(60))
    frame.loc[missed[0], "brand"], frame.loc[missed[1], ["price", "size"]] = "Acme", None
    features, told, x = fitted(frame, numeric="none")
    assert told == "; read in pieces, and columns understood from a uniform sample of 100 rows"
    assert list(features.get_feature_names_out()) == ["price", "size", "brand=LG", "brand=Nokia", "brand=Sony"]
    assert x[missed[:1]][0, 2:].tolist() == [0, 0, 0]
    np.testing.assert_allclose(x[missed[1:]][0, :2], frame.loc[seen, ["price", "size"]].median(), rtol=1e-6)
    np.testing.assert_array_equal(x[:], features.transform(frame[["price", "brand", "size"]]))


@pytest.mark.parametrize(("options", "message"), [
    ({"missing": "error"}, r"mine: column 'price' has \d missing values, the first in row {row}, and missing='error'"),
    ({"kinds": ("brand=boolean",)}, r"mine: column 'brand' has the value 'maybe' in row {row}.*kinds brand=category"),
    ({"kinds": ("price=log",)}, r"mine: column 'price' has the value -1.0 in row {row}, but the kind log is for"),
])
def test_what_the_sample_does_not_show_is_refused_before_training(monkeypatch, options, message):
    monkeypatch.setattr(stream, "SAMPLE_ROWS", 100)
    row = np.setdiff1d(np.arange(N), base.sample_rows(N, 100))[200]
    frame = FRAME.assign(price=FRAME["price"].fillna(60), brand=np.where(GROUP, "yes", "no"))
    frame.loc[row, "price"] = None if "missing" in options else -1
    frame.loc[row, "brand"] = "maybe" if "boolean" in str(options) else "no"
    with pytest.raises(ValueError, match=message.format(row=row)):
        fitted(frame, **options)


def test_rows_that_lack_a_value_are_dropped():
    features, _, x = fitted(FRAME, missing="drop")
    assert x.shape == (380, 5) and features.missing_ == ()
    np.testing.assert_array_equal(x[:], features.transform(FRAME.dropna()[["price", "brand", "size"]]))


@pytest.mark.parametrize("missing", ["impute", "drop"])
def test_large_and_small_tables_share_models(monkeypatch, missing):
    """A model of either predicts the other, with columns in another order, one more and no labels."""
    write(FRAME)
    few = write(FRAME[["size", "group", "brand", "id", "price"]][:40].assign(colour="red"), "small.parquet")
    found = {}
    for size, large in (("large", stream.LARGE), ("small", 2**28)):
        monkeypatch.setattr(stream, "LARGE", large)
        status, out, err = run("train", "kmeans", "--data", "large.parquet", "--id", "id", "--label", "group",
                               "--missing", missing, "--restarts", 2, "--stream-above", 0, "--out", size)
        assert status == 0 and "1/1 ok" in out, err
        assert ("read in pieces, and columns understood from a uniform sample" in err) == (size == "large")
        found[size] = pd.read_csv(f"{size}/labels.csv")
    pd.testing.assert_frame_equal(found["large"], found["small"])
    assert found["large"]["row"].tolist() == FRAME.index[FRAME["price"].notna() | (missing == "impute")].tolist()
    for model, large in (("large", 2**28), ("small", 0)):
        monkeypatch.setattr(stream, "LARGE", large)
        assert run("predict", model, few, "--out", "found.csv", "--force")[0] == 0
        new, old = pd.read_csv("found.csv"), found["large"]
        pd.testing.assert_frame_equal(new, old.iloc[:len(new)][list(new)])
        assert new["id"].tolist() == old["id"][old["row"] < 40].tolist()
    status, _, err = run("predict", "small", write(FRAME.drop(columns="brand"), "less.parquet"), "--out", "less.csv")
    assert status == 2 and "less.parquet: X lacks the columns 'brand'" in err


def test_inspect_looks_at_the_sample(monkeypatch):
    monkeypatch.setattr(stream, "SAMPLE_ROWS", 100)
    status, out, err = run("data", "inspect", write(FRAME), "--id", "id", "--label", "group")
    assert (status, err) == (0, ""), err
    for line in ("400 rows", "phones (200), tools (200)", "sample    100 rows, drawn uniformly", "brand=Nokia",
                 "features  100 x 6 float32"):
        assert line in out, out
