"""The choice of k: its criteria by hand, groups that are there, and how it reaches fits, resumed runs, the command."""

import json

import numpy as np
import pandas as pd
import pytest
from command_line import run as command

import dec
from dec.selection import choose_k as module
from dec.selection.choose_k import choose_k, criteria, knee, vote
from dec.training.checkpoint import Checkpoints
from dec.training.session import Session

TINY = ("--hidden", 16, "--code-size", 3, "--pretraining.epochs", 3, "--limit", 200, "--quiet")


def table(**columns):
    plain = {"k": [1, 2, 3, 4], "inertia": [8.0, 4.0, 2.0, 1.9], "silhouette": [np.nan, 0.3, 0.4, 0.1],
             "gap": [0.1, 0.2, 0.5, 0.52], "gap_error": [0.0, 0.05, 0.05, 0.05], "bic": [9.0, 5.0, 4.0, 4.5],
             "stability": [np.nan, 0.9, 0.88, 0.5], "stability_error": [np.nan, 0.03, 0.01, 0.01]}
    return pd.DataFrame(plain | columns)


def test_the_knee_by_hand():
    # Chord from 9 at 1 to 0 at 4: 9, 6, 3, 0. The curve is 0, 5, 2.5 and 0 below it.
    assert knee(np.array([1, 2, 3, 4]), np.array([9.0, 1.0, 0.5, 0.0])) == 1
    # In unequal steps the chord is 10, 9, 1, 0.
    assert knee(np.array([1, 2, 10, 11]), np.array([10.0, 8.5, 0.2, 0.0])) == 2


def test_the_votes_by_hand():
    # Gap: 0.1 < 0.2 - 0.05 and 0.2 < 0.5 - 0.05, but 0.5 >= 0.52 - 0.05. Stability: 3 is within 0.03 of the best.
    assert vote(table()) == {"elbow": 3, "silhouette": 3, "gap": 3, "bic": 3, "stability": 3}
    assert vote(table(stability=[np.nan, 0.9, 0.86, 0.5]))["stability"] == 2
    growing = vote(table(gap=[0.1, 0.2, 0.5, 0.6], bic=[9.0, 5.0, 4.0, 3.0]))
    assert growing["gap"] is None and growing["bic"] is None


def test_inertia_and_gap_by_hand():
    """Of one cluster: the sum of squares; and no gap where the rows are as uniform as their references."""
    x = np.random.default_rng(0).uniform(-1, 1, (500, 2)) * [1, 3]
    first = criteria([x], [1, 2], 2, 0).iloc[0]
    assert first["inertia"] == pytest.approx(((x - x.mean(axis=0)) ** 2).sum())
    assert abs(first["gap"]) < 0.05 and 0 < first["gap_error"] < 0.05
    assert np.isnan(first["silhouette"]) and np.isnan(first["stability"])


def test_groups_that_are_there_are_found(blobs):
    found = choose_k(blobs[0], range(1, 9))
    assert found.k == 4 and found.table["k"].tolist() == list(range(1, 9))
    assert found.reason == ("4 is the median of elbow 4, silhouette 4, gap 4, bic 4, stability 4; k from 1 to 8 on "
                            "300 rows")
    assert found.table["stability"][3] == pytest.approx(1.0)
    pd.testing.assert_frame_equal(choose_k(100 * blobs[0] + 7, range(1, 9)).table[["silhouette", "bic"]],
                                  found.table[["silhouette", "bic"]])


def test_one_group_is_one():
    found = choose_k(np.random.default_rng(0).normal(size=(300, 3)), range(1, 7))
    assert found.k == 1 and found.reason.startswith("1 is what gap and bic say of elbow")


def test_stability_is_that_across_networks(blobs):
    x = blobs[0]
    turned = x @ np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    noise = np.random.default_rng(1).normal(size=x.shape)
    agreeing, not_agreeing = (choose_k(np.stack([x, other]), [3, 4, 5]).table for other in (turned, noise))
    assert agreeing["stability"][1] == pytest.approx(1.0) and not_agreeing["stability"][1] < 0.6
    assert (agreeing["silhouette"] == not_agreeing["silhouette"]).all()


