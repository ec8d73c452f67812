"""Run folders: what is in them, replaying, sweeps and tables that resume, and a model used again."""

import csv
import json
import shlex
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
from command_line import run as dec

from dec import config
from dec.cli import arguments as options
from dec.cli import start
from dec.data.readers import load
from dec.estimators.loading import load as load_model
from dec.runs import execute as runs
from dec.runs import prepare as prepared
from dec.runs.folder import RunFolder
from dec.runs.prepare import prepare
from dec.training.fitted_state import FittedState

TINY = shlex.split("--hidden 16 --code-size 3 --pretraining.epochs 3 --steps 20 --refresh-every 10 --tolerance 0 "
                   "--limit 300 --quiet")
KMEANS = shlex.split("--limit 60 --n-clusters 10 --restarts 2 --seeds 3 --quiet")  # compiled once for all tests


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def history(folder, phase):
    records = map(json.loads, (folder / "history.jsonl").read_text().splitlines())
    return sorted((record for record in records if record["phase"] == phase), key=lambda r: (r["seed"], r["period"]))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a cache of its own, so that what is reused is what these tests have trained."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEC_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def compared(place):
    """A finished table, and what was printed."""
    status, out, err = dec("compare", *TINY, "--seeds", 2, "--out", "compared")
    assert (status, err) == (0, "")
    return place / "compared", out


@pytest.fixture(scope="module")
def trained(compared, place):
    """A finished run of DEC whose pretrained networks came from the cache."""
    status, out, err = dec("train", "dec", *TINY, "--seeds", 2, "--out", "trained")
    assert (status, err) == (0, "")
    assert "2/2 ok" in out and "Saved in trained" in out
    return place / "trained"


# One run.


def test_the_shape_of_rows_reaches_networks_and_augmentation_that_ask_for_it():
    def shape(**model):
        return prepare(config.from_dict(config.Run, {"model": model})).run.model.network.shape

    assert shape(network={"layers": "conv"}) == shape(augmentation={"rotation": 5.0}) == (8, 8, 1)
    assert shape() == () and shape(network={"layers": "conv", "shape": [4, 16]}) == (4, 16)


def test_a_run_folder_holds_all_of_the_run(trained):
    names = {str(path.relative_to(trained)) for path in trained.rglob("*") if path.is_file()}
    model = {"model/config.json", "model/arrays.npz", "model/history.jsonl"}
    assert names == model | {"config.json", "environment.json", "history.jsonl", "metrics.json", "labels.csv",
                             "embedding.npy", "embedding_pretrained.npy"}

    run = config.from_dict(config.Run, json.loads((trained / "config.json").read_text()))
    assert (run.method, run.data, run.n_clusters, run.seeds, run.limit) == ("dec", "digits", 10, 2, 300)
    assert run.model.network.hidden == (16,)

    environment = json.loads((trained / "environment.json").read_text())
    assert {"jax", "flax", "optax", "numpy", "scikit-learn", "dec"} <= environment["versions"].keys()
    assert environment["data"]["digest"] == load("digits", 300).digest
    assert environment["data"]["shape"] == [300, 64]
    assert environment["command"].startswith("dec")

    phases = [(r["phase"], r["seed"], r["period"]) for name in ("pretrain", "cluster") for r in history(trained, name)]
    assert sorted(phases) == sorted((phase, seed, period) for phase, periods in (("pretrain", 3), ("cluster", 2))
                                    for seed in (0, 1) for period in range(periods))

    found = json.loads((trained / "metrics.json").read_text())
    assert (found["n"], found["n_clusters"], found["interrupted"]) == (300, 10, False)
    assert [row["seed"] for row in found["seeds"]] == [0, 1]
    assert found["kept_seed"] in (0, 1)
    for row in found["seeds"]:
        assert row["status"] == "ok" and sum(row["sizes"]) == 300 and 0 < row["acc"] < 1

    labels = rows(trained / "labels.csv")
    assert [int(row["row"]) for row in labels] == load("digits", 300).rows.tolist()  # of all 1797
    assert all(row["cluster"] == row[f"seed_{found['kept_seed']}"] for row in labels)
    assert all(0 < float(row["confidence"]) <= 1 for row in labels)
    assert np.load(trained / "embedding.npy", allow_pickle=False).shape == (300, 3)


