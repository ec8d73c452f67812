"""Programs that are compiled as users' are: they find what the tests' own, which are not optimised, find."""

import json
import subprocess
import sys

import pytest
from command_line import run

OPTIONS = ["train", "idec", "--data", "digits", "--limit", "500", "--hidden", "64,64", "--epochs", "60", "--steps",
           "100", "--refresh-every", "20", "--tolerance", "0", "--no-cache", "--quiet"]


def found(folder):
    """{(phase, period): loss}, and the ACC."""
    lines = map(json.loads, (folder / "history.jsonl").read_text().splitlines())
    seed, = json.loads((folder / "metrics.json").read_text())["seeds"]
    return {(line["phase"], line["period"]): line["loss"] for line in lines}, seed["acc"]


def test_optimised_programs_find_what_the_others_find(tmp_path, users_environment):
    ours, users = tmp_path / "ours", tmp_path / "users"
    assert run(*OPTIONS, "--out", ours)[::2] == (0, "")
    done = subprocess.run([sys.executable, "-m", "dec", *OPTIONS, "--out", users], capture_output=True, text=True,
                          env=users_environment | {"DEC_CACHE": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    (plain, score), (optimised, accuracy) = found(ours), found(users)
    assert plain.keys() == optimised.keys()
    first = [at for at in plain if at[0] == "pretrain" and at[1] < 3]
    assert [optimised[at] for at in first] == pytest.approx([plain[at] for at in first], rel=1e-4)
    # Roundings grow; what the training comes to does not change.
    assert list(optimised.values()) == pytest.approx(list(plain.values()), rel=0.01)
    assert accuracy == pytest.approx(score, abs=0.05) and accuracy > 0.5
