"""The self-organising map by hand, against float64 NumPy, and on data whose shape is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

import dec
from dec.config import Pretraining
from dec.methods.base import Head, View, labels_of
from dec.methods.som import Units, som
from dec.shallow.som import fit_map, map_distances, neighbourhood, quality, temperature, ward


def fitted(x, height=8, width=8, t_min=0.5, seed=0, t_max=10.0, passes=50, weight=None):
    x = jnp.asarray(x, jnp.float32)
    weight = jnp.ones(len(x)) if weight is None else jnp.asarray(weight)
    return fit_map(jax.random.key(seed), x, weight, height, width, t_max, t_min, passes)


SQUARE = np.random.default_rng(0).uniform(size=(600, 2)).astype(np.float32)


# The map


def test_distances_neighbourhood_and_temperature_by_hand():
    distances = map_distances(2, 3)  # units 0 1 2 above 3 4 5
    np.testing.assert_array_equal(distances[0], [0, 1, 2, 1, 2, 3])
    np.testing.assert_array_equal(distances[4], [2, 1, 2, 1, 0, 1])
    np.testing.assert_allclose(neighbourhood(distances[0], 2.0), np.exp([0, -0.25, -1, -0.25, -1, -2.25]), rtol=1e-6)
    np.testing.assert_allclose([temperature(f, 10.0, 0.1) for f in (0, 0.25, 0.5, 1)], [10, 10**0.5, 1, 0.1], rtol=1e-6)


def test_passes_against_float64():
    rng = np.random.default_rng(1)
    x, weight = rng.normal(3, 1, (50, 4)).astype(np.float32), rng.uniform(size=50).astype(np.float32)
    found, rows = fitted(x, 2, 3, weight=weight, t_max=2.0, t_min=0.4, passes=4)
    prototypes = x[jax.random.choice(jax.random.key(0), 50, (6,), p=jnp.asarray(weight / weight.sum()))].astype(float)
    for t in 2 * 0.2 ** (np.arange(4) / 3):
        unit = ((x[:, None] - prototypes) ** 2).sum(-1).argmin(1)
        near = np.exp(-((map_distances(2, 3)[unit] / t) ** 2)) * weight[:, None]
        prototypes = near.T @ x / near.sum(0)[:, None]
    np.testing.assert_allclose(found, prototypes, rtol=1e-4)
    unit = ((x[:, None] - prototypes) ** 2).sum(-1).argmin(1)
    np.testing.assert_allclose(rows, np.bincount(unit, weight, 6), rtol=1e-5)


def test_rows_of_weight_zero_count_for_nothing():
    more = np.concatenate([SQUARE, np.full((7, 2), np.nan, np.float32)])
    weight = np.r_[np.ones(600), np.zeros(7)]
    for found, expected in zip(fitted(more, weight=weight), fitted(SQUARE)):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_map_of_equal_rows_or_of_few_is_finite():
    for x in (np.ones((20, 3)), np.array([[0], [1]])):
        prototypes, rows = fitted(x)
        assert np.isfinite(prototypes).all() and rows.sum() == len(x)


def test_the_lower_the_last_temperature_the_closer_the_fit():
    errors = [quality(SQUARE, fitted(SQUARE, t_min=t)[0], 8, 8)["quantization_error"] for t in (10, 4, 2, 1, 0.5)]
    assert (np.diff(errors) < 0).all() and errors[-1] < 0.2 * errors[0]


@pytest.mark.parametrize("seed", range(3))
def test_a_square_and_a_ring_are_mapped_with_their_neighbourhoods(seed):
    found = quality(SQUARE, fitted(SQUARE, seed=seed)[0], 8, 8)
    assert found["topographic_error"] < 0.08 and found["trustworthiness"] > 0.98
    turn = 2 * np.pi * SQUARE[:, :1]
    ring = np.concatenate([np.cos(turn), np.sin(turn)], axis=1)
    prototypes = fitted(ring, 1, 20, seed=seed)[0]
    found = quality(ring, prototypes, 1, 20)
    assert found["topographic_error"] < 0.1  # where the ends of the string meet
    shuffled = quality(ring, np.random.default_rng(seed).permutation(prototypes), 1, 20)
    assert shuffled["topographic_error"] > 0.6 and shuffled["trustworthiness"] < found["trustworthiness"] - 0.3


def test_quality_by_hand():
    """Rows a c b d at 0 1 3 7, their units at 0 4 1 6 of a string of seven; nobody is near the other three.

    The prototypes that come second are those of c, a, c, b, all further than one step on the map. On the map a and b
    are nearest to each other, and c and d; among the rows they are of rank 2, 2, 3 and 2: 1 - (1 + 1 + 2 + 1) / 8.
    """
    x = np.float32([[0], [1], [3], [7]])
    prototypes = np.float32([[0], [3], [100], [200], [1], [300], [7]])
    found = quality(x, prototypes, 1, 7)
    assert found == {"quantization_error": 0, "topographic_error": 1, "trustworthiness": 1 - 5 / 8}
    found = quality(x, np.float32([[0], [1], [2], [9]]), 1, 4)  # distances 0 0 1 2; of the last row units 3 and 2
    assert found["quantization_error"] == 0.75 and found["topographic_error"] == 0


# Its clusters


def test_ward_by_hand():
    x = jnp.array([[0.0], [3.0], [5.0]])
    assert ward(x, jnp.ones(3), 2).tolist() == [0, 1, 1]  # 4 / 2 < 9 / 2
    assert ward(x, jnp.array([0.1, 1, 100]), 2).tolist() == [0, 0, 1]  # 100/101 · 4 > 0.1/1.1 · 9
    assert ward(x, jnp.ones(3), 1).tolist() == [0, 0, 0] and ward(x, jnp.ones(3), 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("k", [2, 5, 11])
def test_ward_against_scipy(k):
    """A weight is so many equal points; clusters are numbered by their first members."""
    rng = np.random.default_rng(k)
    x, weight = rng.normal(size=(40, 3)), rng.integers(1, 5, 40)
    names = fcluster(linkage(np.repeat(x, weight, axis=0), "ward"), k, "maxclust")[np.cumsum(weight) - 1]
    first = {name: place for place, name in enumerate(dict.fromkeys(names))}
    found = ward(jnp.asarray(x, jnp.float32), jnp.asarray(weight, jnp.float32), k)
    assert found.tolist() == [first[name] for name in names]


def test_units_are_grouped_by_hand():
    method, codes = som(1, 3), jnp.array([[-5.0], [0.4], [0.6], [2.4], [2.6]])
    head = Head(jnp.array([[0.0], [1.0], [4.0]]), Units(jnp.ones(3), jnp.arange(2)))
    assert labels_of(method.assign(head, codes)).tolist() == [0, 0, 0, 0, 1]
    np.testing.assert_allclose(method.centers(head), [[0.5], [4]])
    # The last unit has no rows: it joins its neighbour before two with many do.
    head = head._replace(state=Units(jnp.array([50.0, 100.0, 0.0]), jnp.arange(2)))
    assert labels_of(method.assign(head, codes)).tolist() == [0, 0, 1, 1, 1]
    np.testing.assert_allclose(method.centers(head), [[0], [1]], atol=1e-3)


@pytest.mark.parametrize("options", [{"height": 2, "width": 2}, {"height": 1, "width": 30}])
def test_separated_groups_are_the_clusters(blobs, options):
    method, view = som(**options), View(lambda net: jnp.asarray(blobs[0]), jnp.ones(300))
    head = method.init(jax.random.key(1), None, view, 4)
    labels = np.asarray(labels_of(method.assign(head, view.encode(None))))
    assert len(set(zip(labels, blobs[1]))) == len(set(labels)) == 4
    np.testing.assert_allclose(method.centers(head), [blobs[0][labels == j].mean(0) for j in range(4)], atol=0.3)


@pytest.mark.parametrize("options, message", [
    ({"height": 0}, "height=0 must be at least 1"),
    ({"passes": 0}, "passes=0 must be at least 1"),
    ({"t_min": 0.0}, "t_min=0.0 must be above 0 and at most t_max=10.0"),
    ({"t_max": 0.05}, "t_min=0.1 must be above 0 and at most t_max=0.05"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        som(**options)


def test_more_clusters_than_units():
    with pytest.raises(ValueError, match="n_clusters=7 is more than the 6 units; make height or width larger"):
        som(2, 3).init(jax.random.key(0), None, View(lambda net: jnp.asarray(SQUARE), jnp.ones(600)), 7)
    with pytest.raises(ValueError, match="n_clusters=7 is more than the 6 units"):  # before its million epochs
        dec.DeepClustering(7, method="desom", method_options={"height": 2, "width": 3},
                           pretraining=Pretraining(epochs=10**6)).fit(SQUARE)


def test_the_map_is_an_artifact_of_the_method():
    x = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    method = som(height=2, width=3)
    head = method.init(jax.random.key(0), None, View(lambda _: jnp.asarray(x), jnp.ones(12)), 3)
    (found,) = method.artifacts(head, x)
    assert (found.height, found.width, found.prototypes.shape) == (2, 3, (6, 3))
    assert set(found.clusters) == {0, 1, 2}
