"""Many devices and many processes give what one device gives. Each case is a process of its own: devices are forced."""

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from dec.cli.arguments import mesh_axes
from dec.cli.main import main
from dec.training import mesh

STARTED: list[subprocess.Popen] = []
FILE = Path(tempfile.gettempdir()) / f"dec-blobs-{os.getpid()}.npz"
SETTINGS = ["--data", str(FILE), "--epochs", "2", "--steps", "20", "--refresh-every", "10", "--hidden", "16",
            "--code-size", "3", "--batch-size", "64", "--seeds", "2", "--tolerance", "0", "--no-cache",
            "--stream-above", "2"]

WAIT = 600  # seconds after which a process counts as hanging, however slow the machine


@pytest.fixture(scope="module", autouse=True)
def well_separated(blobs):
    np.savez(FILE, X=blobs[0], y=blobs[1])
    yield
    FILE.unlink()
    for process in STARTED:  # those of a test that failed
        process.kill()


def started(devices, *args, **variables):
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags,
                                "DEC_CHECKPOINT_SECONDS": "1"} | variables
    STARTED.append(subprocess.Popen([sys.executable, "-m", "dec", *map(str, args)], env=environment, text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    return STARTED[-1]


def trained(folder, devices=1, *options, method="dec"):
    process = started(devices, "train", method, *SETTINGS, "--out", folder, *options)
    _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 0, err
    return losses(folder)


def losses(folder):
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return {(line["phase"], line["seed"], line["period"]): line["loss"] for line in lines}


def same(folder, one):
    """The losses of the first 20 steps, and of each seed the clusters."""
    found, (expected, alone) = losses(folder), one
    assert found.keys() == expected.keys() and len(found) == 8
    np.testing.assert_allclose(list(found.values()), [expected[at] for at in found], rtol=1e-5)
    ours, theirs = (pd.read_csv(run / "labels.csv") for run in (folder, alone))
    for seed in ("seed_0", "seed_1"):
        assert adjusted_rand_score(ours[seed], theirs[seed]) >= 0.99
        assert theirs[seed].nunique() == 4


def port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The run on one device."""
    folder = tmp_path_factory.mktemp("one") / "run"
    return trained(folder), folder


def test_four_devices_of_two_processes_give_the_losses_of_one(tmp_path, one):
    at = ["--coordinator", f"localhost:{port()}", "--num-processes", 2, "--mesh", "seeds=2,data=2"]
    command = ["compare", "--methods", "kmeans", "dec", *SETTINGS, "--out", tmp_path / "run", *at]
    both = [started(2, *command, "--process-id", i) for i in (1, 0)]
    other, first = [process.communicate(timeout=WAIT) for process in both]
    assert [process.returncode for process in both] == [0, 0], first[1] + other[1]
    same(tmp_path / "run" / "dec", one)
    assert (tmp_path / "run" / "report.html").is_file() and (tmp_path / "run" / "kmeans" / "embedding.npy").is_file()
    assert "| dec " not in other[0] and "| dec " in first[0]  # the first one speaks and writes


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "axes", "batch"), [(4, "seeds=2,data=2", 64), (3, "data=3", 66)])
def test_several_devices_give_the_losses_of_one(tmp_path, one, devices, axes, batch):
    options = ["--batch-size", batch]
    if batch != 64:
        one = trained(tmp_path / "one", 1, *options), tmp_path / "one"
    trained(tmp_path / "run", devices, "--mesh", axes, *options)
    same(tmp_path / "run", one)


@pytest.mark.slow
def test_seeds_that_the_cache_lacks_need_not_divide_evenly(tmp_path):
    options = [word for word in SETTINGS if word != "--no-cache"]
    for devices, words in ((1, ["--seeds", 1]), (2, ["--mesh", "seeds=2"])):
        process = started(devices, "train", "dec", *options, "--out", tmp_path / f"{devices}", *words,
                          DEC_CACHE=str(tmp_path / "cache"))
        _, err = process.communicate(timeout=WAIT)
        assert process.returncode == 0, err
    alone, two = losses(tmp_path / "1"), losses(tmp_path / "2")
    assert len(two) == 2 * len(alone) == 8
    np.testing.assert_allclose([two[at] for at in alone], list(alone.values()), rtol=1e-5)


@pytest.mark.slow
def test_nothing_is_streamed_on_a_mesh(tmp_path):
    process = started(2, "train", "dec", *SETTINGS, "--mesh", "seeds=2", "--stream-above", 0, "--out", tmp_path / "run")
    _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 2 and "stream_above=0.0, but on a mesh no rows are streamed" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["kmeans", "ae+gmm", "idec", "dcn", "vade", "desom"])
def test_any_method_runs_on_a_mesh(tmp_path, method):
    alone = trained(tmp_path / "alone", method=method)
    found = trained(tmp_path / "run", 4, "--mesh", "seeds=2,data=2", method=method)
    np.testing.assert_allclose([found[at] for at in alone], list(alone.values()), rtol=1e-4)


@pytest.mark.slow
def test_a_lost_process_ends_the_job_and_it_goes_on_with_another_number(tmp_path):
    folder, at = tmp_path / "run", ["--coordinator", f"localhost:{port()}", "--num-processes", 2]
    long = ["200000" if word == "20" else word for word in SETTINGS]
    both = [started(1, "train", "dec", *long, "--out", folder, *at, "--process-id", i) for i in (0, 1)]
    wait_for(lambda: ("cluster", 0, 50) in losses(folder) and list(folder.glob("checkpoints/*.npz")))
    both[1].kill()
    _, err = both[0].communicate(timeout=WAIT)
    assert both[0].returncode != 0 and "process 0 of 2 ends, since it failed or lost another; go on by" in err
    before = len(losses(folder))
    process = started(2, "train", "--resume", folder, "--mesh", "data=2")
    wait_for(lambda: len(losses(folder)) > before)
    process.kill()


@pytest.mark.slow
def test_ctrl_c_in_one_process_stops_all_of_them_and_the_run_goes_on(tmp_path):
    folder, at = tmp_path / "run", ["--coordinator", f"localhost:{port()}", "--num-processes", 2]
    long = ["200000" if word == "20" else word for word in SETTINGS]
    both = [started(1, "train", "dec", *long, "--out", folder, *at, "--process-id", i) for i in (0, 1)]
    wait_for(lambda: ("cluster", 0, 50) in losses(folder))
    both[1].send_signal(signal.SIGINT)
    first, other = [process.communicate(timeout=WAIT) for process in both]
    assert [process.returncode for process in both] == [130, 130], first[1] + other[1]
    assert "Stopping after this chunk" in other[1] and "go on with: dec train --resume" in first[0]
    assert json.loads((folder / "metrics.json").read_text())["interrupted"]
    before = len(losses(folder))
    process = started(1, "train", "--resume", folder)
    wait_for(lambda: len(losses(folder)) > before)
    process.kill()


@pytest.mark.slow
def test_a_process_that_fails_ends_the_job(tmp_path):
    at = ["--coordinator", f"localhost:{port()}", "--num-processes", 2, "--out", tmp_path / "run"]
    both = [started(1, "train", "dec", *SETTINGS, *at, "--process-id", i, **wrong) for i, wrong in (
        (0, {}), (1, {"DEC_CHECKPOINT_SECONDS": "oops"}))]
    _, err = both[1].communicate(timeout=WAIT)
    assert both[1].returncode == 2 and "'oops'" in err and "process 1 of 2 ends" in err
    _, err = both[0].communicate(timeout=WAIT)
    assert both[0].returncode != 0 and "process 0 of 2 ends" in err


def wait_for(there, seconds=WAIT):
    """Until `there()` is true and finds the files it looks at."""
    for _ in range(5 * seconds):
        time.sleep(0.2)
        with contextlib.suppress(FileNotFoundError):
            if there():
                return
    pytest.fail("nothing came")


def test_bad_meshes(monkeypatch, capsys):
    with pytest.raises(ValueError, match=f"data=999 takes 999 devices, but there are {len(jax.devices())}"):
        mesh.start({"data": 999})
    with pytest.raises(ValueError, match="seeds=0,data="):
        mesh.start({"seeds": 0})
    with pytest.raises(argparse.ArgumentTypeError, match="'rows=2' is not like seeds=2,data=4"):
        mesh_axes("rows=2")
    assert mesh_axes("data=4") == {"data": 4}
    assert main(["train", "dec", "--process-id", "1"]) == 2
    assert "need --coordinator HOST:PORT" in capsys.readouterr().err
    monkeypatch.setattr(mesh, "size", lambda axis: 2)
    mesh.check(4, 64)
    with pytest.raises(ValueError, match="n_init=3 must be a multiple of the mesh's seeds=2"):
        mesh.check(3, 64)
    with pytest.raises(ValueError, match="batch_size=33 must be a multiple of the mesh's data=2"):
        mesh.check(4, 33)
