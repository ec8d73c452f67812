"""The table of results against hand-computed numbers: means, spreads, improvement, and seeds that failed."""

import pytest

from dec import config
from dec.io import markdown
from dec.runs.results import failures, improvement, mean_sd, percent, results, scores


def seed(number, acc=None, status="ok", occupied=3, reason="20 steps"):
    row = {"seed": number, "status": status, "reason": reason, "occupied": occupied, "agreement": 0.5}
    return row | ({} if acc is None else dict.fromkeys(("acc", "nmi", "ari", "ami"), acc))


def metrics(*seeds, method="dec", reused=0, silhouette=0.25):
    return {"method": method, "data": "digits", "n": 90, "n_clusters": 3, "seeds": list(seeds), "reused": reused,
            "internal": {"input": {"silhouette": silhouette}},
            "seconds": {"compile": 1.0, "pretrain": 2.0, "cluster": 3.04}}


def cells(table):
    """{row name: {column: text}} of a Markdown table, without the lines under it."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    header, _, *rows = lines
    return {row[0]: dict(zip(header, row)) for row in rows}


def test_mean_and_sample_deviation_by_hand():
    assert mean_sd([]) == (None, None)
    assert mean_sd([0.4]) == (0.4, None)
    assert mean_sd([1.0, 2.0, 6.0]) == (3.0, pytest.approx(7**0.5))  # (4 + 1 + 9) / 2
    assert percent([]) == "–"
    assert percent([0.5]) == "50.0"
    assert percent([0.7, 0.8]) == "75.0 ± 7.1"


def test_a_failed_seed_is_counted_and_never_averaged():
    run = metrics(seed(0, 0.7), seed(1, 0.8), seed(2, 0.0, "failed", 1, "collapsed: all rows are in one cluster"))
    assert scores(run, "acc") == [0.7, 0.8]
    row = cells(results({"dec": run}))["dec"]
    assert row["seeds"] == "2/3 ok"
    assert row["ACC"] == row["AMI"] == "75.0 ± 7.1"
    assert failures({"dec": run}) == ["dec, seed 2: failed, collapsed: all rows are in one cluster"]


def test_augmentation_and_a_chosen_k_are_declared():
    used = config.Augmentation(shift=0.1, flip=True).changed()
    table = results({"plain": metrics(seed(0, 0.5)), "idec": metrics(seed(0, 0.5)) | {"augmentation": used}})
    chosen = results({"dec": metrics(seed(0, 0.5)) | {"choice": {"reason": "3 is the median of all"}}})
    assert chosen.endswith("\n\ndec, the number of clusters: 3 is the median of all")
    assert table.endswith("\n\nidec was trained on augmented rows: shift 0.1, flip 1") and "plain was" not in table


def test_noise_and_samples_are_declared():
    noisy = metrics(*(seed(s, 0.5) | {"noise": noise, "looked_at": 80} for s, noise in enumerate((4, 9))))
    table = results({"kmeans": metrics(seed(0, 0.5) | {"noise": 0, "looked_at": 90}), "dbscan": noisy})
    assert "dbscan: 4 to 9 of 90 rows are noise: wrong for ACC" in table and "kmeans:" not in table
    assert table.endswith("\n\ndbscan: the clusters are those of a uniform sample of 80 of the 90 rows")


def test_where_every_seed_failed_there_is_no_number():
    fine, lost = metrics(seed(0, 0.5)), metrics(seed(0, status="failed", occupied=0, reason="NaN"))
    row = cells(results({"a": fine, "b": lost}))["b"]
    assert (row["seeds"], row["ACC"], row["NMI"]) == ("0/1 ok", "–", "–")


def test_an_empty_cluster_is_told_though_the_seed_is_ok():
    assert failures({"dec": metrics(seed(0, 0.5, occupied=2), seed(1, 0.5))}) == ["dec, seed 0: ok, 20 steps"]


def test_improvement_divides_by_k_means():
    old = metrics(seed(0, 0.4), seed(1, 0.6), method="kmeans")
    new = metrics(seed(0, 0.6), seed(1, 0.9), seed(2, 0.0, "failed"))
    assert improvement(new, old, "acc") == "+50.0 %"  # (0.75 - 0.5) / 0.5
    assert improvement(metrics(seed(0, 0.45)), old, "acc") == "-10.0 %"
    assert improvement(old, old, "acc") == "–"
    assert improvement(new, None, "acc") == "–"
    assert improvement(new, metrics(seed(0, 0.0), method="kmeans"), "acc") == "–"
    assert improvement(metrics(seed(0, status="failed")), old, "acc") == "–"


def test_the_column_of_improvement_is_of_the_score_it_names():
    old, new = metrics(seed(0, 0.5), method="kmeans"), metrics(seed(0, 0.6))
    new["seeds"][0] |= {"acc": 0.55, "nmi": 0.6, "ari": 0.65, "ami": 0.7}
    column = cells(results({"kmeans": old, "dec": new}))
    name, = (header for header in column["dec"] if header.endswith("over k-means"))
    expected = {"ACC": "+10.0 %", "NMI": "+20.0 %", "ARI": "+30.0 %", "AMI": "+40.0 %"}
    assert [column[row][name] for row in ("kmeans", "dec")] == ["–", expected[name.split()[0]]]


def test_without_k_means_there_is_nothing_to_improve_on():
    assert "k-means" not in results({"dec": metrics(seed(0, 0.5))})


def test_without_labels_agreement_and_silhouette_stand_in():
    row = cells(results({"dec": metrics(seed(0), seed(1))}))["dec"]
    assert "ACC" not in row
    assert row["agreement"] == "50.0 ± 0.0"
    assert row["silhouette (input)"] == "0.250"


def test_seconds_of_a_reused_network_are_marked():
    fresh, reused = metrics(seed(0, 0.5)), metrics(seed(0, 0.5), reused=1)
    table = results({"a": fresh, "b": reused})
    assert [cells(table)[name]["pretrain s"] for name in "ab"] == ["2.0", "2.0*"]
    assert cells(table)["a"]["cluster s"] == "3.0"
    assert "* a pretrained network was reused" in table
    assert "*" not in results({"a": fresh})


def test_markdown_lines_up_as_plain_text():
    table = markdown(["name", "n"], [["a", "1"], ["longer", "100"]])
    assert table.splitlines() == ["| name   |   n |", "| :----- | --: |", "| a      |   1 |", "| longer | 100 |"]
