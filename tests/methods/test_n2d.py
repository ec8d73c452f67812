"""N2D: clusters of the manifold, and what new rows are."""

import importlib.util
import sys
from types import SimpleNamespace
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from dec.cli.arguments import options_of
from dec.methods import METHODS, make
from dec.methods.base import View, labels_of
from dec.methods.baselines import BASELINES
from dec.methods.n2d import MOST

KEY = jax.random.key(0)


def started(codes, k, **options):
    codes = jnp.float32(codes)
    method = make("n2d", options)
    return method, method.init(KEY, None, View(lambda net: codes, jnp.ones(len(codes))), k)


def labels(method, head, codes):
    return labels_of(method.assign(head, jnp.float32(codes))).tolist()


@pytest.fixture
def umap(monkeypatch):
    """A UMAP that moves every second row away, and the options it was made with."""
    made = {}

    class UMAP:
        def __init__(self, **options):
            made.update(options)

        def fit_transform(self, codes):
            made["codes"] = codes
            return 100 * (np.arange(len(codes)) % 2)[:, None] + np.resize(codes, (len(codes), made["n_components"]))

    find = importlib.util.find_spec
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True if name == "umap" else find(name))
    return made


@pytest.mark.parametrize("cluster", ["gmm", "agglomerative"])
def test_clusters_are_those_of_the_manifold_and_new_rows_are_what_the_nearest_code_is(umap, cluster):
    codes = np.arange(40, dtype=np.float32)[:, None]
    method, head = started(codes, 2, cluster=cluster)
    found = labels(method, head, codes)
    assert found in ([0, 1] * 20, [1, 0] * 20)
    assert labels(method, head, [[6.1], [7.3], [100], [-100]]) == [found[i] for i in (6, 7, 39, 0)]
    np.testing.assert_array_equal(umap.pop("codes"), codes)
    assert isinstance(umap.pop("random_state"), int)
    assert umap == {"n_neighbors": 20, "n_components": 2, "min_dist": 0.0, "n_jobs": 1}


def test_assignments_are_the_posterior_on_the_manifold(umap):
    codes = jax.random.normal(KEY, (60, 2))
    method, head = started(codes, 3, cluster="gmm", dimensions=1)
    q = np.exp(method.assign(head, codes))
    np.testing.assert_allclose(q.sum(axis=1), 1, atol=1e-5)
    assert umap["n_components"] == 1 and ((q > 0.05) & (q < 0.95)).any()


def test_isomap_unrolls_a_spiral():
    angle = np.linspace(np.pi, 5 * np.pi, 120)  # two turns
    spiral = angle[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    method, head = started(spiral, 2, manifold="isomap", cluster="agglomerative", neighbors=4, dimensions=1)
    assert np.count_nonzero(np.diff(labels(method, head, spiral))) == 1  # an inner and an outer part
    plane = make("ae+agglomerative")
    head = plane.init(KEY, None, View(lambda net: jnp.float32(spiral), jnp.ones(120)), 2)
    assert np.count_nonzero(np.diff(labels(plane, head, spiral))) > 1


def test_a_trained_head_places_rows_on_the_manifold():
    angle = np.linspace(np.pi, 3 * np.pi, 400)
    spiral = angle[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    options = {"manifold": "isomap", "cluster": "kmeans", "neighbors": 4, "dimensions": 1}
    found = labels(*started(spiral, 3, **options), spiral)
    method, head = started(spiral[::2], 3, **options, rows_by="head")
    assert adjusted_rand_score(found[1::2], labels(method, head, spiral[1::2])) > 0.9
    layers, _ = head.state
    assert [kernel.shape for kernel, _ in layers] == [(2, 128), (128, 128), (128, 1)]


def test_options_of_the_algorithm_on_the_manifold():
    codes = np.random.default_rng(0).normal(size=(60, 2))
    method, head = started(codes, 2, manifold="isomap", cluster="dbscan", eps=1e-6, min_samples=3)
    assert set(labels(method, head, codes)) == {-1}  # no row has a neighbour within eps


def test_tsne_keeps_groups_apart():
    codes = np.random.default_rng(0).normal(size=(45, 5)) + 20 * np.eye(5)[np.arange(45) % 3]
    method, head = started(codes, 3, manifold="tsne", cluster="agglomerative")
    assert adjusted_rand_score(np.arange(45) % 3, labels(method, head, codes)) == 1


def test_of_many_rows_a_sample_is_learned(monkeypatch):
    monkeypatch.setitem(MOST, "isomap", 40)
    codes = np.random.default_rng(0).normal(size=(300, 2)) + 20 * (np.arange(300) % 2)[:, None]
    method, head = started(codes, 2, manifold="isomap", cluster="agglomerative")
    assert head.state.rows.shape == (40, 2)
    assert adjusted_rand_score(np.arange(300) % 2, labels(method, head, codes)) == 1


def test_every_baseline_can_cluster_the_manifold():
    (cluster,) = [hint for name, hint, *_ in options_of(METHODS["n2d"]) if name == "cluster"]
    assert set(get_args(cluster)) == set(BASELINES)


@pytest.mark.slow
def test_umap_itself():
    """It compiles for half a minute."""
    pytest.importorskip("umap")
    codes = np.random.default_rng(0).normal(size=(200, 5)) + 10 * np.eye(5)[np.arange(200) % 4]
    method, head = started(codes, 4)
    assert adjusted_rand_score(np.arange(200) % 4, labels(method, head, codes)) == 1
    again = started(codes, 4)[1]
    jax.tree.map(np.testing.assert_array_equal, head, again)


@pytest.mark.parametrize(("options", "message"), [
    ({"manifold": "lle"}, "Unknown manifold 'lle'"),
    ({"cluster": "gmn"}, "Did you mean 'gmm'"),
    ({"neighbors": 1}, "neighbors=1 must be at least 2"),
    ({"rows_by": "umap"}, "rows_by='umap' must be nearest or head"),
    ({"min_samples": 9}, "min_samples=9 is no option of cluster='gmm'"),
    ({"dimensions": 0}, "dimensions=0 must be at least 1"),
    ({"dimensions": 4}, "dimensions=4 .* for tsne at most 3"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        make("n2d", {"manifold": "tsne"} | options)


def test_umap_is_an_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'dec\[umap\]', or choose isomap or tsne"):
        make("n2d", {"neighbors": 21})
