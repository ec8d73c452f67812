"""What is found on the host, and the nearest of known rows."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dec.methods import host
from dec.methods.base import View, labels_of
from dec.methods.host import Found, Known, certain, cluster_rows, nearest, on_host

KEY = jax.random.key(0)
shape = jax.ShapeDtypeStruct


def test_rows_without_weight_are_not_passed_and_get_zeros():
    codes, weight = jnp.arange(8.0).reshape(4, 2), jnp.array([1.0, 0, 1, 0])

    def find(codes, seed):
        np.testing.assert_array_equal(codes, [[0, 1], [4, 5]])
        return codes.sum(axis=1), codes.mean(axis=0)

    by_row, mean = on_host(find, (shape((4,), jnp.float32), shape((2,), jnp.float32)), KEY, codes, weight)
    np.testing.assert_array_equal(by_row, [1, 0, 9, 0])
    np.testing.assert_array_equal(mean, [2, 3])


def test_a_diverged_network_is_not_passed():
    codes = jnp.array([[0.0, 1], [jnp.nan, 0]])
    shapes = shape((2,), jnp.float32), shape((3,), jnp.int32)
    real, whole = on_host(lambda codes, seed: pytest.fail("called"), shapes, KEY, codes, jnp.ones(2))
    np.testing.assert_array_equal(real, [np.nan] * 2)
    np.testing.assert_array_equal(whole, [0] * 3)


def test_each_key_has_its_seed():
    seeds = [int(on_host(lambda codes, seed: seed % 2**31, shape((), jnp.int32), jax.random.key(i), jnp.zeros((1, 1)),
                         jnp.ones(1))) for i in (0, 1, 0)]
    assert seeds[0] == seeds[2] != seeds[1]


@pytest.mark.parametrize("processes", [0, 10_000])  # rows from which on seeds have processes of their own
def test_seeds_side_by_side_find_what_each_finds_alone(monkeypatch, processes):
    monkeypatch.setattr(host, "PROCESSES", processes)
    monkeypatch.setattr("joblib.cpu_count", lambda: 2)
    keys, codes = jax.random.split(KEY, 3), jnp.arange(24.0).reshape(3, 4, 2)
    weight = jnp.ones((3, 4)).at[1, 2].set(0)

    shapes = shape((4,), jnp.float32), shape((), jnp.uint32), shape((), jnp.int32)

    def one(key, codes, weight):
        return on_host(lambda codes, seed: (codes.sum(axis=1), seed, os.getpid()), shapes, key, codes, weight)

    *found, processes_used = jax.jit(jax.vmap(one))(keys, codes, weight)
    assert (os.getpid() in processes_used) == (processes > 0)
    shared, *_ = jax.jit(jax.vmap(one, (0, None, None)))(keys, codes[1], weight[1])
    np.testing.assert_array_equal(shared, np.tile(found[0][1], (3, 1)))
    for s in range(3):
        jax.tree.map(np.testing.assert_array_equal, [a[s] for a in found], list(one(keys[s], codes[s], weight[s])[:2]))


@pytest.mark.parametrize("table", [1, 7 * 30, 1 << 24])  # a row, a third of the rows, all rows at a time
def test_nearest_against_float64(monkeypatch, table):
    monkeypatch.setattr(host, "TABLE", table)
    rng = np.random.default_rng(0)
    rows, codes = 1e3 + rng.normal(size=(20, 3)), 1e3 + rng.normal(size=(30, 3))
    core, radius = rng.random(20) < 0.7, 1.0
    labels = rng.integers(4, size=20)
    known = Known(jnp.float32(rows), certain(jnp.array(labels), 4), jnp.array(core), jnp.float32(radius))
    distance = np.where(core, np.linalg.norm(np.float32(codes)[:, None] - np.float32(rows), axis=2), np.inf)
    expected = np.where(distance.min(axis=1) <= radius, labels[distance.argmin(axis=1)], -1)
    assert {*expected} == {-1, 0, 1, 2, 3}
    np.testing.assert_array_equal(labels_of(nearest(known, jnp.float32(codes))), expected)


def test_none_of_nothing():
    known = Known(jnp.ones((3, 2)), jnp.zeros((3, 2)), jnp.zeros(3, bool), jnp.float32(host.FAR))
    assert labels_of(nearest(known, jnp.ones((1, 2)))) == -1


def halves(codes, k, seed):
    return Found((codes[:, 0] > 0).astype(int))


def test_of_many_rows_a_sample_is_clustered_and_the_others_join(monkeypatch):
    monkeypatch.setattr(host, "MOST", 50)
    codes = jax.random.normal(KEY, (400, 1)) + 5 * jnp.sign(jax.random.normal(jax.random.key(1), (400, 1)))
    method = cluster_rows(halves, "euclidean")
    head = method.init(KEY, None, View(lambda net: codes, jnp.ones(400)), 2)
    assert head.state.rows.shape == (50, 1) and len(np.unique(head.state.rows)) == 50
    assert len(np.setdiff1d(head.state.rows, codes)) == 0
    labels = np.asarray(labels_of(method.assign(head, codes)))
    found = np.asarray(head.state.rows)[:, 0] > 0
    assert (labels == (codes[:, 0] > 0)).all() or (labels == (codes[:, 0] < 0)).all()
    assert (labels == 0).mean() == pytest.approx(max(found.mean(), 1 - found.mean()), abs=0.15)  # 0 is the larger one


def test_the_metric_cosine_sees_directions_only():
    codes = jnp.array([[1, 0], [9, 1], [0, 1], [1, 9], [0, 0]], jnp.float32)
    seen = []

    def cluster(codes, k, seed):
        seen.append(codes)
        return Found((codes[:, 1] > codes[:, 0]).astype(int))

    method = cluster_rows(cluster, "cosine")
    head = method.init(KEY, None, View(lambda net: codes, jnp.ones(5)), 2)
    np.testing.assert_allclose(np.linalg.norm(seen[0], axis=1), [1, 1, 1, 1, 0], rtol=1e-6)
    np.testing.assert_array_equal(labels_of(method.assign(head, 100 * codes)), [0, 0, 1, 1, 0])
    with pytest.raises(ValueError, match="metric='manhattan' must be euclidean or cosine"):
        cluster_rows(cluster, "manhattan")
