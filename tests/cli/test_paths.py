"""Paths: `~` is the home folder in every option and argument, and no file of the user is replaced unasked."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import run

import dec
from dec.paths import as_path, expanded

MINE = "precious\n"
TINY = ("--n-clusters", 3, "--hidden", 4, "--code-size", 2, "--pretraining.epochs", 1, "--quiet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A home folder with a table, an array and a run on each; the working directory is another, empty folder."""
    place = tmp_path_factory.mktemp("paths")
    (place / "home").mkdir()
    (place / "here").mkdir()
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    np.save(place / "home/x.npy", x)
    np.savetxt(place / "home/a.csv", x, delimiter=",", header="x,y,z", comments="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(place / "home"))
        patch.chdir(place / "here")
        run("train", "kmeans", "--data=~/a.csv", "--n-clusters", 3, "--quiet", "--out=~/run")
        run("train", "ae+kmeans", "--data=~/x.npy", *TINY, "--out=~/coded")
    return place


@pytest.fixture
def home(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.chdir(folder / "here")
    yield folder / "home"
    assert not list((folder / "here").iterdir())  # all that was written went to the home folder


def test_a_tilde_is_the_home_folder_and_nothing_else_changes(home):
    assert expanded("~/x") == f"{home}/x" and as_path("~/x") == as_path(Path("~/x")) == home / "x"
    for text in ("digits", "mnist:test", "./digits", "a/~/b", "~nobody-of-that-name/x"):
        assert expanded(text) == text
    for text in ("./~/x", "~nobody-of-that-name/x"):  # pandas would expand the first of these once more
        assert as_path(text) == Path.cwd() / text and as_path(as_path(text)) == as_path(text)


@pytest.mark.parametrize("name", ["run", "coded"])
def test_a_run_is_whole_and_in_one_place(home, name):
    assert {"config.json", "metrics.json", "labels.csv", "model"} <= {path.name for path in (home / name).iterdir()}
    status, _, err = run("train", "kmeans", "--data=~/a.csv", "--n-clusters", 3, f"--out=~/{name}")
    assert status == 2 and f"--out {home}/{name} holds a run" in err
    status, _, err = run("train", "kmeans", "--data=~/a.csv", "--n-clusters", 3, "--out=~/", "--force")
    assert status == 2 and f"--out {home} would replace {home}/a.csv" in err and (home / "a.csv").is_file()


def test_the_options_of_train_and_compare_that_are_paths(home):
    words = "--data=~/x.npy", "--pretrain-on=~/x.npy", "--warm-start=~/coded"
    assert run("train", "ae+kmeans", *TINY, *words, "--out=~/warm")[::2] == (0, "")
    found = json.loads((home / "warm/config.json").read_text())
    assert found["data"] == found["pretrain_on"] == f"{home}/x.npy"
    assert found["model"]["pretraining"]["warm_start"] == f"{home}/coded"
    for name in ("x.npy", "coded/config.json"):  # what a run needs is not replaced by it
        inside = run("train", "--config=~/warm/config.json", f"--out={(home / name).parent}", "--force")
        assert inside[0] == 2 and (home / name).is_file()

    assert run("train", "--config=~/run/config.json", "--out=~/again", "--quiet")[::2] == (0, "")
    (home / "again/metrics.json").unlink()
    (home / "again/labels.csv").unlink()
    assert run("train", "--resume=~/again", "--quiet")[::2] == (0, "")
    assert (home / "again/labels.csv").read_bytes() == (home / "run/labels.csv").read_bytes()


METHOD = """from dec.methods import base
from dec.methods.baselines import BASELINES


def own() -> base.Method:
    return BASELINES["kmeans"]()
"""


def test_methods_in_files(home):
    (home / "own.py").write_text(METHOD)
    words = "--data=~/a.csv", "--n-clusters", 3, "--quiet", "--seeds", 1
    assert run("train", "--method-file=~/own.py", *words, "--out=~/own")[::2] == (0, "")
    assert run("compare", "--methods=~/own.py", *words, "--out=~/compared")[::2] == (0, "")
    assert run("describe", "~/own.py", "--data=~/a.csv", "--n-clusters", 3)[::2] == (0, "")
    (home / "own/own.py").write_text(METHOD)
    status, _, err = run("train", "--method-file=~/own/own.py", *words, "--out=~/own", "--force")
    assert status == 2 and f"would replace {home}/own/own.py" in err


def test_the_arguments_of_other_commands(home, monkeypatch):
    assert run("evaluate", "~/run", "--data=~/a.csv")[::2] == (0, "")
    assert run("data", "inspect", "~/a.csv")[::2] == (0, "")
    assert run("select", "~/run")[::2] == (0, "")
    assert run("report", "~/run", "--formats", "svg", "--map", "pca", "--colour=~/run")[::2] == (0, "")
    monkeypatch.setenv("DEC_DATA", "~/sets")
    assert f"{home}/from" in run("data", "prepare", "usps", "--from=~/from")[2]


WRITERS = {  # every command that writes a file that the user names
    "predict ~/run ~/a.csv": "labels.csv",
    "crosstab ~/run ~/run": "counts.csv",
    "choose-k --on input --k 1:4 --quiet --data ~/a.csv": "choice.csv",
    "describe kmeans --n-clusters 3 --data ~/a.csv": "way.svg",
}


@pytest.mark.parametrize("line", WRITERS)
def test_a_file_is_replaced_by_force_alone_and_the_refusal_comes_first(home, line, monkeypatch):
    out = home / WRITERS[line]
    out.write_text(MINE)
    with monkeypatch.context() as patch:
        for name in ("dec.runs.predict.load", "dec.runs.prepare.load", "dec.runs.crosstab.crosstab"):
            patch.setattr(name, lambda *_, **__: pytest.fail("computed before the check"))
        status, told, err = run(*line.split(), f"--out=~/{out.name}")
    assert (status, told) == (2, "") and f"--out {out} exists; replace it by --force" in err
    assert out.read_text() == MINE
    assert run(*line.split(), f"--out=~/{out.name}", "--force")[::2] == (0, "")
    assert out.read_text() != MINE and out.stat().st_size > 20
    out.unlink()
    out.mkdir()
    status, told, err = run(*line.split(), f"--out=~/{out.name}", "--force")
    assert (status, told) == (2, "") and f"--out {out} is a folder" in err
    out.rmdir()


def test_paths_in_python(home, blobs):
    model = dec.load("~/coded")
    dec.save(model, "~/saved")
    assert (home / "saved/arrays.npz").is_file() and dec.load(str(home / "saved")).n_clusters == 3
    assert len(dec.load_data("~/x.npy")) == 60
    parts = {"network": dec.Network(hidden=(4,), code_size=2), "random_state": 0}
    once = dec.Pretraining(epochs=1, warm_start="~/saved")
    assert once.warm_start == f"{home}/saved"
    x = np.load(home / "x.npy")
    dec.DeepClustering(3, method="ae+kmeans", cache="~/cache", pretraining=dec.Pretraining(epochs=1), **parts).fit(x)
    assert list((home / "cache").iterdir())
    np.save(home / "steps.npy", x)
    assert dec.SequenceWindows().fit_transform(["~/steps.npy"]).shape[0] == 1
