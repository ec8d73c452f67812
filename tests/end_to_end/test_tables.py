"""A table from its file to the clusters of new rows: the walk that a person with a CSV takes."""

import json

import numpy as np
import pandas as pd
import pytest
from command_line import run

import dec

TINY = ["--hidden", "16", "--code-size", "3", "--pretraining.epochs", "40", "--batch-size", "64", "--quiet"]


def shop(n: int, seed: int) -> pd.DataFrame:
    """Two kinds of goods that differ in every column."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, n)
    return pd.DataFrame({
        "sku": [f"{seed}-{i:04d}" for i in range(n)],
        "price": np.where(kind, 900, 20) + rng.normal(0, 5, n).round(2),
        "brand": np.where(kind, rng.choice(["Apex", "Borea"], n), rng.choice(["Cheapo", "Dura", "Eco"], n)),
        "wireless": np.where(kind, "yes", "no"),
        "page": [f"https://shop.example/{i}" for i in range(n)],
        "group": np.where(kind, "tools", "toys"),
    })


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEC_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        table = shop(200, 0)
        table.loc[[3, 77], "price"] = np.nan
        table.to_csv("shop.csv", index=False)
        yield folder


@pytest.fixture(scope="module")
def trained(place):
    """A run with a likelihood for every column."""
    status, out, err = run("train", "ae+kmeans", "--data", "shop.csv", "--id", "sku", "--label", "group",
                           "--output", "mixed", "--scaling", "none", *TINY, "--out", "mixed")
    assert (status, err) == (0, ""), err
    assert "1/1 ok" in out
    return place / "mixed"


def test_the_table_is_clustered_and_its_rows_keep_their_names(trained):
    labels = pd.read_csv(trained / "labels.csv")
    assert list(labels)[:5] == ["row", "sku", "cluster", "confidence", "anomaly"]
    groups = pd.read_csv("shop.csv").set_index("sku")["group"]
    counts = pd.crosstab(labels["cluster"], groups[labels["sku"]].to_numpy())
    assert counts.max(axis=1).sum() >= 198  # the label was no input; two rows lack the price that tells them apart


def test_inspect_says_what_is_understood(place):
    status, out, err = run("data", "inspect", "shop.csv", "--id", "sku", "--label", "group")
    assert (status, err) == (0, ""), err
    for word in ("200 rows", "tools", "price", "number", "brand", "category", "boolean", "page", "web addresses",
                 "gaussian:1", "categorical:5", "price is missing"):
        assert word in out, word


def test_new_rows_may_be_reordered_wider_and_of_unseen_categories(trained):
    new = shop(50, 1)
    new.loc[0, "brand"] = "Never Seen"
    new["price"] = new["price"].map("{:.2f}".format)  # numbers as strings
    new = new[["wireless", "brand", "sku", "price"]].assign(colour="red")  # no label, no page; a column more
    new.to_csv("new.csv", index=False)
    with pytest.warns(UserWarning, match="nothing of brand is known to the model in 1 of 50 rows, first in row 0"):
        status, _, err = run("predict", trained, "new.csv", "--out", "found.csv", "--force")
    assert status == 0, err
    found = pd.read_csv("found.csv")
    assert list(found["sku"]) == list(new["sku"])
    assert found.groupby("cluster")["sku"].count().sum() == 50
    truth = shop(50, 1)["group"].to_numpy()
    assert pd.crosstab(found["cluster"], truth).max(axis=1).sum() >= 49


def test_an_odd_row_has_the_highest_anomaly_score(trained):
    new = shop(50, 2)
    new.loc[7, ["price", "brand", "wireless"]] = [90_000, "Apex", "no"]
    new.to_csv("odd.csv", index=False)
    assert run("predict", trained, "odd.csv", "--out", "odd-found.csv", "--force")[0] == 0
    found = pd.read_csv("odd-found.csv")
    assert found["anomaly"].idxmax() == 7
    assert 0.5 < found["anomaly"].median() < 2 and found["anomaly"][7] > 3 * found["anomaly"].drop(7).max()


def test_evaluate_on_labels_with_gaps_says_that_there_are_no_scores(trained):
    new = shop(50, 5)
    for name, gaps in (("full.csv", []), ("gaps.csv", [3])):
        new.loc[gaps, "group"] = None
        new.to_csv(name, index=False)
        status, out, err = run("evaluate", trained, "--data", name)
        assert (status, err) == (0, ""), err
        assert ("acc" in json.loads(out)) == (not gaps)
    assert "gaps.csv does not have one for every row" in json.loads(out)["labels"]


def test_a_missing_column_is_named(trained):
    shop(5, 3).drop(columns=["price", "brand"]).to_csv("narrow.csv", index=False)
    status, _, err = run("predict", trained, "narrow.csv", "--out", "narrow-found.csv")
    assert status == 2
    assert "price" in err and "brand" in err and "narrow.csv" in err


def test_the_model_in_python_is_a_pipeline_that_takes_and_gives_tables(trained):
    model = dec.load(trained)
    new = shop(20, 4)
    back = model.inverse_transform(model.transform(new))
    assert list(back) == ["price", "brand", "wireless"]
    expensive = (new["group"] == "tools").to_numpy()
    assert (back["brand"].isin(["Apex", "Borea"]) == expensive).all()
    assert np.abs(back["price"] - new["price"].to_numpy()).max() < 100
    again = pd.read_csv("shop.csv")
    labels = pd.read_csv(trained / "labels.csv")["cluster"]
    np.testing.assert_array_equal(model.predict(again), labels)


def test_a_pipeline_of_ones_own_is_saved_and_loaded(place, tiny):
    from sklearn.pipeline import make_pipeline

    table = shop(100, 5).drop(columns=["sku", "group"])
    model = make_pipeline(dec.TableFeatures(), dec.AEKMEANS(2, **tiny)).fit(table)
    dec.save(model, "own")
    np.testing.assert_array_equal(dec.load("own").predict(table), model.predict(table))
    np.testing.assert_allclose(dec.load("own").score_samples(table), model.score_samples(table), rtol=1e-5)
    with pytest.raises(ValueError, match="cannot be saved; it must be one of TableFeatures"):
        dec.save(make_pipeline(dec.TableFeatures(), dec.TableFeatures(), model[-1]), "two")


@pytest.fixture(scope="module")
def dropped(place):
    status, _, err = run("train", "kmeans", "--data", "shop.csv", "--id", "sku", "--missing", "drop", "--n-clusters", 2,
                         "--drop", "group", "--quiet", "--out", "dropped")
    assert (status, err) == (0, ""), err


@pytest.mark.usefixtures("dropped")
def test_rows_with_missing_values_are_left_out_by_choice_and_counted(place):
    labels = pd.read_csv("dropped/labels.csv")
    assert len(labels) == 198 and not labels["row"].isin([3, 77]).any()
    assert "dropped 2 of 200 rows" in (place / "dropped" / "metrics.json").read_text()


@pytest.mark.usefixtures("dropped")
def test_new_rows_lose_nothing_for_columns_that_are_not_used():
    new = shop(20, 7).assign(colour=[None, "red"] * 10, empty=None)
    new.loc[4, "price"] = np.nan
    new.loc[6, "brand"] = " "  # blank is missing too
    new.to_csv("half.csv", index=False)
    assert run("predict", "dropped", "half.csv", "--out", "half-found.csv", "--force")[0] == 0
    found = pd.read_csv("half-found.csv")
    assert sorted(set(range(20)) - set(found["row"])) == [4, 6]
    assert list(found["sku"]) == list(new["sku"].drop([4, 6]))


def test_a_sample_keeps_the_numbers_of_its_rows(place):
    assert run("train", "kmeans", "--data", "shop.csv", "--id", "sku", "--limit", 50, "--n-clusters", 2, "--quiet",
               "--out", "sampled")[0] == 0
    labels = pd.read_csv("sampled/labels.csv")
    assert len(labels) == 50 and labels["row"].max() > 50
    np.testing.assert_array_equal(labels["sku"], pd.read_csv("shop.csv")["sku"][labels["row"]])


def test_crosstab_of_two_runs_joins_items_with_their_reviews(trained):
    items = pd.read_csv(trained / "labels.csv")
    tone = {0: "awful broken junk refund never", 1: "lovely sturdy perfect gift thanks"}
    reviews = pd.DataFrame({"sku": np.repeat(items["sku"], 2), "stars": 3,
                            "text": [f"{tone[c]} again and again" for c in np.repeat(items["cluster"], 2)]})
    pd.concat([reviews, pd.DataFrame({"sku": ["NA"], "text": [tone[0]]})]).to_csv("reviews.csv", index=False)
    status, _, err = run("train", "ae+kmeans", "--data", "reviews.csv", "--columns", "text", "--keep", "sku",
                         "--n-clusters", 2, *TINY, "--out", "reviews")
    assert (status, err) == (0, ""), err
    status, out, err = run("crosstab", trained, "reviews", "--on", "sku", "--out", "counts.csv")
    assert (status, err) == (0, ""), err
    assert "400 of 401 rows of reviews found a partner" in out and "Cramér's V 1.000" in out
    counts = pd.read_csv("counts.csv", index_col=0)
    assert counts.loc["all", "all"] == 400
    assert sorted(counts.loc[["0", "1"], ["0", "1"]].to_numpy().ravel())[2:] == sorted(
        2 * items["cluster"].value_counts())
    for on, message in (("asin", "no column 'asin'"), ("row", "mixed is a run on shop.csv and reviews on reviews.csv; "
                                                              "name a column"), ("cluster", "that is what is counted")):
        status, _, err = run("crosstab", trained, "reviews", "--on", on)
        assert status == 2 and message in err
    assert run("crosstab", trained, trained)[0] == 0
    status, _, err = run("predict", "reviews", "shop.csv", "--out", "none.csv")
    assert status == 2 and "shop.csv lacks the columns 'text'" in err
    pd.DataFrame({"stars": [1, 2], "text": ["awful", "lovely gift"]}).to_csv("short.csv", index=False)
    status, out, err = run("predict", "reviews", "short.csv", "--out", "short-found.csv")  # short texts, a column more
    assert status == 0, err
    assert pd.read_csv("short-found.csv")["cluster"].nunique() == 2


def test_a_saved_model_predicts_without_its_run(trained):
    assert run("predict", trained / "model", "shop.csv", "--out", "alone.csv", "--force")[0] == 0
    labels = pd.read_csv(trained / "labels.csv")["cluster"]
    np.testing.assert_array_equal(pd.read_csv("alone.csv")["cluster"], labels)


@pytest.mark.slow
def test_names_in_zeros_join_items_with_their_reviews_beside_gaps(place):
    rng = np.random.default_rng(0)
    codes = [f"{i:04d}" for i in range(20)]
    pd.DataFrame({"code": codes, "size, cm": rng.normal(size=20), "cost": ["$1,5"] * 10 + ["$7"] * 10,
                  "price": rng.normal(size=20)}).to_csv("coded.csv", index=False)
    pd.DataFrame({"code": [None, *codes], "stars": rng.normal(size=21)}).to_csv("stars.csv", index=False)
    for name, options in (("coded", ["--id", "code", "--drop", r"size\, cm"]), ("stars", ["--keep", "code"])):
        status, _, err = run("train", "kmeans", "--data", f"{name}.csv", *options, "--n-clusters", 2, "--quiet",
                             "--out", name)
        assert (status, err) == (0, ""), err
    source = json.loads((place / "coded" / "metrics.json").read_text())["source"]
    assert source.startswith("coded.csv, 20 rows; taken for words: cost ('$1,5'); write numbers as 1774.45 and dates")
    status, out, err = run("crosstab", "coded", "stars", "--on", "code")
    assert status == 0 and "20 of 20 rows of coded found" in out and "20 of 21 rows of stars found" in out, err


@pytest.mark.parametrize("data, options, message", [
    ("one.npz", [], "--n-clusters is needed: the labels of one.npz are one class only, '3'"),
    ("row.csv", ["--n-clusters", 2], "row.csv: no column is left to use: there is one row only"),
    ("one.npz", ["--id", "sku"], "features.id='sku' has no meaning for one.npz, which holds data of the kind array"),
])
def test_what_cannot_be_clustered_is_said(place, data, options, message):
    np.savez("one.npz", X=np.eye(4), y=np.full(4, 3))
    shop(1, 0).to_csv("row.csv", index=False)
    status, _, err = run("train", "kmeans", "--data", data, *options)
    assert status == 2 and message in err


def test_an_id_that_labels_csv_would_overwrite_is_refused(place):
    shop(10, 8).rename(columns={"sku": "cluster"}).to_csv("clash.csv", index=False)
    status, _, err = run("train", "kmeans", "--data", "clash.csv", "--id", "cluster", "--n-clusters", 2)
    assert status == 2 and "features.id='cluster'" in err and "rename" in err


@pytest.mark.parametrize("column, value, message", [
    ("price", "n/a?", "price"), ("price", "inf", "price"), ("brand", None, "brand"),
])
def test_a_bad_value_is_named_with_its_file_column_and_row(place, column, value, message):
    table = shop(30, 6).drop(columns=["sku", "group", "page"]).astype({"price": object})
    table.loc[11, column] = value
    table.to_csv("bad.csv", index=False)
    status, _, err = run("train", "kmeans", "--data", "bad.csv", "--n-clusters", 2, "--missing", "error")
    assert status == 2 and "bad.csv" in err and message in err and "11" in err and "Traceback" not in err
