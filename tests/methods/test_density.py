"""Density on hand-made codes: what is a cluster, what is noise, and what new rows join."""

import jax
import jax.numpy as jnp
import pytest

from dec.methods.base import View, labels_of
from dec.methods.density import dbscan, hdbscan

# Two tight groups on a line, six rows and four, and one row far from both.
CODES = jnp.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 10, 10.1, 10.2, 10.3, 30], jnp.float32)[:, None]


def labels(method, codes, k=3):
    head = method.init(jax.random.key(0), None, View(lambda net: CODES, jnp.ones(len(CODES))), k)
    return list(map(int, labels_of(method.assign(head, codes))))


@pytest.mark.parametrize("method", [dbscan(eps=0.15, min_samples=2), hdbscan(min_cluster_size=3, min_samples=2)])
def test_groups_are_clusters_by_size_and_the_row_far_from_both_is_noise(method):
    assert labels(method, CODES) == [0] * 6 + [1] * 4 + [-1]
    assert labels(method, CODES, k=1) == [0] * 6 + [-1] * 5  # the largest is kept


def test_what_new_rows_join():
    new = jnp.array([[0.6], [0.7], [29.9], [10.35]])
    assert labels(dbscan(eps=0.15, min_samples=2), new) == [0, -1, -1, 1]  # within eps of a core row
    assert labels(hdbscan(min_cluster_size=3, min_samples=2), new) == [0, 0, -1, 1]  # what the nearest row is


def test_a_row_at_the_border_is_no_bridge():
    codes = jnp.array([0, 0.05, 0.1, 0.15, 0.2, 0.4, 0.6, 0.65, 0.7, 0.75, 0.8])[:, None]  # 0.4 is near two groups
    method = dbscan(eps=0.21, min_samples=4)
    head = method.init(jax.random.key(0), None, View(lambda net: codes, jnp.ones(11)), 3)
    assert not head.state[2][5]  # three rows within eps of it: no core row
    found = list(map(int, labels_of(method.assign(head, codes))))
    assert set(found[:5]) != set(found[6:]) and {*found[:5]} | {*found[6:]} == {0, 1} and found[5] in (0, 1)


def test_the_default_radius_has_neighbours_for_nine_of_ten_rows():
    codes = jax.random.normal(jax.random.key(1), (200, 2))
    head = dbscan().init(jax.random.key(0), None, View(lambda net: codes, jnp.ones(200)), 2)
    within = (jnp.linalg.norm(codes[:, None] - codes, axis=-1) <= head.state[3]).sum(axis=1)
    assert 0.85 <= float((within >= 5).mean()) <= 0.95


@pytest.mark.parametrize("make, options, message", [
    (dbscan, {"eps": -1.0}, "eps=-1.0 must be above 0"),
    (dbscan, {"min_samples": 0}, "min_samples=0 must be at least 1"),
    (hdbscan, {"min_cluster_size": 1}, "min_cluster_size=1 must be at least 2"),
])
def test_bad_options(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
