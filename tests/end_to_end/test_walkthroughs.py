"""Short versions of the walk-throughs on real data: the phones table and the film reviews."""

import json
import os

import pandas as pd
import pytest
from command_line import run

pytestmark = pytest.mark.data


def train(tmp_path, monkeypatch, data, *words):
    if not os.path.isdir(os.path.join(os.environ.get("DEC_DATA", ""), data)):
        pytest.skip(f"{data} is not under DEC_DATA={os.environ.get('DEC_DATA')!r}")
    monkeypatch.setenv("DEC_CACHE", str(tmp_path / "cache"))
    status, _, err = run("train", *words, "--quiet", "--out", tmp_path / "run")
    assert status == 0, err
    history = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    labels = pd.read_csv(tmp_path / "run" / "labels.csv")
    return labels, [record for record in history if record["phase"] == "pretrain"]


@pytest.mark.parametrize("preset", ["phones", pytest.param("phones-mixed", marks=pytest.mark.slow)])
def test_phones(tmp_path, monkeypatch, preset):
    labels, history = train(tmp_path, monkeypatch, "phones", "ae+kmeans", "--preset", preset, "--pretraining.epochs",
                            "40", "--restarts", "2")
    assert len(labels) == 717 and labels["asin"].is_unique and labels["cluster"].nunique() <= 8
    assert {"loss", "validation_loss", "accuracy", "validation_accuracy"} <= history[0].keys()
    assert history[-1]["loss"] < history[0]["loss"]
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["data"]["shape"] == [717, 729]  # four numbers, 10 brands, 715 titles
    assert "dropped 3 of 720 rows: missing brand (3)" in environment["data"]["source"]


@pytest.mark.slow
def test_imdb(tmp_path, monkeypatch):
    labels, history = train(tmp_path, monkeypatch, "imdb", "ae+kmeans", "--preset", "imdb", "--limit", "400",
                            "--vocabulary", "300", "--hidden", "32", "--pretraining.epochs", "3", "--restarts", "2")
    assert len(labels) == 400 and labels["cluster"].nunique() == 2
    assert history[-1]["validation_loss"] < history[0]["validation_loss"]
