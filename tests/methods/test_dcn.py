"""DCN by hand, its centers against the row-by-row rule of the paper, and its periods in a whole run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans

import dec
from dec.methods import make
from dec.methods.base import Batch, Clock, Head, View
from dec.methods.som import Units


class Halved:
    """A network whose codes are the rows and whose reconstructions are half of them."""

    def encode(self, x):
        return x

    def reconstruction(self, x, z):
        return jnp.mean((x - z / 2) ** 2, axis=-1)


def head(centers, counts):
    return Head((), (jnp.float32(centers), jnp.float32(counts)))


def batch(x, weight=None):
    x = jnp.float32(x)
    return Batch(x, x, (), (), jnp.ones(len(x)) if weight is None else jnp.float32(weight), jax.random.key(0))


def row_by_row(centers, counts, rows):
    """Eq. 8 as it is written, for rows that were all assigned to the centers before the first of them moved one."""
    centers, counts = np.array(centers, np.float64), np.array(counts, np.float64)
    label = ((np.float64(rows)[:, None] - centers) ** 2).sum(-1).argmin(1)
    for z, k in zip(np.float64(rows), label):
        counts[k] += 1
        centers[k] -= (centers[k] - z) / counts[k]
    return centers, counts


def test_terms_by_hand():
    """λ/2 of the squared distance to the nearest center; the gradient is λ (z - m), and no center is a parameter."""
    method, at = make("dcn", {"lam": 0.5}), head([[0, 0], [4, 0]], [100, 100])
    rows = batch([[1, 0], [4, 2], [2.5, 0]])
    terms = method.loss(Halved(), at, rows, None)
    assert terms.keys() == {"reconstruction", "clustering"}
    np.testing.assert_allclose(terms["reconstruction"], [0.125, 2.5, 0.78125])
    np.testing.assert_allclose(terms["clustering"], [0.25 * 1, 0.25 * 4, 0.25 * 2.25])
    pull = jax.grad(lambda x: method.loss(Halved(), at, rows._replace(x=x), None)["clustering"].sum())(rows.x)
    np.testing.assert_allclose(pull, 0.5 * np.array([[1, 0], [0, 2], [-1.5, 0]]))
    np.testing.assert_array_equal(jnp.exp(method.assign(at, rows.x)), [[1, 0], [0, 1], [0, 1]])


def test_update_by_hand():
    """Rows 1 and 3 go to the center at 0 of 100 rows: 4 / 102. The other one has none, and stays."""
    centers, counts = make("dcn").update(head([[0], [10]], [100, 7]), jnp.float32([[1], [3]]), batch([[1], [3]]))
    np.testing.assert_allclose(centers, [[4 / 102], [10]], rtol=1e-6)
    np.testing.assert_array_equal(counts, [102, 7])


def test_a_batch_moves_the_centers_as_its_rows_one_by_one_would():
    rng, update = np.random.default_rng(0), make("dcn").update
    rows, centers, counts = rng.normal(size=(3, 40, 5)), rng.normal(size=(4, 5)), np.full(4, 100.0)
    found = head(centers, counts)
    for part in rows:
        found = Head((), update(found, jnp.float32(part), batch(part)))
        centers, counts = row_by_row(centers, counts, part)
    np.testing.assert_allclose(found.state[0], centers, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.state[1], counts)
    assert counts.sum() == 400 + 120
    # It would not do to begin each batch with 100 again.
    forgetful = head(*found.state)._replace(state=(found.state[0], jnp.full(4, 100.0)))
    again, forgot = (update(at, jnp.float32(rows[0]), batch(rows[0]))[0] for at in (found, forgetful))
    np.testing.assert_allclose(again, row_by_row(centers, counts, rows[0])[0], rtol=1e-5, atol=1e-6)
    assert np.abs(again - forgot).max() > 1e-3


def test_padding_moves_nothing():
    at, rows = head([[0, 0], [4, 0]], [100, 100]), jnp.float32([[1, 0], [3, 1], [4, 9], [1, 5]])
    update = make("dcn").update
    padded = update(at, rows, batch(rows, [1, 1, 0, 0]))
    for one, other in zip(padded, update(at, rows[:2], batch(rows[:2]))):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    np.testing.assert_array_equal(padded[1], [101, 101])


def between(start, codes, weight=None):
    view = View(lambda net: jnp.float32(codes), jnp.ones(len(codes)) if weight is None else jnp.float32(weight))
    net, after = make("dcn").between(jax.random.key(0), "the network", start, view, None)
    assert net == "the network" and after.params == ()
    return after.state


def test_k_means_goes_on_from_the_centers_it_has():
    """Labels keep their numbers: the centers are scikit-learn's from the same start, in the same order."""
    rng = np.random.default_rng(0)
    codes, start = rng.normal(size=(200, 3)) + 50, rng.normal(size=(5, 3)) + 50
    centers, counts = between(head(start, [100, 300, 200, 150, 101]), codes)
    np.testing.assert_allclose(centers, KMeans(5, init=start, n_init=1, tol=0).fit(codes).cluster_centers_, rtol=1e-5)
    np.testing.assert_array_equal(counts, np.full(5, 100))
    more = between(head(start, np.ones(5)), [*codes, *np.full((9, 3), 1e3)], [1] * 200 + [0] * 9)
    np.testing.assert_allclose(more[0], centers, rtol=1e-5)


def test_a_center_without_rows_moves_to_the_row_farthest_from_its_own():
    centers, _ = between(head([[0], [99]], [100, 100]), [[-1], [0], [1], [8]])
    np.testing.assert_allclose(centers, [[0], [8]], atol=1e-6)


def test_counts_of_a_whole_run(blobs, tiny, tmp_path):
    """Of 40 steps, 5 an epoch, the last k-means comes before step 30: two more epochs of 300 rows count."""
    model = dec.DCN(4, recluster_every=3, **tiny).fit(blobs[0])
    centers, counts = (leaf[0] for leaf in model.fit_.heads.state)
    assert counts.sum() == 4 * 100 + 2 * 300
    np.testing.assert_array_equal(model.cluster_centers_, centers)
    model.save(tmp_path)
    np.testing.assert_array_equal(dec.load(tmp_path).predict(blobs[0]), model.labels_)


@pytest.mark.parametrize(("options", "message"), [
    ({"lam": -1.0}, "lam=-1.0 must be at least 0"),
    ({"recluster_every": -1}, "recluster_every=-1 must be at least 0 epochs"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        make("dcn", options)


def test_targets_are_the_centers_of_the_rows_as_they_are():
    """A row at 4 whose view lies at 6: it is drawn to 0, the nearer center of the row itself, from 6."""
    centers = jnp.array([[0.0], [10.0]])
    batch = Batch(jnp.array([[6.0]]), jnp.array([[4.0]]), (), (), jnp.ones(1), jax.random.key(0))
    found = make("dcn", {"lam": 2.0}).loss(Halved(), head(centers, [100, 100]), batch, None)["clustering"]
    np.testing.assert_allclose(found, [36.0])
    desom = make("desom", {"height": 1, "width": 2, "gamma": 1.0, "t_max": 0.2})
    units = Head(centers, Units(jnp.ones(2), jnp.arange(2)))
    found = desom.loss(Halved(), units, batch, Clock(0, 0.0, jnp.float32(0)))["map"]
    np.testing.assert_allclose(found, [36.0], rtol=1e-5)
