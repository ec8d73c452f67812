"""A new kind of data is one file, like the classes here, and one line in `KINDS`."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import run as dec_command
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline

import dec
from dec.config import Features
from dec.data.dataset import Dataset
from dec.data.kinds import KINDS, DataKind, check_options
from dec.data.readers import load
from dec.data.views import Curves


def read_outlines(path, features, labels):
    """Read a file of outlines: one list of [x, y] points a line."""
    lines = path.read_text().splitlines()
    x = np.empty(len(lines), object)
    x[:] = [np.array(json.loads(line), np.float32) for line in lines]
    return Dataset(path.stem, x, source=f"{path}, {len(x)} outlines", kind="outline")


class Outlines(TransformerMixin, BaseEstimator):
    """The distance of an outline's points from its center, at so many of them."""

    def __init__(self, window=None):
        self.window = window

    def fit(self, X, y=None):
        self.window_ = self.window or 8
        self.blocks_ = (f"gaussian:{self.window_}",)
        return self

    def transform(self, X):
        radii = [np.linalg.norm(outline - outline.mean(axis=0), axis=1) for outline in X]
        at = np.linspace(0, 1, self.window_)
        return np.stack([np.interp(at, np.linspace(0, 1, len(r)), r) for r in radii]).astype(np.float32)

    def get_feature_names_out(self, input_features=None):
        return np.array([f"radius {i}" for i in range(self.window_)], dtype=object)


def outlines_view(dataset, features, some):
    return Curves(lambda x: np.asarray(x)[:, :, None], channels=1)


OUTLINE = DataKind("outlines", Outlines, outlines_view, suffixes=(".outlines",), read=read_outlines)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(KINDS, "outline", OUTLINE)
    rng = np.random.default_rng(0)
    angle = np.linspace(0, 2 * np.pi, 20)
    lines = []
    for i in range(60):
        radius = [1 + 0 * angle, 1 + 0.5 * np.cos(4 * angle), 3 + 0 * angle][i % 3] + rng.normal(0, 0.05, 20)
        lines.append(json.dumps(np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).tolist()))
    Path("leaves.outlines").write_text("\n".join(lines))
    return tmp_path


def test_a_new_kind_goes_all_the_way(place):
    words = ["--data", "leaves.outlines", "--n-clusters", "3", "--quiet", "--no-cache"]
    status, _, err = dec_command("train", "kmeans", *words, "--out", "run")
    assert (status, err) == (0, "")
    labels = np.loadtxt("run/labels.csv", delimiter=",", skiprows=1, usecols=1)
    assert [len(set(labels[i::3])) for i in range(3)] == [1, 1, 1]
    assert dec_command("predict", "run", "leaves.outlines", "--out", "new.csv")[0] == 0
    np.testing.assert_array_equal(np.loadtxt("new.csv", delimiter=",", skiprows=1, usecols=1), labels)
    shown = dec_command("data", "inspect", "leaves.outlines")[1]
    assert "kind      outline" in shown and "60 x 8 float32" in shown and "radius 0, radius 1" in shown
    assert dec_command("report", "run", "--formats", "svg", "--map", "pca")[0] == 0
    page = Path("run/report.html").read_text()
    assert "Mean of channel 0, in which the clusters differ most" in page and "level of channel 0 much higher" in page
    assert Path("run/figures/cluster_0.svg").is_file()
    model = dec.load("run")
    assert isinstance(model[0], Outlines)
    raw = load("leaves.outlines").x
    np.testing.assert_array_equal(model.predict(raw), labels)
    again = make_pipeline(Outlines(window=5), dec.KMEANS(3, random_state=0)).fit(raw)
    assert again[-1].n_features_in_ == 5


def test_options_are_for_the_kinds_that_take_them(place):
    data = load("leaves.outlines")
    check_options(Features(window=4), "leaves", data)
    with pytest.raises(ValueError, match=r"features.size=\(8, 8\) has no meaning for leaves, .* kind outline: it "
                                         "is for images; leave it out"):
        check_options(Features(size=(8, 8)), "leaves", data)


def test_every_option_is_for_some_kind():
    assert set(vars(Features())) == set().union(*(kind.options for kind in KINDS.values()))