def test_the_labels_are_those_the_metrics_are_of(trained):
    from dec.metrics import external

    y, labels = load("digits", 300).y, rows(trained / "labels.csv")
    for row in json.loads((trained / "metrics.json").read_text())["seeds"]:
        found = external(y, np.array([int(line[f"seed_{row['seed']}"]) for line in labels]))
        assert {name: row[name] for name in found} == pytest.approx(found)


def test_nothing_in_a_folder_is_pickled(trained):
    for path in (path for path in trained.rglob("*") if path.is_file()):
        assert path.suffix in {".json", ".jsonl", ".csv", ".npy", ".npz"}
        if path.suffix == ".npz":
            assert all(name.endswith(".npy") for name in zipfile.ZipFile(path).namelist())
            with np.load(path, allow_pickle=False) as arrays:
                assert all(arrays[name].dtype != object for name in arrays.files)


def test_config_replays_a_run_to_identical_labels(trained, place):
    status, _, _ = dec("train", "--config", trained / "config.json", "--out", "replayed", "--no-cache", "--quiet")
    assert status == 0
    assert json.loads((place / "replayed/metrics.json").read_text())["reused"] == 0
    for name in ("labels.csv", "config.json", "embedding.npy"):
        assert (place / "replayed" / name).read_bytes() == (trained / name).read_bytes(), name


def test_a_finished_run_is_not_run_again(trained):
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    status, out, err = dec("train", "--resume", trained)
    assert status == 0
    assert "is finished; nothing to resume" in err
    assert "2/2 ok" in out
    assert before == {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}


def test_folders_that_name_themselves_do_not_collide(place, monkeypatch):
    class Frozen(start.datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2020, 1, 1, tzinfo=tz)

    monkeypatch.setattr(start.datetime, "datetime", Frozen)
    monkeypatch.setattr(prepared, "check", lambda cells: None)
    args = start.argparse.Namespace(out=None, force=False)
    made = [start.begin(args, "dec", {"dec": config.Run(data="some/where/x.npy")}) for _ in range(2)]
    assert made[0] != made[1]
    assert made[0].path.parts == ("runs", "x.npy-dec-20200101-000000")


# Use of a run.


def test_evaluate_prints_the_table_again(trained, compared):
    assert dec("evaluate", trained)[:2] == (0, runs.show(RunFolder(trained).results()) + "\n")
    folder, printed = compared
    status, out, _ = dec("evaluate", folder)
    assert status == 0
    assert out.strip() in printed


def test_evaluate_on_other_data(trained):
    status, out, _ = dec("evaluate", trained, "--data", "digits")
    found = json.loads(out)
    assert status == 0
    assert (found["n"], sum(found["sizes"])) == (1797, 1797)
    assert 0 < found["acc"] < 1


def test_predict_on_the_training_rows_gives_their_labels(trained, place):
    np.save(place / "rows.npy", load("digits", 300).x)
    status, out, _ = dec("predict", trained, "rows.npy", "--out", "new/folder/labels.csv")
    assert status == 0 and "300 rows in new/folder/labels.csv" in out
    columns = ("cluster", "confidence", "anomaly")
    old, new = rows(trained / "labels.csv"), rows(place / "new/folder/labels.csv")
    assert [[row[c] for c in columns] for row in new] == [[row[c] for c in columns] for row in old]


def test_labels_take_one_pass_over_the_rows(trained, place, monkeypatch):
    """And in it they are what the estimator gives: its labels, probabilities and scores."""
    passes, over_rows = [], FittedState.over_rows
    monkeypatch.setattr(FittedState, "over_rows", lambda *args, **rest: passes.append(args) or over_rows(*args, **rest))
    assert dec("predict", trained, "digits", "--out", "once.csv")[0] == 0
    assert len(passes) == 1
    found, model, x = pd.read_csv(place / "once.csv"), load_model(trained), load("digits").x.reshape(1797, -1)
    np.testing.assert_array_equal(found["cluster"], model.predict(x))
    np.testing.assert_allclose(found["confidence"], model.predict_proba(x).max(axis=1), atol=1e-6)
    np.testing.assert_allclose(found["anomaly"], -model.score_samples(x), atol=1e-4)


