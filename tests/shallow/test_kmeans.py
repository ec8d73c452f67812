import gzip
import os
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score

from dec.shallow import kmeans as module
from dec.shallow.kmeans import chunks, kmeans, lloyd, pick, sweep


def fit(x, k, seed=0, weight=None, **options):
    x = jnp.asarray(x, jnp.float32)
    return kmeans(jax.random.key(seed), x, jnp.ones(len(x)) if weight is None else jnp.asarray(weight), k, **options)


def blobs(spread, n=600, k=5, d=4, seed=0):
    """Gaussian blobs of standard deviation 1 around centres of standard deviation `spread`."""
    rng = np.random.default_rng(seed)
    return (rng.normal(0, spread, (k, d))[rng.integers(k, size=n)] + rng.normal(size=(n, d))).astype(np.float32)


def test_four_points_by_hand():
    got = fit([[0, 0], [0, 2], [10, 0], [10, 2]], 2)
    np.testing.assert_array_equal(sorted(got.centers.tolist()), [[0, 1], [10, 1]])
    assert got.inertia == 4
    assert got.labels[0] == got.labels[1] != got.labels[2] == got.labels[3]
    assert got.labels.dtype == jnp.int32


def test_weights_by_hand():
    """A row of weight 3 pulls the mean to a quarter of the way; the inertia is 3·1² + 1·3²."""
    got = fit([[0.0], [4.0]], 1, weight=[3.0, 1.0])
    np.testing.assert_allclose(got.centers, [[1.0]], rtol=1e-6)
    np.testing.assert_allclose(got.inertia, 12, rtol=1e-6)


@pytest.mark.parametrize(
    "x, k",
    [(load_digits().data, 10), (blobs(8.0), 5), (blobs(1.0), 5), (1e3 * blobs(8.0).round() + 1e6, 5)],
    ids=["digits", "separated", "overlapping", "large integers"],
)
def test_as_good_as_scikit_learn(x, k):
    got = fit(x, k)
    assert got.inertia <= 1.001 * KMeans(k, n_init=20, random_state=0).fit(x).inertia_
    exact = ((x.astype(np.float64) - np.asarray(got.centers, np.float64)[got.labels]) ** 2).sum()
    np.testing.assert_allclose(got.inertia, exact, rtol=1e-4)


@pytest.mark.data
@pytest.mark.skipif("DEC_DATA" not in os.environ, reason="needs MNIST under $DEC_DATA")
@pytest.mark.slow
def test_as_good_as_scikit_learn_on_mnist():
    with gzip.open(Path(os.environ["DEC_DATA"]) / "mnist" / "t10k-images-idx3-ubyte.gz") as file:
        x = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)[:2500].astype(np.float32) / 255
    assert fit(x, 10).inertia <= 1.001 * KMeans(10, n_init=20, random_state=0).fit(x).inertia_


def test_padding_counts_for_nothing():
    x = blobs(8.0)
    garbage = np.full((100, 4), np.nan, np.float32)
    plain, padded = fit(x, 5), fit(np.concatenate([x, garbage]), 5, weight=np.r_[np.ones(600), np.zeros(100)])
    np.testing.assert_array_equal(padded.labels[:600], plain.labels)
    np.testing.assert_allclose(padded.centers, plain.centers, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(padded.inertia, plain.inertia, rtol=1e-5)


@pytest.mark.parametrize("change", [lambda x: x + 100, lambda x: x[::-1], lambda x: x[:, ::-1], lambda x: 7 * x])
def test_partition_is_invariant(change):
    x = blobs(8.0)
    plain, changed = fit(x, 5).labels, fit(change(x), 5).labels
    if change(x)[0, 0] == x[-1, 0]:
        changed = changed[::-1]
    assert adjusted_rand_score(plain, changed) == 1


def test_deterministic_per_key_and_solo_equals_vmap():
    x = jnp.asarray(blobs(1.0))
    keys = jax.random.split(jax.random.key(3), 3)
    run = partial(kmeans, x=x, weight=jnp.ones(len(x)), k=5, restarts=4)
    solo = [run(key) for key in keys]
    np.testing.assert_array_equal(solo[0].centers, run(keys[0]).centers)
    together, one_by_one = jax.vmap(run)(keys), jax.lax.map(run, keys)
    for i, alone in enumerate(solo):
        np.testing.assert_allclose(together.inertia[i], alone.inertia, rtol=1e-4)
        np.testing.assert_array_equal(one_by_one.labels[i], alone.labels)
        assert adjusted_rand_score(together.labels[i], alone.labels) > 0.99


def test_chunks_change_nothing(monkeypatch):
    """37 rows a chunk, so that the last of the 17 chunks is padded, against one chunk of all."""
    x, centers = jnp.asarray(blobs(8.0)), jnp.asarray(blobs(8.0, n=5, seed=1))
    weight = jnp.ones(600)
    for a, b in zip(sweep(chunks(x, weight, 37), centers), sweep(chunks(x, weight, 600), centers)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-3)
    whole = fit(x, 5)
    monkeypatch.setattr(module, "TABLE", 37 * 5 * 20)
    kmeans.clear_cache()  # the table's size is read while tracing
    parts = fit(x, 5)
    kmeans.clear_cache()
    assert adjusted_rand_score(whole.labels, parts.labels) == 1
    np.testing.assert_allclose(parts.inertia, whole.inertia, rtol=1e-5)


def test_empty_cluster_moves_to_the_farthest_row():
    """Both rows near 0 and the one at 9 belong to the first centre; the second, at -100, has none and moves to 9."""
    rows = chunks(jnp.array([[0.0], [1.0], [9.0], [50.0]]), jnp.array([1.0, 1.0, 1.0, 0.0]), 2)
    start = jnp.array([[1.0], [-100.0]])
    once = lloyd(rows, start, max_iterations=1, threshold=jnp.asarray(1e-6))
    np.testing.assert_allclose(once, [[10 / 3], [9.0]], rtol=1e-6)  # weight 0 at 50 is no candidate
    np.testing.assert_allclose(lloyd(rows, start, 10, jnp.asarray(1e-6)), [[0.5], [9.0]], rtol=1e-6)


def test_fewer_distinct_rows_than_clusters():
    got = fit([[1.0, 1.0]] * 6 + [[2.0, 5.0]] * 3, 5)
    assert jnp.isfinite(got.centers).all()
    assert got.inertia == pytest.approx(0, abs=1e-6)
    assert got.labels[0] != got.labels[-1]
    assert jnp.isfinite(fit([[1.0]], 3).centers).all()


def test_nothing_to_cluster_is_not_nan():
    assert jnp.isfinite(fit(np.ones((4, 2)), 2, weight=np.zeros(4)).centers).all()


def test_pick_never_takes_mass_zero():
    mass = jnp.array([0.0, 1.0, 0.0, 3.0, 0.0])
    picks = jax.vmap(pick, (0, None))(jnp.array([0.0, 0.2, 0.25, 1 - 2**-23]), mass)
    assert picks.tolist() == [1, 1, 3, 3]
