"""Selection without labels: its pieces by hand, and a pick that labels cannot change."""

import dataclasses
import json

import numpy as np
import pytest
from command_line import run as dec

from dec.runs import select as module
from dec.runs.folder import RunFolder
from dec.runs.select import select
from dec.selection.ace import ace, measure
from dec.selection.agreement import agreement

METHODS = ("kmeans", "ae+kmeans", "agglomerative")
TINY = ("--hidden", 16, "--code-size", 3, "--pretraining.epochs", 3, "--limit", 200, "--quiet")


def test_the_indices_by_hand():
    """Points 0, 1, 10, 11 in two pairs; all in one cluster is undefined and gets the worst."""
    x = np.array([[0.0], [1.0], [10.0], [11.0]])
    pairs, crossed, one = [0, 0, 1, 1], [0, 1, 0, 1], [3, 3, 3, 3]
    scores = measure(x, np.array([pairs, crossed, one]))
    assert scores[0, 0] == pytest.approx((9.5 / 10.5 + 8.5 / 9.5) / 2)
    assert scores[1, 0] == pytest.approx(100 / (1 / 2))  # between 100 / (2 - 1), within 1 / (4 - 2)
    assert scores[2, 0] == pytest.approx(-(0.5 + 0.5) / 10)
    np.testing.assert_array_equal(scores[:, 2], scores[:, 1])


def test_ace_by_hand():
    """Two pairs of spaces: each agrees on an order, against the other pair's; the pair of the higher mean counts."""
    high = np.array([[0.9, 0.6, 0.5, 0.4, 0.1], [0.8, 0.7, 0.5, 0.3, 0.2]])
    low = 0.1 * high[:, ::-1]
    scores, weights = ace(np.concatenate([low, high]))
    np.testing.assert_allclose(weights, [0, 0, 0.5, 0.5])
    np.testing.assert_allclose(scores, high.mean(axis=0))
    alone, weights = ace(high[:1])
    np.testing.assert_allclose(alone, high[0])
    assert weights.tolist() == [1.0]


def test_ace_weighs_by_centrality():
    """ρ is 0.9 from the first space to both others, 0.8 between these: λw = w + 1.8 and λ = 0.9w + 1.8 of (w, 1, 1)."""
    _, weights = ace(np.array([[0, 1, 2, 3, 4], [1, 0, 2, 3, 4], [0, 1, 2, 4, 3]], float))
    w = (-0.8 + np.sqrt(0.8**2 + 4 * 0.9 * 1.8)) / (2 * 0.9)
    np.testing.assert_allclose(weights, np.array([w, 1, 1]) / (w + 2), rtol=1e-6)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("select")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEC_CACHE", str(folder / "cache"))
        status, _, err = dec("compare", "--methods", *METHODS, *TINY, "--seeds", 2, "--out",
                             folder / "table")
        assert (status, err) == (0, "")
        yield folder / "table"


def test_the_command_scores_every_cell_in_the_same_spaces(table):
    status, out, err = dec("select", table)
    assert (status, err) == (0, "")
    found = json.loads((table / "selection.json").read_text())
    assert {row["cell"] for row in found["cells"]} == set(METHODS) and found["partitions"] == 6
    assert [row["score"] for row in found["cells"]] == sorted((row["score"] for row in found["cells"]), reverse=True)
    for weights in found["spaces"].values():
        assert set(weights) == {"input", "ae+kmeans"}  # what methods on the input have for codes is the input
        assert sum(weights.values()) == pytest.approx(1, abs=0.01)
    cells = {name: json.loads((table / name / "metrics.json").read_text()) for name in METHODS}
    accuracy = {(name, row["seed"]): row["acc"] for name, cell in cells.items() for row in cell["seeds"]}
    pick = found["pick"]["cell"], found["pick"]["seed"]
    assert pick[1] == cells[pick[0]]["kept_seed"]
    assert found["oracle"]["gap"] == pytest.approx(max(accuracy.values()) - accuracy[pick])
    assert f"Picked without labels: {pick[0]}, seed {pick[1]}" in out and "By labels the best is" in out


def test_a_run_is_a_table_of_one_cell(table):
    status, out, err = dec("select", table / "ae+kmeans")
    metrics = json.loads((table / "ae+kmeans" / "metrics.json").read_text())
    gap = max(row["acc"] for row in metrics["seeds"]) - metrics["seeds"][metrics["kept_seed"]]["acc"]
    assert (status, err) == (0, "") and f"Picked without labels: ae+kmeans, seed {metrics['kept_seed']}" in out
    assert f"the pick is {100 * gap:.1f} points below it" in out


@pytest.mark.parametrize("shuffled", [True, False])
def test_labels_do_not_enter_the_pick(table, monkeypatch, shuffled):
    before, _ = select(RunFolder(table))
    results, prepare = RunFolder.results, module.prepare

    def other_results(folder):
        cells = results(folder)
        for row in (row for cell in cells.values() for row in cell["seeds"]):
            for score in ("acc", "nmi", "ari", "ami", "purity", "homogeneity", "completeness"):
                row[score] = 1 - row.pop(score)
                if not shuffled:
                    del row[score]
        return cells

    def other_data(run):
        prepared = prepare(run)
        y = np.random.default_rng(0).permutation(prepared.dataset.y) if shuffled else None
        return prepared._replace(dataset=dataclasses.replace(prepared.dataset, y=y))

    monkeypatch.setattr(RunFolder, "results", other_results)
    monkeypatch.setattr(module, "prepare", other_data)
    after, text = select(RunFolder(table))
    assert after["pick"] == before["pick"] and after["spaces"] == before["spaces"]
    assert [row["score"] for row in after["cells"]] == [row["score"] for row in before["cells"]]
    assert ("oracle" in after) == ("By labels" in text) == shuffled


def test_what_cannot_be_selected_from_is_said(table, monkeypatch):
    status, _, err = dec("select", table.parent)
    assert status == 2 and "is not a run folder" in err
    monkeypatch.setattr(RunFolder, "read_environment", lambda folder: {"data": {"digest": "another"}})
    with pytest.raises(ValueError, match="is not the data"):
        select(RunFolder(table))


def test_agreement_by_mutual_information():
    assert agreement(np.array([[0, 0, 1, 1], [5, 5, 2, 2], [0, 1, 0, 1]]), "nmi") == pytest.approx([0.5, 0.5, 0.0])
