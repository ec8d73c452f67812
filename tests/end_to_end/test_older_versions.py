"""Models and run folders that earlier versions wrote still give what they gave."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import dec
from dec.cli import main as cli

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A copy of the files of version 0.1.0, as the working directory: the runs name their table by a relative path."""
    shutil.copytree(FIXTURES / "version_0_1_0", tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    monkeypatch.setenv("DEC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "old"


def assert_same(found: Path, expected: Path) -> None:
    """Compare two CSV files: names and clusters are equal, numbers differ by rounding at most."""
    assert_frame_equal(pd.read_csv(found), pd.read_csv(expected), rtol=1e-3, atol=1e-4)


def history(run: Path) -> pd.DataFrame:
    lines = pd.read_json(run / "history.jsonl", lines=True)
    return lines.sort_values(["phase", "seed", "period"], ignore_index=True)


@pytest.mark.parametrize("spec", ["flowers.csv", "copy.csv"])
def test_a_run_predicts(old, spec):
    shutil.copy("flowers.csv", "copy.csv")
    assert cli.main(["predict", "finished", spec, "--out", "found.csv"]) == 0
    expected = pd.read_csv("finished/labels.csv")
    found = pd.read_csv("found.csv")
    assert found["cluster"].tolist() == expected["cluster"].tolist()
    assert found["name"].tolist() == expected["name"].tolist()
    np.testing.assert_allclose(found["confidence"], expected["confidence"], rtol=1e-3)


def test_a_saved_pipeline_predicts(old):
    model, table = dec.load("pipeline"), pd.read_csv("flowers.csv").drop(columns=["name", "kind"])
    expected = pd.read_csv("pipeline.csv")
    assert type(model[-1]) is dec.VADE
    assert model.predict(table).tolist() == expected["cluster"].tolist()
    np.testing.assert_allclose(model.score_samples(table), expected["score"], rtol=1e-3)
    dec.save(model, "again")
    assert dec.load("again").predict(table).tolist() == expected["cluster"].tolist()


def test_scores_and_report_of_a_run(old, capsys):
    assert cli.main(["evaluate", "finished"]) == 0
    assert "98.9 ± 0.0" in capsys.readouterr().out
    assert cli.main(["report", "finished", "--formats", "svg"]) == 0
    assert "Cluster 2" in Path("finished/report.html").read_text()


def test_an_unfinished_run_goes_on_to_the_same_end(old):
    assert cli.main(["train", "--resume", "unfinished", "--quiet"]) == 0
    assert_same(Path("unfinished/labels.csv"), Path("finished/labels.csv"))
    assert_frame_equal(history(Path("unfinished")), history(Path("finished")), rtol=1e-2, atol=1e-4)
    found, expected = (json.loads(Path(run, "config.json").read_text()) for run in ("unfinished", "finished"))
    assert found == expected


def test_an_unfinished_sweep_goes_on_to_the_same_table(old):
    assert cli.main(["train", "--resume", "sweep", "--quiet"]) == 0
    assert_same(Path("sweep/dec_alpha=2.0/labels.csv"), Path("sweep_labels.csv"))
    found, expected = (Path(name).read_text().splitlines()[:4] for name in ("sweep/table.md", "sweep.md"))
    scores = [[line.split("|")[1:7] for line in lines] for lines in (found, expected)]
    assert scores[0] == scores[1]


def test_a_network_starts_from_a_run(old):
    words = ["train", "ae+kmeans", "--data", "flowers.csv", "--id", "name", "--label", "kind", "--n-clusters", "3",
             "--hidden", "16,8", "--code-size", "2", "--pretraining.epochs", "0", "--warm-start", "finished", "--quiet"]
    assert cli.main([*words, "--out", "warm"]) == 0
    np.testing.assert_allclose(np.load("warm/embedding.npy"), np.load("finished/embedding.npy"), rtol=1e-3, atol=1e-3)