def test_what_it_looks_at_is_stated_and_bounded(blobs, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 60)
    assert choose_k(blobs[0], [3, 4, 5, 99]).reason.endswith("k from 3 to 5 on 60 rows of 300")
    assert choose_k(blobs[0][:7]).table["k"].tolist() == [1, 2, 3]  # half the rows
    for x, ks, seeds, message in ((blobs[0], [4, 5], 5, "at least 3"), (blobs[0], [2, 3, 4], 1, "seeds=1"),
                                  (np.ones((50, 2)), range(1, 9), 5, "from 1 to 0")):
        with pytest.raises(ValueError, match=message):
            choose_k(x, ks, seeds)


@pytest.fixture
def short(monkeypatch):
    """Automatic choices among 1 to 8 only."""
    monkeypatch.setattr("dec.training.fit.choose_k", lambda x, ks, **more: choose_k(x, range(1, 9), **more))


def test_an_estimator_takes_auto_and_keeps_it_when_saved(blobs, tiny, tmp_path, short):
    model = dec.DeepClustering("auto", method="kmeans", n_init=2, **tiny).fit(blobs[0])
    assert model.n_clusters == "auto" and model.n_clusters_ == len(np.unique(model.labels_)) == 4
    assert "4 is the median of" in model.choice_["reason"]
    model.save(tmp_path)
    loaded = dec.load(tmp_path)
    assert loaded.n_clusters_ == 4 and loaded.choice_ == model.choice_
    with pytest.raises(ValueError, match="n_clusters='many' must be an integer or 'auto'"):
        dec.DeepClustering("many").fit(blobs[0])


def test_a_resumed_run_does_not_choose_again(blobs, tiny, tmp_path, monkeypatch, short):
    def stop(session):
        session.interrupted = session.phase == "cluster"

    def fit(session, **more):
        steps = dec.Refinement(steps=40, refresh_every=10, tolerance=0.0)
        return dec.DEC("auto", **tiny | {"refinement": steps}).fit_session(blobs[0], session, **more)

    monkeypatch.setattr("dec.training.engine.CHUNK_SECONDS", 0.0)
    checkpoints = Checkpoints(tmp_path)
    began = fit(Session([0], callback=stop, checkpoints=checkpoints))
    monkeypatch.setattr("dec.training.fit.choose_k", lambda *_, **__: pytest.fail("chosen again"))
    resumed = fit(Session([0]), resume=checkpoints.load())
    assert resumed.n_iter_ > began.n_iter_ and resumed.choice_ == began.choice_
    assert resumed.n_clusters_ == began.n_clusters_ == resumed.choice_["n_clusters"]


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = command("choose-k", *TINY, "--k", "2:6", "--out", "table.csv")
    assert (status, err) == (0, "")
    assert pd.read_csv("table.csv")["k"].tolist() == [2, 3, 4, 5, 6]
    assert "is the median of elbow" in out and "on 200 rows" in out
    assert command("choose-k", "--on", "input", "--limit", 200, "--k", "2:4", "--quiet")[0] == 0
    rate = "--pretraining.optimizer.name", "sgd", "--pretraining.optimizer.learning-rate", 1e20
    for words, message in (((*TINY, *rate), "lower the learning rate"),
                           (("--steps", 9), "does not use refinement.steps"), (("--k", "6:2"), "FIRST:LAST"),
                           (("--on", "input", "--hidden", 9), "does not use network.hidden"),
                           (("--out", "table.csv"), "exists"), (("--code-size", 2, 3), "one value of each")):
        status, _, err = command("choose-k", *words)
        assert status == 2 and message in err


def test_a_run_with_auto_says_the_number(tmp_path, monkeypatch, short):
    monkeypatch.chdir(tmp_path)
    status, _, err = command("train", "ae+kmeans", *TINY, "--n-clusters", "auto", "--out", "run")
    assert (status, err) == (0, "")
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert json.loads((tmp_path / "run/config.json").read_text())["n_clusters"] == "auto"
    assert metrics["n_clusters"] == metrics["choice"]["n_clusters"] == len(metrics["seeds"][0]["sizes"])
    assert metrics["choice"]["reason"].startswith("1 is what gap and bic say of elbow")  # in codes of three epochs
    assert metrics["choice"]["reason"].endswith("; a fit takes 2, the fewest") and metrics["n_clusters"] == 2
