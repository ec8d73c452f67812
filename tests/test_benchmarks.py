"""The benchmark scripts run to their end, on next to nothing, and write what they found."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
QUICK = ("engine", "kmeans", "cold_start", "scaling_rows", "scaling_devices", "streamed", "ten_seeds", "throughput",
         "versus_clustpy", "whole_fit")


def ran(script, *words):
    """The script's end; what it tells of the speed is not looked at here."""
    return subprocess.run([sys.executable, FOLDER / f"{script}.py", *words], capture_output=True, text=True,
                          env=os.environ | {"JAX_PLATFORMS": "cpu"})


@pytest.mark.parametrize("script", sorted(path.stem for path in FOLDER.glob("[a-z]*.py") if path.stem != "common"))
def test_help_says_the_question(script):
    done = ran(script, "--help")
    assert done.returncode == 0 and "?" in done.stdout and "--quick" in done.stdout and "--out" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("script", QUICK)
def test_it_runs(script, tmp_path):
    done = ran(script, "--quick", "--out", tmp_path / "found.json")
    assert done.returncode == 0, done.stderr
    assert "question" in json.loads((tmp_path / "found.json").read_text()) and "|" in done.stdout


@pytest.mark.slow
def test_accelerator_goes_on_when_a_script_fails(tmp_path):
    done = ran("accelerator", "--quick", "--clustpy-python", "nowhere", "--out", tmp_path)
    assert done.returncode == 1, done.stderr
    found = json.loads((tmp_path / "accelerator.json").read_text())
    *measured, clustpy = found["result"]
    assert len(measured) == 5 and not any("failed:" in line["measured"] for line in measured)
    assert clustpy["measured"] == found["scripts"]["ten_seeds"] == "failed: exit status 1"
    assert all(line["met?"] == "–" for line in found["result"]) and clustpy["goal"] in done.stdout


def test_quality_quick(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("a,b\n" + "1,2\n3,4\n" * 20)
    done = ran("quality", "--quick", "--imbalanced", "--data", "digits", table, "--methods", "dec",
               "--out", tmp_path / "found.json")
    assert done.returncode == 0, done.stderr
    row, refused = json.loads((tmp_path / "found.json").read_text())["result"]
    assert row["n"] == 300 and row["acc"]["seeds"] == 2 and row["published"] is None
    assert "--imbalanced is for arrays" in refused["refused"] and "refused" in done.stdout


@pytest.mark.slow
def test_quality_skips_what_is_done_and_mixes_nothing(tmp_path):
    words = "--methods", "kmeans", "nonsense", "--limit", "300", "--data", "digits", "--seeds", "2"
    words += "--folder", tmp_path / "runs", "--out", tmp_path / "found.json"
    for _ in range(2):
        done = ran("quality", *words)
        assert done.returncode == 0, done.stderr
        metrics, = (tmp_path / "runs").rglob("metrics.json")
        marked = json.loads(metrics.read_text())
        marked["seeds"][0]["acc"] = 0.125  # as no run would have it: the second time it comes from the folder
        metrics.write_text(json.dumps(marked))
    row, refused = json.loads((tmp_path / "found.json").read_text())["result"]
    assert row["acc"]["min"] == 12.5 and "nonsense" in refused["refused"]
    made, = (tmp_path / "runs").rglob("made_from.json")
    for part in ("code", "data"):
        made.write_text(json.dumps(json.loads(made.read_text()) | {part: "another"}))
        done = ran("quality", *words)
        assert done.returncode and f"other {part}" in done.stderr
        done = ran("quality", *words, "--redo")
        assert done.returncode == 0 and "12.5" not in done.stdout


@pytest.mark.slow
def test_quality_beside_clustpy(tmp_path):
    fake = tmp_path / "python"  # in its place: labels a third of which are right, and a seed that fails
    fake.write_text(f"""#!{sys.executable}
import sys, numpy as np
from sklearn.datasets import load_digits
if sys.argv[2] == "--versions":
    sys.exit(print("{{}}"))
option = dict(zip(sys.argv[2::2], sys.argv[3::2]))
x, y = np.load(option["--data"]), load_digits().target
assert x.min() == 0 and x.max() == 1 and option["--clusters"] == "10"
if option["--seed"] == "1":
    sys.exit("no such luck")
one = np.where(np.arange(len(y)) % 3 == 0, y, -1)
np.savez(option["--save"], seconds=2.5, labels_=y, vade_labels_=one)
""")
    fake.chmod(0o755)
    words = "--methods", "clustpy-vade", "clustpy-vade+gmm", "--data", "digits", "--seeds", "2"
    words += "--folder", tmp_path / "runs", "--out", tmp_path / "found.json"
    done = ran("quality", *words, "--clustpy-python", fake)
    assert done.returncode == 0, done.stderr
    own, mixture = json.loads((tmp_path / "found.json").read_text())["result"]
    assert own["acc"]["mean"] == pytest.approx(100 / 3, abs=0.1) and mixture["acc"]["mean"] == 100
    assert own["failures"] == ["seed 1: exit 1: no such luck"] and own["seconds"] == {"fit": 2.5}
    done = ran("quality", *words)
    assert done.returncode == 0 and "refused: --clustpy-python" in done.stdout