def test_report(trained, compared):
    status, out, _ = dec("report", compared[0], "--formats", "svg")
    text = (compared[0] / "report.html").read_text()
    assert (status, out.strip()) == (0, str(compared[0] / "report.html"))
    assert "4 methods on digits" in text and "Paired differences" in text
    status, out, _ = dec("report", trained, "--formats", "svg", "--map", "pca")
    text = (trained / "report.html").read_text()
    assert (status, out.strip()) == (0, str(trained / "report.html"))
    for section in ("Scores", "Clusters", "Map of the codes", "Training", "Clusters and classes", "Reconstruction"):
        assert f"{section}</h2>" in text
    assert (trained / "figures/refinement.svg").is_file()


def test_a_model_is_asked_of_a_run_not_of_a_table(compared):
    status, _, err = dec("predict", compared[0], "digits", "--out", "never.csv")
    assert status == 2
    assert "is a table; name one of its runs" in err and "compared/idec" in err


# Tables.


def test_compare_shares_pretraining(compared):
    folder, printed = compared
    methods = ("ae+kmeans", "dec", "idec")
    first, *others = [history(folder / name, "pretrain") for name in methods]
    assert len(first) == 6
    assert all(other == first for other in others)
    reused = [json.loads((folder / name / "metrics.json").read_text())["reused"] for name in methods]
    assert reused == [0, 2, 2]
    assert history(folder / "kmeans", "pretrain") == []
    assert [line.split("|")[1].strip() for line in printed.splitlines()[2:6]] == ["kmeans", *methods]
    assert (folder / "table.md").read_text().strip() in printed


def test_codes_of_the_shared_network_are_the_start(compared):
    """DEC's first refresh sees what k-means on the codes of the same seed ended with: methods are paired."""
    folder = compared[0]
    assert all(record["change"] == 0 for record in history(folder / "dec", "cluster") if record["period"] == 0)


def test_progress_is_on_stderr(compared):
    status, out, err = dec("train", "ae+kmeans", *TINY[:-1], "--seeds", 2, "--no-cache", "--out", "loud")
    assert status == 0
    assert "ae+kmeans: pretrain: 3/3  loss" in err and "pretrain:" not in out
    assert "a pretrained network was reused" not in out


def test_a_sweep_is_one_resumable_table(compared, place):
    words = ["train", "idec", *TINY, "--sweep", "gamma=0.01,0.1", "--sweep", "refresh-every=10,20", "--seeds", 2,
             "--steps", 0, "--out", "swept"]  # no steps: what is tried is the table, and steps have to be compiled
    status, out, err = dec(*words)
    assert (status, err) == (0, "")
    names = [f"idec gamma={gamma} refresh_every={every}" for gamma in ("0.01", "0.1") for every in (10, 20)]
    assert [line.split("|")[1].strip() for line in out.splitlines()[2:6]] == names
    folders = {name: place / "swept" / name.replace(" ", "_") for name in names}
    for name, folder in folders.items():
        run = config.from_dict(config.Run, json.loads((folder / "config.json").read_text()))
        assert name == f"idec gamma={run.options['gamma']} refresh_every={run.model.refinement.refresh_every}"

    lost = folders[names[2]]
    before = {path: path.read_bytes() for path in (place / "swept").rglob("*.*") if path.is_file()}
    stamps = {path: path.stat().st_mtime_ns for path in before}
    (lost / "metrics.json").unlink()
    status, again, err = dec("train", "--resume", "swept", "--quiet")
    assert (status, err) == (0, "")
    assert again.count("2/2 ok") == 4
    assert (lost / "labels.csv").read_bytes() == before[lost / "labels.csv"]
    redone = {path for path in before if path.stat().st_mtime_ns != stamps[path] and path.parent != place / "swept"}
    assert redone and all(path.is_relative_to(lost) for path in redone)


