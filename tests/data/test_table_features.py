"""Tables: which kind a column is, what it becomes, and the way back."""

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy.sparse import csr_array, issparse
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from dec.data.transformers.columns import infer_kind, misread
from dec.data.transformers.table import TableFeatures

PHONES = Path(os.environ.get("DEC_DATA", "")) / "phones" / "items.csv"
TRUSTED = ["dec.data.transformers.table.TableFeatures", "dec.data.transformers.text.TextFeatures", "numpy.dtype"]
N = 40


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def mixed():
    """A table of N rows with every kind that is inferred, gaps in three columns."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "sku": [f"X{i:03}" for i in range(N)],
        "price": rng.normal(50, 10, N),
        "sold": rng.lognormal(0, 2, N),
        "brand": rng.choice(["Nokia", "Apple", "LG"], N),
        "used": rng.choice(["yes", "no"], N),
        "title": [f"phone number w{i} of {i % 7} kinds" for i in range(N)],
        "added": pd.Timestamp("2020-03-01 06:00") + pd.to_timedelta(rng.integers(0, 900, N), unit="D"),
        "link": [f"https://example.org/{i % 30}" for i in range(N)],
        "shop": "here",
    })
    frame.loc[3, "price"] = frame.loc[[4, 5], "brand"] = frame.loc[6, "used"] = None
    return frame


def dense(rows):
    return rows.toarray() if issparse(rows) else rows


INTS = list(range(1, 21))
KIND_CASES = {
    "numbers": (INTS, "number"),
    "few different numbers": ([1, 2, 2, 3] * 5, "number"),
    "whole numbers, all different, in no index": (pd.Series(INTS, name="ticket"), "number"),
    "index by name": (pd.Series(INTS, name="order_id"), "drop"),
    "index in camel case": (pd.Series(INTS, name="passengerId"), "drop"),
    "index written by pandas": (pd.Series(INTS, name="Unnamed: 0"), "drop"),
    "a name that only ends in id": (pd.Series(INTS, name="covid"), "number"),
    "an id that repeats": (pd.Series([1, *INTS[1:-1], 1], name="user_id"), "number"),
    "numbers as strings": ([*map(str, INTS[:-1]), " 7.5 "], "number"),
    "nullable integers": (pd.Series([None, *INTS], dtype="Int64"), "number"),
    "dates": (pd.date_range("2020-01-01", periods=20), "number"),
    "dates with a zone": (pd.date_range("2020-01-01", periods=20, tz="Asia/Tokyo"), "number"),
    "dates as strings": ([f"2020-01-{i:02}" for i in INTS], "number"),
    "no dates, the month is 13": ([f"2020-13-{i:02}" for i in INTS], "drop"),
    "heavy tail": ([0.0] * 19 + [100.0], "log"),  # skewness √20 = 4.47
    "heavy tail below 0": ([-1.0] * 19 + [100.0], "number"),
    "lighter tail": ([0.0] * 17 + [100.0] * 3, "number"),  # skewness 2.1
    "bool": ([True, False] * 10, "boolean"),
    "nullable bool": (pd.Series([True, False, None] * 7, dtype="boolean"), "boolean"),
    "object bool": (pd.Series([True, False, None] * 7, dtype=object), "boolean"),
    "words": (["Yes", "no", "NO", "yes"] * 5, "boolean"),
    "digits": (["0", "1"] * 10, "boolean"),
    "0 and 1": ([0, 1] * 10, "boolean"),
    "0 and 1 with a gap": ([0, 1, None] * 7, "boolean"),
    "0 and 1 as decimal strings": (["0.0", "1.0"] * 10, "boolean"),
    "two that are both true": (["yes", "true"] * 10, "category"),
    "two others": (["m", "f"] * 10, "category"),
    "str": (["red", "green", "blue"] * 7, "category"),
    "object": (pd.Series(["red", "green", None] * 7, dtype=object), "category"),
    "category": (pd.Series(list("ab") * 10, dtype="category"), "category"),
    "category of numbers": (pd.Categorical([1, 2, 3, 4] * 5), "category"),
    "several words, few different": (["light red", "dark red"] * 10, "category"),
    "text": ([f"word and number {i}" for i in INTS], "text"),
    "identifiers": ([f"A-{i}" for i in INTS], "drop"),
    "an identifier that repeats": ([f"A-{i}" for i in [1, *INTS[:-1]]], "category"),
    "addresses": ([f"http://a.org/{i % 9}" for i in INTS[:9]] + ["www.b.org"] * 9 + ["none"] * 2, "drop"),
    "too few addresses": (["www.b.org"] * 17 + ["none"] * 3, "category"),
    "constant": ([3] * 20, "drop"),
    "constant with gaps": (["x", None] * 10, "drop"),
    "empty": ([None] * 20, "drop"),
    "lists": ([[i, i + 1] for i in INTS], "text"),
    "blank": (["", " "] * 10, "drop"),
}


@pytest.mark.parametrize("values, kind", KIND_CASES.values(), ids=KIND_CASES)
def test_kind(values, kind):
    column = pd.Series(values)
    name = column.name or "col"
    features = TableFeatures().fit(pd.DataFrame({name: column, "number": np.linspace(-1, 1, len(column))}))
    assert features.kinds_ == {name: kind, "number": "number"} and list(features.dropped_) == [name] * (kind == "drop")


@pytest.mark.parametrize("values, example", [
    (["$985.09", "$4,674.93"], "$985.09"), (["5,75", "n/a", *(f"4,{i}" for i in range(9))], "5,75"),
    (["34%", None, "5 %"], "34%"),
    (["31.12.2019", "1/2/19 10:30"], "31.12.2019"), (["Nokia", "Sony"], None), (["3310 classic", "64 GB"], None),
    (["1,5", "none", "few"], None), (["12.5", "7"], None), ([1.5, 2.5], None), (["2019-12-31", "2020-01-01"], None),
    (["0.5.1-rc", "10:30"], None), (["5,75"] * 3, None),
])
def test_numbers_and_dates_that_are_taken_for_words_are_noticed(values, example):
    column = pd.Series(values, name="a")
    assert misread(column, infer_kind(column)[0]) == example


def test_values_by_hand():
    frame = pd.DataFrame({
        "size": [1.0, None, 3.0, 3.0, 1.0], "on": ["no", "yes", None, "no", "YES"], "colour": list("baaba"),
        "views": [0, 3, 5, 1, 0], "note": ["red car", "a red bus", None, "bus bus", "train"],
        "sold": [0.0, np.e - 1, 0.0, 0.0, np.e**2 - 1]})
    features = TableFeatures(kinds=["views=count", "note=text", "sold=log"], numeric="none")
    rows = features.fit_transform(frame)
    assert rows.dtype == np.float32 and isinstance(rows, np.ndarray)
    expected = {
        "size": [1, 2, 3, 3, 1], "sold": [0, 1, 0, 0, 2], "views": [0, 3, 5, 1, 0], "on": [0, 1, 0, 0, 1],
        "size is missing": [0, 1, 0, 0, 0], "on is missing": [0, 0, 1, 0, 0], "note is missing": [0, 0, 1, 0, 0],
        "colour=a": [0, 1, 1, 0, 1], "colour=b": [1, 0, 0, 1, 0],
        "note:bus": [0, 1, 0, 2, 0], "note:car": [1, 0, 0, 0, 0], "note:red": [1, 1, 0, 0, 0],
        "note:train": [0, 0, 0, 0, 1]}
    assert features.get_feature_names_out().tolist() == list(expected)
    np.testing.assert_allclose(rows, np.array(list(expected.values())).T, rtol=1e-6)
    assert features.blocks_ == ("gaussian:2", "poisson:1", "bernoulli:4", "categorical:2", "poisson:4")
    assert features.missing_ == ("size", "on", "note")
    hashed = clone(features).set_params(text="hashing", vocabulary=6).fit(frame)
    assert hashed.blocks_[-1] == "gaussian:6" and hashed.get_feature_names_out()[-1] == "note:bucket 5"


@pytest.mark.parametrize("numeric, expected", [
    ("standard", (np.array([0, 1, 2, 3, 4, 14]) - 4) / np.sqrt(130 / 6)),
    ("robust", (np.array([0, 1, 2, 3, 4, 14]) - 2.5) / 2.5),  # the quartiles are 1.25 and 3.75
    ("minmax", np.array([0, 1, 2, 3, 4, 14]) / 14),
    ("quantile", np.array([0, 1, 2, 3, 4, 5]) / 5),
    ("none", [0, 1, 2, 3, 4, 14]),
])
def test_scaling_of_numbers(numeric, expected):
    rows = TableFeatures(numeric=numeric).fit_transform(pd.DataFrame({"a": [0, 1, 2, 3, 4, 14]}))
    np.testing.assert_allclose(rows[:, 0], expected, atol=1e-6)


def test_quantiles_of_many_rows_are_the_same_each_time():
    """scikit-learn takes them from a sample of 10000 rows."""
    frame = pd.DataFrame({"a": np.random.default_rng(0).normal(size=12000)})
    rows = [TableFeatures(numeric="quantile").fit_transform(frame) for _ in range(2)]
    np.testing.assert_array_equal(*rows)


def test_robust_scaling_of_mostly_one_value():
    """Quartiles that are equal are no scale; the raw 1000 would drown all other columns."""
    rows = TableFeatures(numeric="robust").fit_transform(pd.DataFrame({"a": [0.0] * 10 + [1000.0] * 2}))
    np.testing.assert_allclose(np.unique(rows), [0, 12 / np.sqrt(20)], rtol=1e-6)


def test_dates_are_days_since_1970():
    frame = pd.DataFrame({"a": ["1970-01-02", "1970-01-01T12:00", "1971-01-01"]})
    frame["b"] = pd.to_datetime(frame.a, format="ISO8601").dt.tz_localize("UTC").dt.tz_convert("America/New_York")
    frame["c"] = pd.to_timedelta([1, 2, 36], unit="h")
    features = TableFeatures(numeric="none")
    rows = features.fit_transform(frame)
    np.testing.assert_allclose(rows, np.array([[1, 0.5, 365], [1, 0.5, 365], [1 / 24, 1 / 12, 1.5]]).T, rtol=1e-6)
    back = features.inverse_transform(rows)
    assert back.a.tolist() == back.b.tolist() == [*map(pd.Timestamp, ["1970-01-02", "1970-01-01 12:00", "1971-01-01"])]
    assert features.describe(frame)["values"].tolist()[0] == "1970-01-01T12:00:00 to 1971-01-01T00:00:00"


@pytest.mark.parametrize("numeric", ["standard", "robust", "minmax", "quantile", "none"])
def test_there_and_back(mixed, numeric):
    features = TableFeatures(numeric=numeric)
    rows = features.fit_transform(mixed)
    np.testing.assert_array_equal(dense(rows), dense(features.transform(mixed)))
    assert rows.shape == (N, len(features.get_feature_names_out()))
    assert np.isfinite(dense(rows)).all()
    for given in (csr_array(rows), dense(rows)):
        back = features.inverse_transform(given)
        assert list(back) == ["price", "sold", "brand", "used", "added"]
        for name, tolerance in (("price", 1e-5), ("sold", 1e-4)):
            here = mixed[name].notna()
            np.testing.assert_allclose(back[name][here], mixed[name][here], rtol=tolerance)
        assert abs(back.added - mixed.added).max() < pd.Timedelta(minutes=5)
        here = mixed.brand.notna()
        assert (back.brand[here] == mixed.brand[here]).all() and back.used.dtype == bool
        assert back.used.tolist() == [value == "yes" for value in mixed.used.fillna(mixed.used.mode()[0])]
    assert back.price[3] == pytest.approx(mixed.price.median(), rel=1e-5)


def test_inverse_takes_the_largest_and_the_nearer():
    frame = pd.DataFrame({"c": list("abc"), "on": [True, False, True]})
    features = TableFeatures(kinds={"c": "category"}).fit(frame)
    back = features.inverse_transform(np.array([[0.5, 0.2, 0.4, 0.3], [0.49, -3, -2, -1], [2, 0, 0, 0]]))
    assert back.on.tolist() == [True, False, True] and back.c[:2].tolist() == ["b", "c"] and pd.isna(back.c[2])
    with pytest.raises(ValueError, match=r"X has shape \(1, 3\), but rows of the 4 features"):
        features.inverse_transform(np.zeros((1, 3)))


def test_sparse_where_most_is_zero():
    frame = pd.DataFrame({"c": [f"c{i % 10}" for i in range(N)], "x": np.linspace(-1, 1, N)})
    rows = TableFeatures().fit_transform(frame)
    assert isinstance(rows, csr_array) and rows.dtype == np.float32 and rows.nnz == 2 * N
    frame["c"] = frame.c.str[:2].where(frame.c < "c2", "c2")
    assert isinstance(TableFeatures().fit_transform(frame), np.ndarray)


@pytest.mark.parametrize("limit, seen, unseen", [
    (None, ["a", "b", "c", "d"], [0, 0, 0, 0]), (3, ["a", "b", "(rare)"], [0, 0, 1]),
    (4, ["a", "b", "c", "d"], [0] * 4)])
def test_rare_and_unseen_categories(limit, seen, unseen):
    features = TableFeatures(max_categories=limit).fit(pd.DataFrame({"c": list("aaaabbbccd")}))
    assert features.get_feature_names_out().tolist() == [f"c={value}" for value in seen]
    np.testing.assert_array_equal(dense(features.transform(pd.DataFrame({"c": ["zebra"]}))), [unseen])
    back = features.inverse_transform(features.transform(pd.DataFrame({"c": ["d", "a"]})))
    assert back.c.tolist() == [seen[-1], "a"]


def test_a_gap_among_whole_numbers_keeps_their_category():
    features = TableFeatures(kinds={5: "category"}).fit(pd.DataFrame({5: [1, 2, 3]}))
    rows = features.transform(pd.DataFrame({5: [1.0, np.nan, 3.0]}))
    assert dense(rows).tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1]]  # the most frequent, and of those the first


def test_missing_category_of_its_own():
    frame = pd.DataFrame({"c": ["a", "b", None, ""], "d": list("xxyy"), "n": [1.0, None, 2.0, 6.0]})
    features = TableFeatures({"c": "category"}, missing="category", numeric="none").fit(frame)
    assert features.get_feature_names_out().tolist() == ["n", "n is missing", "c=(missing)", "c=a", "c=b", "d=x", "d=y"]
    rows = features.transform(frame.assign(d=["y", None, "x", "y"]))
    assert dense(rows).tolist() == [[1, 0, 0, 1, 0, 0, 1], [2, 1, 0, 0, 1, 1, 0], [2, 0, 1, 0, 0, 1, 0],
                                    [6, 0, 1, 0, 0, 0, 1]]


def test_missing_values_after_fit(mixed):
    """Where fit saw none, they are filled in, without a column that says so."""
    features = TableFeatures(numeric="none").fit(mixed.dropna())
    assert not any("missing" in name for name in features.get_feature_names_out())
    gone = mixed.dropna().astype(object)
    gone[:] = None
    rows = features.inverse_transform(features.transform(gone))
    expected = mixed.dropna()
    assert rows.price[0] == pytest.approx(expected.price.median()) and rows.brand[0] == expected.brand.mode()[0]
    assert rows.sold[0] == pytest.approx(expected.sold.median(), rel=1e-5)


@pytest.mark.parametrize("missing", ["error", "drop"])
def test_missing_values_refused(mixed, missing):
    message = f"column 'price' has 1 missing values, the first in row 3, and missing='{missing}'.*'impute'"
    with pytest.raises(ValueError, match=message):
        TableFeatures(missing=missing).fit(mixed)
    features = TableFeatures(missing=missing).fit(mixed.dropna())
    assert features.transform(mixed.dropna().assign(sku=None)).shape[0] == N - 4  # not used, so not asked
    with pytest.raises(ValueError, match="column 'brand' has 2 missing values, the first in row 4"):
        features.transform(mixed[["title", "brand", "sold", "used", "added"]].assign(price=1.0))


@pytest.mark.parametrize("values, kinds, message", [
    (["1", "2", "?", "4"], (), r"column 'a' has the value '\?' in row 12, but 75% of its values are num.*a=category"),
    ([1, 2, "x", None], (), "column 'a' has the value 'x' in row 12, but 67% of"),
    (["1", "2", "?", "4"], ["a=number"], r"column 'a' has the value '\?' in row 12, which is no number.*a=category"),
    ([1, 2, np.inf, 4], (), "column 'a' has the value inf in row 12, which is not a finite"),
    (["1", "2", "3", "-inf"], (), "column 'a' has the value '-inf' in row 13, which is not a finite"),
    ([1, 2, 1e39, 4], (), r"column 'a' has the value 1e\+39 in row 12"),
    ([1, 2, -0.5, 4], ["a=log"], "column 'a' has the value -0.5 in row 12, but the kind log is for numbers of at"),
    ([1, 2, -1, 4], ["a=count"], "column 'a' has the value -1 in row 12, but the kind count is for whole numbers"),
    ([1, 2, 2.5, None], ["a=count"], "column 'a' has the value 2.5 in row 12, but the kind count.*a=number"),
    (["yes", "no", "maybe", ""], ["a=boolean"], "column 'a' has the value 'maybe' in row 12, which is none of.*a=c"),
    ([1, 2, 3, 4], ["b=number"], "Unknown column in kinds 'b'. Known: a"),
    ([1, 2, 3, 4], ["a=numbr"], "Unknown kind of column 'a' 'numbr'. Did you mean 'number'"),
    ([1, 2, 3, 4], ["a"], "Unknown column in kinds ''"),
    ([1, 2, 3, 4], {"a": "drop"}, "no column is left to use: 'a' by choice; choose"),
    ([None] * 4, {"a": "number"}, "no column is left to use: 'a' has no values"),
    (["of", "the", "and", "of"], {"a": "text"}, "column 'a' of kind text: none of the 4 texts has a word"),
])
def test_what_cannot_be_used(values, kinds, message):
    with pytest.raises(ValueError, match=message):
        TableFeatures(kinds=kinds).fit(pd.DataFrame({"a": values}, index=[10, 11, 12, 13]))


@pytest.mark.parametrize("options, message", [
    ({"numeric": "standart"}, "numeric='standart' is none of standard, robust"),
    ({"missing": "ignore"}, "missing='ignore' is none of impute"),
    ({"text": "count"}, "text='count' is none of counts, tfidf"),
])
def test_unknown_options(mixed, options, message):
    with pytest.raises(ValueError, match=message):
        TableFeatures(**options).fit(mixed)


def test_tables_that_are_none(mixed):
    with pytest.raises(ValueError, match="X must be a pandas DataFrame, not ndarray"):
        TableFeatures().fit(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="more than one column 'price'"):
        TableFeatures().fit(pd.concat([mixed, mixed.price], axis=1))
    with pytest.raises(ValueError, match="X has no rows"):
        TableFeatures().fit(mixed).transform(mixed[:0])


def test_columns_in_another_order_missing_and_extra(mixed):
    features = TableFeatures()
    rows = dense(features.fit_transform(mixed))
    moved = mixed[list(mixed)[::-1]].drop(columns=["sku", "shop"])
    np.testing.assert_array_equal(dense(features.transform(moved)), rows)
    with pytest.warns(UserWarning, match="not used: 'new', 'more'") as caught:
        np.testing.assert_array_equal(dense(features.transform(mixed.assign(new=1, more=2))), rows)
    assert len(caught) == 1
    with pytest.raises(ValueError, match="X lacks the columns 'price', 'used'"):
        features.transform(mixed.drop(columns=["used", "price"]))


def test_other_dtypes_after_fit(mixed):
    features = TableFeatures()
    rows = dense(features.fit_transform(mixed))
    other = mixed.astype(object).astype({"price": str, "brand": "category"})
    other["sold"] = pd.array(mixed.sold, dtype="Float64")
    other["used"] = mixed.used.map({"yes": 1.0, "no": 0.0})
    other["added"] = mixed.added.dt.strftime("%Y-%m-%dT%H:%M:%S")
    np.testing.assert_allclose(dense(features.transform(other)), rows, rtol=1e-6)
    with pytest.raises(ValueError, match="column 'price' has the value 'cheap' in row 0, which is no number"):
        features.transform(mixed.assign(price="cheap"))
    with pytest.raises(ValueError, match="column 'added' has the value 'today' in row 0, which is no date"):
        features.transform(mixed.assign(added="today"))


@pytest.mark.parametrize("options", [
    {},
    {"numeric": "quantile", "missing": "category", "text": "tfidf", "max_categories": 2, "kinds": {"sold": "number"}},
    {"numeric": "robust", "text": "hashing", "kinds": ("link=category", "added=drop")}])
def test_saved_cloned_and_in_a_pipeline(mixed, options):
    features = TableFeatures(**options)
    rows = dense(features.fit_transform(mixed))
    loaded = skops.io.loads(skops.io.dumps(features), trusted=TRUSTED)
    np.testing.assert_array_equal(dense(loaded.transform(mixed)), rows)
    pd.testing.assert_frame_equal(loaded.inverse_transform(rows), features.inverse_transform(rows))
    for name in ("kinds_", "dropped_", "blocks_", "missing_", "dates_", "categories_"):
        assert getattr(loaded, name) == getattr(features, name) and type(getattr(loaded, name)) is type(
            getattr(features, name))
    np.testing.assert_array_equal(loaded.get_feature_names_out(), features.get_feature_names_out())
    again = clone(loaded)
    assert again.get_params() == features.get_params() and not hasattr(again, "kinds_")
    piped = dense(make_pipeline(again, MaxAbsScaler()).fit(mixed).transform(mixed))
    np.testing.assert_allclose(piped, rows / np.maximum(np.abs(rows).max(axis=0), 1e-30), rtol=1e-6)


def test_describe(mixed):
    features = TableFeatures().fit(mixed)
    table = features.describe(mixed).set_index("column")
    assert list(table) == ["kind", "missing", "unique", "values", "becomes"] and list(table.index) == list(mixed)
    assert table.becomes.sum() == len(features.get_feature_names_out())
    assert table.loc["price", ["kind", "missing", "unique", "becomes"]].tolist() == ["number", 1, N - 1, 2]
    assert table.loc["price", "values"] == f"{mixed.price.min():g} to {mixed.price.max():g}"
    top = mixed.brand.value_counts()
    assert table.loc["brand"].tolist() == ["category", 2, 3, f"{top.index[0]} ({top.iloc[0]} of {N - 2})", 4]
    assert table.loc["shop"].tolist() == ["dropped: has the value 'here' alone", 0, 1, f"here ({N} of {N})", 0]
    assert features.dropped_ == {"sku": "looks like an identifier: a different word in each row",
                                 "link": "holds web addresses", "shop": "has the value 'here' alone"}


@pytest.mark.data
@pytest.mark.skipif(not PHONES.is_file(), reason="phones is not under DEC_DATA")
def test_phones():
    phones = pd.read_csv(PHONES)
    used = phones.drop(columns=["asin", "url", "image", "reviewUrl"]).dropna()
    features = TableFeatures(kinds=("brand=category", "title=category"))
    rows = features.fit_transform(used)
    assert rows.shape == (717, 729) and isinstance(rows, csr_array)
    assert features.blocks_ == ("gaussian:4", "categorical:10", "categorical:715")
    np.testing.assert_array_equal(features.inverse_transform(rows)[["brand", "title"]], used[["brand", "title"]])

    features = TableFeatures(text="tfidf", vocabulary=100).fit(phones)
    assert features.kinds_ == {"asin": "drop", "brand": "category", "title": "text", "url": "drop", "image": "drop",
                               "rating": "number", "reviewUrl": "drop", "totalReviews": "number", "price": "number",
                               "originalPrice": "log"}
    assert features.blocks_ == ("gaussian:4", "bernoulli:1", "categorical:10", "gaussian:100")
