"""Density on hand-made codes: what is a cluster, what is noise, and what new rows join."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import DBSCAN
from sklearn.neighbors import NearestNeighbors

from dec.methods.base import View, labels_of
from dec.methods.density import dbscan, hdbscan
from dec.methods.host import nearest

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


def test_the_default_radius_keeps_close_groups_apart():
    """With neighbours for nine of ten rows the two close groups would be one."""
    rng, group = np.random.default_rng(0), np.repeat([0, 1, 2], 150)
    codes = rng.normal(size=(450, 2)) + np.array([[0, 0], [4.2, 0], [0, 12]])[group]
    head = dbscan().init(jax.random.key(0), None, View(lambda net: jnp.asarray(codes, jnp.float32), jnp.ones(450)), 3)
    found = np.asarray(labels_of(nearest(head.state, jnp.asarray(codes, jnp.float32))))
    of_group = [np.bincount(found[(group == g) & (found >= 0)], minlength=3) for g in range(3)]
    assert sorted(np.argmax(of_group, axis=1)) == [0, 1, 2] and all(c.max() > 0.95 * c.sum() > 75 for c in of_group)
    wide = DBSCAN(eps=np.quantile(NearestNeighbors(n_neighbors=5).fit(codes).kneighbors()[0][:, -1], 0.9)).fit(codes)
    assert wide.labels_.max() == 1


@pytest.mark.parametrize("make, options, message", [
    (dbscan, {"eps": -1.0}, "eps=-1.0 must be above 0"),
    (dbscan, {"min_samples": 0}, "min_samples=0 must be at least 1"),
    (hdbscan, {"min_cluster_size": 1}, "min_cluster_size=1 must be at least 2"),
])
def test_bad_options(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