def test_a_table_whose_cell_failed_says_so(place, monkeypatch):
    """A diverged seed is a failed seed: no score, and the others are averaged without it."""
    fit = runs.DeepClustering.fit_session

    def poisoned(self, X, session, **rest):
        fitted = fit(self, X, session, **rest)
        self.runs_.loc[1, ["status", "reason"]] = ["failed", "the loss became NaN"]
        return fitted

    monkeypatch.setattr(runs.DeepClustering, "fit_session", poisoned)
    status, out, _ = dec("train", "kmeans", *KMEANS, "--out", "failed")
    assert status == 0
    seeds = json.loads((place / "failed/metrics.json").read_text())["seeds"]
    assert "acc" not in seeds[1]
    mean = 100 * (seeds[0]["acc"] + seeds[2]["acc"]) / 2
    assert "2/3 ok" in out and f"{mean:.1f} ±" in out
    assert "kmeans, seed 1: failed, the loss became NaN" in out


def test_a_run_of_which_every_seed_failed_is_recorded(place, monkeypatch):
    fit = runs.DeepClustering.fit_session

    def diverged(self, X, session, **rest):
        fit(self, X, session, **rest)
        self.runs_["status"] = "failed"
        del self.fit_
        raise FloatingPointError("All 3 seeds failed: the loss became NaN")

    monkeypatch.setattr(runs.DeepClustering, "fit_session", diverged)
    status, out, err = dec("train", "kmeans", *KMEANS, "--out", "diverged")
    assert (status, err) == (1, "All 3 seeds failed: the loss became NaN\n")
    assert "0/3 ok" in out and "ACC" not in out
    assert json.loads((place / "diverged/metrics.json").read_text())["kept_seed"] is None
    assert not (place / "diverged/model").exists()


def test_unlabelled_data_give_a_table_without_accuracy(place):
    np.save(place / "plain.npy", load("digits", 60).x)
    status, out, _ = dec("train", "kmeans", *KMEANS, "--data", "plain.npy", "--out", "plain")
    assert status == 0
    assert "ACC" not in out and "agreement" in out and "silhouette" in out
    status, out, _ = dec("evaluate", "plain", "--data", "plain.npy")
    found = json.loads(out)
    assert "acc" not in found and found["labels"].startswith("plain.npy does not have one for every row, so there are")


def test_sweep_names_and_settings():
    base = config.Run(method="idec", options={"alpha": 2.0})
    both = {"model.pretraining.optimizer.learning_rate": [0.1, 0.2], "model.refinement.optimizer.learning_rate": [0.3,
            0.4], "options.gamma": [0.5], "model.network.hidden": [(8, 4)]}
    cells = options.sweep(base, both)
    assert len(cells) == 4
    name = "idec model.pretraining.optimizer.learning_rate=0.2 model.refinement.optimizer.learning_rate=0.3"
    run = cells[name]
    assert (run.model.pretraining.optimizer.learning_rate, run.model.refinement.optimizer.learning_rate) == (0.2, 0.3)
    assert run.options == {"alpha": 2.0, "gamma": 0.5}
    assert run.model.network.hidden == (8, 4)
    assert list(options.sweep(base, {})) == ["idec"]
    assert list(options.sweep(base, {"limit": [None, 5]})) == ["idec limit=None", "idec limit=5"]


# Folders are kept.


def test_what_is_no_run_folder_is_never_deleted(trained, place):
    def make(name, **files):
        (place / name).mkdir()
        for file, text in files.items():
            (place / name / file.replace("_", ".")).write_text(text)
        return name

    shutil.copytree(trained / "model", place / "saved-model")
    mine = [make("notes", notes_txt="mine"), make("project", config_json='{"name": "project"}'),
            make("empty-config", config_json="{}"), make("list", config_json="[]"), make("broken", config_json="{"),
            make("plans", plan_json='{"cells": 3}'), "saved-model"]
    for name in mine:
        before = {path.name: path.read_bytes() for path in (place / name).iterdir()}
        status, _, err = dec("train", "kmeans", "--limit", 60, "--out", name, "--force", "--quiet")
        assert (status, err) == (2, f"dec: --out {name} exists and is not a run folder; choose another\n")
        assert before == {path.name: path.read_bytes() for path in (place / name).iterdir()}


