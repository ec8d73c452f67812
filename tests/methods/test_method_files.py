"""A method in a file is run only where the user passes the file, and only if it is the one that a run was made with."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import run as dec_command

import dec
from dec import user_code

CODE = '''
from pathlib import Path
import jax
from dec.methods.base import Head, Method
from dec.shallow.distances import squared_distances
from dec.shallow.kmeans import kmeans

Path(__file__).with_name("was-run").touch()
SIGN = -1

def mine() -> Method:
    """Nearest centers."""
    def init(key, net, view, k):
        return Head(params=kmeans(key, view.encode(net), view.weight, k).centers)
    def assign(head, codes):
        return jax.nn.log_softmax(SIGN * squared_distances(codes, head.params))
    return Method(init, assign)
'''
TINY = ["--data", "digits", "--limit", "100", "--hidden", "8", "--code-size", "2", "--epochs", "1", "--n-clusters", "3",
        "--quiet", "--no-cache"]


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A folder with a run of a method's file, in a process that nobody passed the file to."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(user_code, "_PASSED", set())
    Path("mine.py").write_text(CODE)
    status, _, err = dec_command("train", "--method-file", "mine.py", *TINY, "--out", "run")
    assert (status, err) == (0, "") and Path("was-run").exists()
    user_code._PASSED.clear()
    user_code._functions.cache_clear()
    Path("was-run").unlink()
    return tmp_path


@pytest.mark.parametrize("words", [
    "predict run digits --out new.csv", "evaluate run --data digits", "report run", "train --resume run",
    "train --config run/config.json --out other", "describe dec --config run/config.json",
    "train ae+kmeans --data digits --limit 100 --hidden 8 --code-size 2 --n-clusters 3 --warm-start run --out w",
    "select run", "evaluate run", "choose-k --config run/config.json --k 1:3 --quiet --no-cache",
])
def test_no_command_runs_a_file_that_only_a_run_names(made, words):
    if "--resume" in words:
        Path("run/metrics.json").unlink()
    status, _, err = dec_command(*words.split())
    assert not Path("was-run").exists()
    if words.startswith(("predict", "evaluate run --data", "report", "train --")):
        assert status == 2
        assert "is not run; if you trust it, pass it: --method-file" in err and "mine.py" in err
    else:
        assert status == 0, err


def test_loading_in_python_runs_nothing_that_was_not_passed(made):
    code = "import dec, sys; sys.path.insert(0, '.'); dec.load('run')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "is not run; if you trust it" in done.stderr
    assert not Path("was-run").exists()
    before = np.loadtxt("run/labels.csv", delimiter=",", skiprows=1, usecols=1)
    model = dec.load("run", method="mine.py")
    assert Path("was-run").exists() and model.labels_.tolist() == before.tolist()


def test_a_passed_file_is_run_wherever_it_lies_now(made):
    Path("elsewhere").mkdir()
    shutil.move("mine.py", "elsewhere/mine.py")
    for words in ("predict run digits --out new.csv", "evaluate run --data digits", "report run --formats svg"):
        status, _, err = dec_command(*words.split(), "--method-file", "elsewhere/mine.py")
        assert (status, err) == (0, ""), words
    Path("run/metrics.json").unlink()
    assert dec_command("train", "--resume", "run", "--method-file", "elsewhere/mine.py", "--quiet")[0] == 0


def test_a_changed_file_is_refused(made):
    Path("mine.py").write_text(CODE.replace("SIGN = -1", "SIGN = 1"))
    for words in (["predict", "run", "digits", "--out", "new.csv"], ["train", "--resume", "run", "--quiet"]):
        if "--resume" in words:
            Path("run/metrics.json").unlink()
        status, _, err = dec_command(*words, "--method-file", "mine.py")
        assert status == 2 and "mine.py has changed since run" in err and "restore the file, or train again" in err


def test_a_model_without_a_digest_says_that_it_cannot_compare(made):
    about = json.loads(Path("run/model/config.json").read_text())
    del about["method_digest"]
    Path("run/model/config.json").write_text(json.dumps(about))
    with pytest.warns(UserWarning, match="has no digest of "):
        dec.load("run", method="mine.py")


def test_a_file_is_refused_for_a_registered_method(made):
    assert dec_command("train", "kmeans", *TINY, "--out", "plain")[0] == 0
    with pytest.raises(ValueError, match="was fitted with kmeans, which is no method of your own"):
        dec.load("plain", method="mine.py")
