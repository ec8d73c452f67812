"""Figures that only some methods have: what is in them, by hand or against another computation."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from command_line import run
from matplotlib.colors import to_hex
from scipy.cluster import hierarchy

from dec.data.views import Numbers
from dec.report import methods
from dec.report.material import read_run
from dec.report.page import Page
from dec.report.reconstruction import compression
from dec.report.style import NOISE, VALIDATION, colour
from dec.selection.choose_k import vote


def test_distances_to_the_neighbours_on_the_map():
    """2 x 2 units at 0, 3, 4 and 5 on a line: each has two neighbours, the one beside it and the one below or above."""
    found = methods.u_matrix(np.array([[0.0], [3], [4], [5]], np.float32), (2, 2))
    np.testing.assert_allclose(found, [(3 + 4) / 2, (3 + 2) / 2, (4 + 1) / 2, (2 + 1) / 2])
    np.testing.assert_allclose(methods.u_matrix(np.array([[0.0], [3]], np.float32), (1, 2)), [3, 3])


def test_maps_of_units():
    clusters, hits = np.array([1, 1, 0, 12, 12, 0]), np.array([5, 0, 1, 2, 30, 4])
    maps = {"distance": np.arange(6.0), "rows": hits}
    distances, rows, of = methods.unit_maps((2, 3), maps, clusters).axes[:3]
    np.testing.assert_array_equal(distances.images[0].get_array(), [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(rows.images[0].get_array(), [[5, 0, 1], [2, 30, 4]])
    assert [text.get_text() for text in rows.texts] == ["5", "0", "1", "2", "30", "4"]
    assert [text.get_text() for text in of.texts] == ["1", "1", "0", "12", "12", "0"]
    shown = [[to_hex(tone) for tone in row] for row in of.images[0].get_array()]
    assert not distances.texts
    assert shown == [[colour(1), colour(1), colour(0)], [colour(12), colour(12), colour(0)]]
    figure = methods.unit_maps((2, 3), {"price $<b>": np.arange(6.0), "b": np.full(6, np.nan)})
    assert [ax.get_title() for ax in figure.axes[:2]] == ["price $<b>", "b"]


def test_prototypes_have_the_frame_of_their_cluster():
    clusters = np.array([2, 0, 2, 2])
    images = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((4, 3, 3), np.uint8)
    curves = np.stack([np.linspace(-1, j, 5) for j in range(4)])
    drawn = [methods.prototype_map(prototypes, (2, 2), clusters).axes for prototypes in (images, curves)]
    for axes in drawn:
        assert [to_hex(ax.spines["top"].get_edgecolor()) for ax in axes] == [colour(c) for c in clusters]
    assert [ax.images[0].get_array().tolist() for ax in drawn[0]] == images.tolist()
    assert [ax.lines[0].get_ydata().tolist() for ax in drawn[1]] == curves.tolist()
    assert to_hex(drawn[1][1].lines[0].get_color()) == colour(0)
    assert len({ax.get_ylim() for ax in drawn[1]}) == 1  # one scale


def test_the_tree():
    rng = np.random.default_rng(0)
    codes = np.concatenate([rng.normal(at, 0.3, (40, 2)) for at in ((0, 0), (5, 0), (0, 9))])
    clusters = hierarchy.fcluster(hierarchy.linkage(codes, "ward"), 3, "maxclust") - 1
    (ax,) = methods.dendrogram(hierarchy.linkage(codes, "ward"), clusters, np.ones(120, int)).axes
    leaves = [tick.get_text() for tick in ax.get_xticklabels()]
    assert len(leaves) == methods.LEAVES and sum(int(leaf.partition(" ")[0]) for leaf in leaves) == 120
    for cluster in range(3):
        own = [int(leaf.partition(" ")[0]) for leaf in leaves if leaf.endswith(f"[{cluster}]")]
        assert sum(own) == (clusters == cluster).sum()
    links = {to_hex(lines.get_color()[0]): len(lines.get_paths()) for lines in ax.collections}
    assert set(links) == {NOISE, colour(0), colour(1), colour(2)} and links[NOISE] == 2 and sum(links.values()) == 29


def test_the_choice_of_k():
    k = np.arange(1, 9)
    found = pd.DataFrame({"k": k, "inertia": [100, 50, 10, 9, 8.5, 8, 7.6, 7.3],
                          "silhouette": [np.nan, .3, .7] + 5 * [.2],
                          "gap": k / 10, "gap_error": 8 * [0.01], "bic": np.abs(k - 4.0),
                          "stability": [np.nan, .5, .9] + 5 * [.1], "stability_error": [np.nan] + 7 * [0.02]})
    axes = methods.criteria(found, vote(found)).axes
    assert [ax.get_title() for ax in axes] == ["elbow: 3", "silhouette: 3", "gap: still better at the end", "bic: 4",
                                               "stability: 3"]
    marked = [[line.get_xdata()[0] for line in ax.lines if to_hex(line.get_color()) == VALIDATION] for ax in axes]
    assert marked == [[3], [3], [], [4], [3]]
    curve = next(line for line in axes[0].lines if len(line.get_xdata()) == 8)
    np.testing.assert_array_equal(curve.get_ydata(), found["inertia"])
    assert axes[0].get_yscale() == "log"


def test_the_command_draws_the_choice(tmp_path, monkeypatch, blobs):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", blobs[0][:60])
    status, _, err = run("choose-k", "--data", "x.npy", "--on", "input", "--k", "1:4", "--out", "k.svg")
    assert status == 0, err
    assert b"<svg" in (tmp_path / "k.svg").read_bytes() and run("choose-k", "--data", "x.npy", "--out", "k.svg")[0] == 2
    status, _, err = run("choose-k", "--data", "x.npy", "--out", "k.json")
    assert status == 2 and "--out k.json must end in .csv or .png or .svg or .pdf" in err


@pytest.fixture(scope="module")
def merged(tmp_path_factory):
    out = tmp_path_factory.mktemp("tree") / "run"
    status, _, err = run("train", "agglomerative", "--linkage", "average", "--data", "digits", "--limit", 150,
                         "--seeds", 1, "--quiet", "--out", out)
    assert status == 0, err
    return read_run(out)


def test_of_a_run(merged):
    """The tree is the one that was cut; rows are made up where the model can."""
    page = Page(merged.folder, ["svg"])
    (block,) = methods.own(merged, page)
    assert "(average linkage)" in block.caption and (merged.folder / "figures/tree.svg").is_file()
    cut = hierarchy.fcluster(hierarchy.linkage(merged.codes.astype(float), "average"), 10, "maxclust")
    assert len(set(zip(cut, merged.clusters))) == 10
    asked = []
    model, merged.model = merged.model, SimpleNamespace(
        sample=lambda n, cluster: asked.append((n, cluster)) or np.zeros((n, 64), np.float32))
    (block,) = methods.generated(merged, page)
    merged.model = model
    assert asked == [(10, cluster) for cluster in sorted(merged.largest)] and block.kind == "figure"


def test_compression():
    """Rows of two bytes, codes of one number that is decoded to two alike, and means 1 and 3 of two clusters."""
    codes, x = np.array([[0.0], [2], [3], [9]]), np.array([[0.0, 0], [2, 2], [3, 4], [9, 9]])
    model = SimpleNamespace(inverse_transform=lambda codes: np.repeat(codes, 2, axis=1),
                            fit_=SimpleNamespace(scaling=SimpleNamespace(apply=lambda x: x)))
    stub = SimpleNamespace(clusters=np.array([0, 0, 1, -1]), centres=np.array([[1.0], [3]]), codes=codes, k=2,
                           model=model, view=Numbers(), prepared=SimpleNamespace(x=np.zeros((4, 2), np.uint8)))
    found = compression(stub, np.arange(4), x, np.array([0, 0, 0.5, 0]))
    assert [row[2:] for row in found.rows] == [["16", "1.0", "0"], ["32", "0.5", "0.125"], ["1", "16.0", "0.8333"]]
    assert "noise left out" in found.caption and "together take 64 bits" in found.caption


def test_the_elbow_of_codes():
    """Four groups far apart: the inertia of k-means falls to that within them, and there is the knee."""
    codes = np.concatenate([np.random.default_rng(j).normal(at, 0.1, (20, 2)) for j, at in
                            enumerate([(0, 0), (9, 0), (0, 9), (9, 9)])])
    found, knee = methods.elbow(codes, 8)
    assert knee == 4 and list(found["k"]) == list(range(1, 9))
    assert found["inertia"][0] == pytest.approx(((codes - codes.mean(axis=0)) ** 2).sum())
    (ax,) = methods.criteria(found, {"elbow": knee}).axes
    assert ax.get_title() == "elbow: 4" and len(methods.elbow(codes[:5], 29)[0]) == 4
