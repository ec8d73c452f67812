"""A real process is killed or interrupted in the midst of a run; what goes on from its checkpoints ends the same."""

import contextlib
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dec.cli import main as cli
from dec.data.readers import load
from dec.training.checkpoint import Checkpoints

DEADLINE = 600  # seconds until a checkpoint, or the end of a process, counts as never coming
# Long by its many periods, not by its work: some twenty checkpoints in a few seconds. No cached network may stand in
# for one that has to be resumed.
OPTIONS = shlex.split("--hidden , --code-size 3 --limit 300 --n-clusters 4 --pretraining.epochs 400 --steps 800 "
                      "--refresh-every 2 --tolerance 0 --seeds 2 --no-cache --quiet")


def dec(*words):
    """The exit status, stdout and stderr of a command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main([str(word) for word in words])
    return status, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("resume")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEC_CACHE", str(folder / "cache"))
        patch.setenv("DEC_CHECKPOINT_SECONDS", "0")
        status, _, err = dec("train", "dec", *OPTIONS, "--out", folder / "whole")
        assert (status, err) == (0, "")
        assert not (folder / "whole/checkpoints").exists()
        yield folder / "whole"


@contextlib.contextmanager
def process(run: Path):
    """`python -m dec train dec` in a process of its own, with its own cache."""
    settings = {"DEC_CACHE": str(run.parent / "cache"), "DEC_CHECKPOINT_SECONDS": "0"}
    started = subprocess.Popen([sys.executable, "-m", "dec", "train", "dec", *OPTIONS, "--out", run],
                               env=os.environ | settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def reach(started: subprocess.Popen, run: Path, stage: str) -> None:
    """Wait until there are checkpoints of a stage."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        assert started.poll() is None, f"it ended too soon: {started.communicate()}"
        with contextlib.suppress(FileNotFoundError):  # dropped for a newer one between listing and reading
            newest = Checkpoints(run / "checkpoints").load()
            if newest and newest.stage == stage and newest.period > 1:
                return
        time.sleep(0.005)
    pytest.fail(f"no checkpoint of {stage} within {DEADLINE} s")


def same(run: Path, whole: Path) -> None:
    for name in ("labels.csv", "embedding.npy", "config.json"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    assert sorted((run / "history.jsonl").read_text().splitlines()) == sorted(
        (whole / "history.jsonl").read_text().splitlines())
    found, expected = (json.loads((folder / "metrics.json").read_text()) for folder in (run, whole))
    for ours, theirs in zip(found["seeds"], expected["seeds"], strict=True):
        assert ours == theirs
    assert not found["interrupted"]
    assert not (run / "checkpoints").exists()


@pytest.mark.parametrize("stage", ["pretrain", "cluster"])
def test_killed_and_resumed_ends_with_the_same_labels(stage, whole, tmp_path):
    run = tmp_path / "killed"
    with process(run) as started:
        reach(started, run, stage)
        started.kill()
        assert started.wait(DEADLINE) == -signal.SIGKILL
    assert not (run / "metrics.json").exists()
    assert Checkpoints(run / "checkpoints").load().stage == stage, "the run is too short for this test"
    assert 1 <= len(list((run / "checkpoints").glob("[0-9]*.npz"))) <= 3  # two kept, and one just written
    command = json.loads((run / "environment.json").read_text())["command"]
    assert command == " ".join(["dec train dec", *OPTIONS, "--out", str(run)])
    if stage == "cluster":
        damaged = shutil.copytree(run, tmp_path / "damaged")

    status, out, err = dec("train", "--resume", run, "--quiet")
    assert (status, err) == (0, "")
    assert "2/2 ok" in out
    same(run, whole)
    environment = json.loads((run / "environment.json").read_text())
    assert environment["command"] == command and environment["resumed"] >= environment["date"]
    assert environment["began_with"]["versions"] == environment["versions"]

    if stage == "cluster":
        *_, newest = sorted((damaged / "checkpoints").glob("[0-9]*.npz"))
        for file in (newest, damaged / "checkpoints" / "pretrained.npz"):
            file.write_bytes(file.read_bytes()[:1000])  # as a disk that was full might leave it
        with (pytest.warns(match=f"{newest.name} is damaged; going on from an earlier one"),
              pytest.warns(match=r"pretrained.npz is damaged.*will not show the codes before refinement")):
            assert dec("train", "--resume", damaged, "--quiet")[0] == 0
        same(damaged, whole)


def test_interrupted_leaves_a_usable_model_and_can_be_resumed(whole, tmp_path):
    run = tmp_path / "interrupted"
    with process(run) as started:
        reach(started, run, "cluster")
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=DEADLINE)
        assert started.returncode == 130, err
    assert f"Interrupted; go on with: dec train --resume {run}" in out
    assert "Stopping after this chunk" in err and "Traceback" not in err
    found = json.loads((run / "metrics.json").read_text())
    assert found["interrupted"]
    assert all(0 < row["steps"] < 800 and row["reason"].startswith("interrupted at step") for row in found["seeds"])

    np.save(tmp_path / "rows.npy", load("digits", 300).x)
    assert dec("predict", run, tmp_path / "rows.npy", "--out", tmp_path / "labels.csv")[0] == 0
    written = np.loadtxt(tmp_path / "labels.csv", delimiter=",", skiprows=1)
    assert (written[:, 1] == np.loadtxt(run / "labels.csv", delimiter=",", skiprows=1)[:, 1]).all()

    status, out, err = dec("train", "--resume", run, "--quiet")
    assert (status, err) == (0, "")
    same(run, whole)
