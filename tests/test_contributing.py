"""Every example in CONTRIBUTING.md works as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest
from command_line import run as dec_command

import dec
from dec import metrics
from dec.config import Features, Network
from dec.data import kinds
from dec.data.dataset import Dataset
from dec.data.kinds import KINDS, fit_features, to_numbers
from dec.metrics import EXTERNAL
from dec.networks.autoencoder import build, parameter_table
from dec.networks.registry import NETWORKS, NetworkKind
from dec.report.style import rendered
from dec.runs.presets import PRESETS, preset

TEXT = (Path(__file__).resolve().parent.parent / "CONTRIBUTING.md").read_text()


def example(title: str) -> str:
    """The code block of a section."""
    section = TEXT.split(f"## {title}\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.S)
    return code


def names_of(title: str) -> dict:
    found: dict = {}
    exec(compile(example(title), "CONTRIBUTING.md", "exec"), found)
    return found


def test_a_method(tmp_path, blobs, tiny):
    model = dec.DeepClustering(4, method=names_of("Add a method")["nearest"](weight=0.5), **tiny).fit(blobs[0])
    assert np.isfinite(model.history_["distance"].dropna()).all()
    (tmp_path / "nearest.py").write_text(example("Add a method"))
    status, out, err = dec_command("train", "--method-file", tmp_path / "nearest.py", "--limit", 60, "--weight", 0.2,
                                   "--hidden", 4, "--code-size", 2, "--pretraining.epochs", 1, "--steps", 2, "--quiet",
                                   "--no-cache", "--out", tmp_path / "run")
    assert (status, err) == (0, "") and "| nearest |" in out


def test_a_network(monkeypatch):
    monkeypatch.setitem(NETWORKS, "residual", NetworkKind(names_of("Add a network")["residual"], hidden=(6, 5)))
    layers = parameter_table(build(Network(layers="residual", code_size=2), 9))
    assert [name for name, *_ in layers] == [f"{side}_{i}" for side in ("encoder", "decoder") for i in range(3)]


def test_a_kind_of_data(monkeypatch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dec.data.kinds.KINDS", KINDS | {})
        names_of("Add a kind of data")
        signals = Dataset("tones", np.sin(np.arange(16) * np.array([[0.4], [1.6]])), kind="signal")
        features, _, rows = fit_features(signals, Features(), "tones")
        index, x = to_numbers(features, signals, "tones", rows)[1:]
        view = kinds.KINDS["signal"].view(signals, features, lambda: x)
    assert (x.shape, view.decode(x).shape, index["row"].tolist()) == ((2, 9), (2, 9, 1), [0, 1])
    assert "signal" not in KINDS


def test_a_metric(monkeypatch):
    monkeypatch.setattr(metrics, "EXTERNAL", dict(EXTERNAL))
    names_of("Add a metric")
    assert metrics.external(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]))["v_measure"] == 1


def test_a_figure():
    figure = names_of("Add a figure")["cluster_sizes"](np.array([0, 0, 1, -1]))
    assert [bar.get_height() for bar in figure.axes[0].patches] == [1, 2, 1]
    assert rendered(figure, "svg").startswith(b"<?xml")


def test_a_preset(monkeypatch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dec.runs.presets.PRESETS", PRESETS | {})
        names_of("Add a preset")
        run = preset("digits-five-epochs")
    assert (run.seeds, run.model.pretraining.epochs, run.data) == (3, 5, "digits")
    assert "digits-five-epochs" not in PRESETS


def test_the_glossary_has_thirty_terms():
    rows = [line for line in TEXT.split("## Glossary")[1].splitlines() if line.startswith("| ")]
    assert len(rows) - 2 >= 30
