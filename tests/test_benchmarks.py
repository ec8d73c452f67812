"""The benchmark scripts run to their end, on next to nothing, and write what they found."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
TINY = {"streamed": "--rows 3000 --resident 1000 --steps 2 --sweep-rows 1000 --repeats 1", "engine": "--quick"}


@pytest.mark.parametrize("script", sorted(path.stem for path in FOLDER.glob("[a-z]*.py") if path.stem != "common"))
def test_help_says_the_question(script):
    done = subprocess.run([sys.executable, FOLDER / f"{script}.py", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "?" in done.stdout and "--quick" in done.stdout and "--out" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("script", TINY)
def test_it_runs(script, tmp_path):
    if script == "engine" and "DEC_DATA" not in os.environ:
        pytest.skip("engine needs mnist under DEC_DATA")
    words = [sys.executable, FOLDER / f"{script}.py", *TINY[script].split(), "--out", tmp_path / "found.json"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "question" in json.loads((tmp_path / "found.json").read_text()) and "|" in done.stdout