def test_a_run_is_replaced_only_by_force_and_only_by_one_that_can_begin(place):
    words = ["train", "kmeans", *KMEANS, "--out", "kept"]
    assert dec(*words)[0] == 0
    (place / "kept/old").write_text("of the old run")
    status, _, err = dec(*words)
    assert status == 2
    assert err == ("dec: --out kept holds a run; go on with it by --resume kept, replace it by --force, or choose "
                   "another\n")
    for wrong in (["--data", "nowhere.npy"], ["--n-clusters", 61], ["--pretraining.optimizer.name", "none"],
                  ["--activation", "none"], ["--pretraining.optimizer.momentum", 0.5]):
        status, _, err = dec(*words, "--force", *wrong)
        assert status == 2, err
        assert (place / "kept/old").exists(), wrong
    assert dec(*words, "--force")[0] == 0
    assert not (place / "kept/old").exists()


def test_nothing_is_left_behind_by_what_cannot_begin(place):
    assert dec("train", "kmeans", "--data", "nowhere.npy", "--out", "unborn")[0] == 2
    assert dec("compare", "--data", "digits", "--limit", 5, "--out", "unborn")[0] == 2
    assert not (place / "unborn").exists()


# Damage.


@pytest.mark.parametrize("file, text, command", [
    ("metrics.json", "{", "evaluate {}"),
    ("metrics.json", "[]", "evaluate {}"),
    ("metrics.json", '{"seeds": []}', "evaluate {}"),
    ("metrics.json", "", "report {}"),
    ("config.json", '{"method": "dec", ', "train --resume {}"),
    ("config.json", '{"metod": "dec"}', "train --resume {}"),
    ("config.json", '{"seeds": "two"}', "train --config {}/config.json --out elsewhere"),
    ("config.json", "[1]", "train --config {}/config.json --out elsewhere"),
    ("model/config.json", "{", "predict {} digits --out never.csv"),
    ("model/arrays.npz", "PK", "predict {} digits --out never.csv"),
    ("environment.json", "", "report {}"),
])
def test_a_damaged_file_is_named(trained, tmp_path, file, text, command):
    folder = tmp_path / "damaged"
    shutil.copytree(trained, folder)
    (folder / file).write_text(text)
    status, out, err = dec(*(word.format(folder) for word in command.split()))
    assert (status, out) == (2, ""), err
    assert err.startswith("dec: ") and err.count("\n") == 1
    assert str(folder / file) in err


def test_a_table_with_a_damaged_plan(compared, tmp_path):
    for text in ("{", "[]", '{"cells": []}', '{"cells": {"dec": {"metod": 1}}}'):
        (tmp_path / "plan.json").write_text(text)
        for command in ("evaluate", "report"):
            status, _, err = dec(command, tmp_path)
            assert status == 2 and err.count("\n") == 1, err


def test_a_run_that_has_not_ended_says_how_to_go_on(trained, tmp_path):
    shutil.copy(trained / "config.json", tmp_path)
    for command in ("evaluate", "report"):
        status, _, err = dec(command, tmp_path)
        assert status == 2
        assert f"has no finished run yet; go on with: dec train --resume {tmp_path}" in err


@pytest.mark.parametrize("option", ["--data", "--pretrain-on"])
def test_other_data_under_the_same_name_are_not_gone_on_with(trained, tmp_path, monkeypatch, option):
    np.save(tmp_path / "x.npy", load("digits", 60).x)
    words = ["train", "kmeans", *KMEANS, option, tmp_path / "x.npy"]
    assert dec(*words, "--out", tmp_path / "run")[0] == 0
    (tmp_path / "run/metrics.json").unlink()
    np.save(tmp_path / "x.npy", 1 + load("digits", 60).x)
    status, _, err = dec("train", "--resume", tmp_path / "run")
    assert status == 2
    assert f"{tmp_path / 'x.npy'} is not the data that" in err
