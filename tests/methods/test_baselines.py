"""The shallow algorithms on hand-made codes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.cluster import hierarchy
from sklearn.mixture import GaussianMixture

from dec.cli.arguments import options_of
from dec.methods import METHODS, make
from dec.methods.base import View, labels_of
from dec.methods.baselines import BASELINES

KEY = jax.random.key(0)


def started(name, codes, k, **options):
    codes = jnp.float32(codes)
    method = make(f"ae+{name}", options)
    return method, method.init(KEY, None, View(lambda net: codes, jnp.ones(len(codes))), k)


def labels(name, codes, k, new=None, **options):
    method, head = started(name, codes, k, **options)
    return labels_of(method.assign(head, jnp.float32(codes if new is None else new))).tolist()


@pytest.mark.parametrize("name", BASELINES)
def test_each_is_there_on_the_input_and_on_the_codes(name):
    assert make(name).space == "input" and make(f"ae+{name}").space == "codes"
    assert options_of(METHODS[name]) == options_of(METHODS[f"ae+{name}"]) == options_of(BASELINES[name])
    for prefix, where in (("", "the scaled input"), ("ae+", "the codes of a pretrained autoencoder")):
        assert METHODS[prefix + name].__doc__.split("\n")[0].endswith(f" on {where}.")


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_the_posterior_of_a_mixture_against_float64(covariance):
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 3)) + 100
    codes = np.float32(mixed + 4 * rng.integers(3, size=(300, 1)) * [1, 0, -1])
    method, head = started("gmm", codes, 3, covariance=covariance, restarts=4)
    seed = int(jax.random.bits(KEY))
    oracle = GaussianMixture(3, covariance_type=covariance, n_init=4, random_state=seed).fit(codes.astype(np.float64))
    np.testing.assert_allclose(method.centers(head), oracle.means_, rtol=1e-6)
    new = np.float32(codes + rng.normal(size=codes.shape))
    found, expected = np.exp(method.assign(head, new)), oracle.predict_proba(new.astype(np.float64))
    assert (expected.max(axis=1) < 0.9).any()
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_a_mixture_does_not_depend_on_the_scale():
    codes = np.random.default_rng(0).normal(size=(60, 2)) + 6 * (np.arange(60) % 2)[:, None]
    assert labels("gmm", codes, 2) == labels("gmm", 1e-5 * codes, 2)


@pytest.mark.parametrize("name", ["kmeans", "minibatch-kmeans", "bisecting-kmeans"])
def test_centers_are_means_and_rows_go_to_the_nearest(name):
    codes = np.float32([[0, 0], [0, 2], [10, 0], [10, 2], [30, 0], [30, 2]])
    method, head = started(name, codes, 3)
    order = np.argsort(head.params[:, 0])
    np.testing.assert_allclose(head.params[order], [[0, 1], [10, 1], [30, 1]], atol=0.3 if "mini" in name else 1e-5)
    found = labels_of(method.assign(head, jnp.float32([[4, 9], [16, -9], [21, 0]])))
    np.testing.assert_array_equal(found, order)


def test_linkages_by_hand():
    chain = np.float32([0, 1, 2.1, 3.3, 4.6, 6.5])[:, None]  # each gap is wider than the one before
    assert labels("agglomerative", chain, 2, linkage="single") == [0, 0, 0, 0, 0, 1]
    assert labels("agglomerative", chain, 2, linkage="complete") == [0, 0, 0, 0, 1, 1]
    assert labels("agglomerative", chain, 2, [[5.6], [3.9]]) == [1, 0]  # Ward's are those of complete linkage here


def test_spectral_separates_rings():
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = labels("spectral", np.concatenate([circle, 5 * circle[:59]]), 2, neighbors=5)
    assert found == [0] * 60 + [1] * 59


@pytest.mark.parametrize(("name", "options", "message"), [
    ("kmeans", {"restarts": 0}, "restarts=0 must be at least 1"),
    ("minibatch-kmeans", {"batch": 0}, "batch=0 must be at least 1"),
    ("bisecting-kmeans", {"restarts": 0}, "restarts=0 must be at least 1"),
    ("gmm", {"covariance": "tied"}, "covariance='tied' must be full or diag"),
    ("gmm", {"restarts": 0}, "restarts=0 must be at least 1"),
    ("agglomerative", {"linkage": "wards"}, "linkage='wards' must be ward, average, complete or single"),
    ("spectral", {"neighbors": 1}, "neighbors=1 must be at least 2"),
    ("spectral", {"metric": "l1"}, "metric='l1' must be euclidean or cosine"),
])
def test_bad_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, options)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_tree_of_agglomerative_is_that_of_scipy(metric):
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    (tree,) = make("agglomerative", {"linkage": "average", "metric": metric}).artifacts(None, x)
    scaled = x.astype(float) if metric == "euclidean" else x / np.linalg.norm(x.astype(float), axis=1, keepdims=True)
    np.testing.assert_allclose(tree.merges, hierarchy.linkage(scaled, "average"), rtol=1e-6)
    assert tree.rows.tolist() == list(range(40)) and tree.about == "average linkage"
