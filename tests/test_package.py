"""Promises about the package as a whole."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import run

import dec
from dec.methods import make
from dec.methods.base import Method
from dec.metrics import accuracy
from dec.user_code import pass_file

ROOT = Path(__file__).resolve().parent.parent


def imports(file: Path) -> set[str]:
    """The modules a file imports, at any depth."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("room", ["training", "methods", "shallow", "networks"])
def test_nothing_that_trains_knows_of_scores_against_labels(room):
    for file in (ROOT / "dec" / room).glob("*.py"):
        above = ("dec.metrics", "dec.report", "dec.runs", "dec.cli")
        assert not {name for name in imports(file) if name.startswith(above)}, file


def test_only_networks_build_on_linen():
    files = (ROOT / "dec").rglob("*.py")
    users = {file.parent.name for file in files if any(name.startswith("flax.linen") for name in imports(file))}
    assert users == {"networks"}


def test_nothing_is_pickled():
    for file in (ROOT / "dec").rglob("*.py"):
        assert "pickle" not in imports(file), file
        assert "allow_pickle=True" not in file.read_text(), file


def test_config_imports_neither_jax_nor_flax():
    code = "import sys, dec.config, dec.runs.presets; sys.exit(not {'jax', 'flax', 'sklearn'}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_public_names():
    for name in dec.__all__:
        assert getattr(dec, name).__doc__, name
    assert dec.DEC.__name__ == "DEC" and dec.IDEC(gamma=0.2).gamma == 0.2
    assert {"DEC", "IDEC", "AEKMEANS", "load"} <= set(dir(dec))
    with pytest.raises(AttributeError, match="DEK"):
        dec.DEK  # noqa: B018


def readme_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)


def test_readme_example(capsys, monkeypatch, tmp_path):
    """The first Python block, on fewer steps."""
    monkeypatch.chdir(tmp_path)
    code = readme_blocks("python")[0]
    assert "dec.IDEC" in code
    quick = code.replace("random_state=0", "random_state=0, pretraining=dec.Pretraining(epochs=2), "
                         "refinement=dec.Refinement(steps=20, refresh_every=10), network=dec.Network(hidden=(16,))")
    assert quick != code
    exec(compile(quick, "README.md", "exec"), {})
    assert "seed" in capsys.readouterr().out


def test_a_method_file_with_a_dataclass_and_annotations_that_are_text(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text('''
from __future__ import annotations
import dataclasses
from dec.methods import base
from dec.methods.dec import dec

@dataclasses.dataclass
class Options:
    alpha: float = 1.0

def mine(alpha: float = 2.0) -> base.Method:
    return dec(alpha=Options(alpha).alpha)
''')
    assert isinstance(make(pass_file(path), {"alpha": 3.0}), Method)


def test_readme_method_works_from_outside_the_package(tmp_path, monkeypatch, blobs, tiny):
    """The block under "Add a method" is a whole file; it is imported from a folder of its own."""
    (code,) = [block for block in readme_blocks("python") if "-> Method" in block]
    assert len(code.splitlines()) < 40
    (tmp_path / "compact.py").write_text(code)
    sys.path.insert(0, str(tmp_path))
    try:
        import compact
    finally:
        sys.path.remove(str(tmp_path))
    x, y = blobs
    tiny = tiny | {"refinement": dec.Refinement(steps=100, refresh_every=10, tolerance=0.0)}  # to the last step
    model = dec.DeepClustering(4, method=compact.compact(weight=5.0), **tiny).fit(x)
    assert accuracy(y, model.labels_) > 0.95
    history = model.history_[model.history_["phase"] == "cluster"].dropna(subset="compactness")
    assert np.isfinite(history["reconstruction"]).all()
    assert history["compactness"].iloc[-1] < history["compactness"].iloc[0]

    options = "--data digits --limit 200 --weight 0.5 --hidden 8 --pretraining.epochs 2 --steps 20 --no-cache --quiet"
    out = tmp_path / "run"
    status, shown, err = run("train", *options.split(), "--method-file", tmp_path / "compact.py", "--out", out)
    assert (status, err) == (0, "") and "| compact |" in shown
    monkeypatch.chdir(tmp_path)  # the run's folder knows where the file is
    assert run("predict", out, "digits")[0] == 0
    model = dec.load(out)
    assert model.method_options == {"weight": 0.5}
    assert "gone.py is not there" in run("train", "--method-file=gone.py")[2]
    (tmp_path / "broken.py").write_text("half = 1 / 2\nnone = 1 / 0\n")
    assert "broken.py, line 2: ZeroDivisionError: division by zero" in run("train", "--method-file=broken.py")[2]
    (tmp_path / "two.py").write_text(code + code.replace("def compact", "def other"))
    assert "not 2" in run("train", "--method-file", "two.py")[2]


# Arrows between the rooms of the house go down only.

CORE = {"config", "metrics", "io", "errors", "paths", "methods", "networks", "shallow", "training", "estimators",
        "selection"}
ABOVE = {  # room -> what it may not import
    **dict.fromkeys(CORE, ("dec.runs", "dec.cli", "dec.report", "dec.data.readers")),
    "data": ("dec.runs", "dec.cli", "dec.report", "dec.estimators", "dec.training", "dec.methods", "dec.networks"),
    "runs": ("dec.cli", "dec.report"),
    "report": ("dec.cli",),
}
HEAVY = ("matplotlib", "h5py", "jinja2", "tensorflow_datasets")  # which the core does without


MODULES = {  # each module of the package, with all that it imports, also within functions
    ".".join(("dec", *file.relative_to(ROOT / "dec").with_suffix("").parts)).removesuffix(".__init__"): imports(file)
    for file in (ROOT / "dec").rglob("*.py")
}


def test_no_room_imports_one_above_it():
    for name, found in MODULES.items():
        room = name.split(".")[1] if "." in name else ""
        for other in ABOVE.get(room, ()):
            wrong = {one for one in found if one == other or one.startswith(f"{other}.")}
            assert not wrong, f"{name} imports {wrong}"


def test_no_modules_import_each_other_in_a_circle():
    packages = {name.rpartition(".")[0] for name in MODULES}
    graph = {name: found & (MODULES.keys() - packages) - {name} for name, found in MODULES.items()}
    while leaves := [name for name, found in graph.items() if not found & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert not graph


def test_the_core_works_without_the_libraries_of_readers_and_reports():
    core = sorted(name for name in MODULES if name.split(".")[1:2] and name.split(".")[1] in CORE)
    code = f"""
import importlib, sys
class Refuse:
    def find_spec(self, name, *_):
        if name.split(".")[0] in {HEAVY}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
for name in {core}:
    importlib.import_module(name)
import dec, numpy as np
x = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
model = dec.KMEANS(3, random_state=0).fit(x)
assert sorted(np.bincount(model.labels_)) == [10, 10, 10]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
