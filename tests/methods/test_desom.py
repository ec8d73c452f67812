"""DESOM by hand on a map of one row of three units, and a small run to its end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dec
from dec.methods import make
from dec.methods.base import Batch, Clock, Head
from dec.methods.som import Units


class Halved:
    """A network whose codes are the rows and whose reconstructions are half of them."""

    def encode(self, x):
        return x

    def reconstruction(self, x, z):
        return jnp.mean((x - z / 2) ** 2, axis=-1)


# Codes 0 and 2, prototypes 0, 1 and 2.5: best-matching units are the first and the last.
X = jnp.array([[0.0, 0.0], [2.0, 0.0]])
HEAD = Head(jnp.array([[0.0, 0.0], [1.0, 0.0], [2.5, 0.0]]), Units(jnp.ones(3), jnp.arange(2)))
SQUARED = np.array([[0, 1, 6.25], [4, 1, 0.25]])
STEPS = np.array([[0, 1, 2], [2, 1, 0]])  # on the map, from the best-matching unit


def method(**options):
    return make("desom", {"height": 1, "width": 3, "t_max": 10.0, **options})


def terms(head, x=X, fraction=0.5, **options):
    batch, clock = Batch(x, x, (), (), jnp.ones(2), jax.random.key(0)), Clock(0, 0.0, jnp.float32(fraction))
    return method(**options).loss(Halved(), head, batch, clock)


@pytest.mark.parametrize("fraction, t", [(0.0, 10.0), (0.5, 1.0), (0.75, 10**-0.5), (1.0, 0.1)])
def test_terms_by_hand(fraction, t):
    found = terms(HEAD, fraction=fraction, gamma=0.25)
    assert found.keys() == {"reconstruction", "map"}
    np.testing.assert_allclose(found["reconstruction"], [0, 0.5])
    np.testing.assert_allclose(found["map"], 0.25 * (np.exp(-STEPS**2 / t**2) * SQUARED).sum(1), rtol=1e-5, atol=1e-9)


def test_the_weights_are_constants():
    """The gradient is that of Σ K |z - m|² with K fixed: 2 γ K (m - z) for a prototype, the opposite for a code."""
    of_prototypes, of_codes = jax.grad(
        lambda prototypes, x: terms(Head(prototypes, HEAD.state), x, gamma=0.25)["map"].sum(), (0, 1)
    )(HEAD.params, X)
    pull = 2 * 0.25 * np.exp(-STEPS[..., None] ** 2) * (np.asarray(HEAD.params) - np.asarray(X)[:, None])
    np.testing.assert_allclose(of_prototypes, pull.sum(0), rtol=1e-5)
    np.testing.assert_allclose(of_codes, -pull.sum(1), rtol=1e-5)


def test_units_keep_the_rows_of_the_last_refresh():
    codes = jnp.concatenate([X, X[:1], X + 9])
    _, rows = method().refresh(HEAD, codes, jnp.array([1, 1, 1, 1, 0]))
    assert rows.tolist() == [2, 0, 2]
    state = method().update(HEAD, codes, Batch(X, X, (), rows, jnp.ones(2), jax.random.key(0)))
    assert state.rows.tolist() == [2, 0, 2] and state.clusters.tolist() == [0, 1]


def test_a_run_to_its_end(blobs, tiny, tmp_path):
    """Without pretraining. Units know the rows of the last refresh, and the clusters are the same saved and loaded."""
    loose = dec.Refinement(steps=60, refresh_every=20, tolerance=0.9)  # it anneals to its last step all the same
    settings = tiny | {"refinement": loose, "pretraining": dec.Pretraining(epochs=0)}
    model = dec.DESOM(4, gamma=0.1, height=3, width=4, **settings).fit(blobs[0])
    losses = model.history_["loss"].to_numpy()
    assert model.n_iter_ == 60 and losses[-1] < losses[0]
    head = jax.tree.map(lambda leaf: np.asarray(leaf[0]), model.fit_.heads)
    assert head.params.shape == (12, 3) and head.state.rows.sum() == 300
    assert model.cluster_centers_.shape == (4, 3)
    model.save(tmp_path)
    again = dec.load(tmp_path)
    np.testing.assert_array_equal(again.predict(blobs[0]), model.labels_)
    np.testing.assert_array_equal(again.cluster_centers_, model.cluster_centers_)


@pytest.mark.parametrize("options, message", [
    ({"gamma": -1.0}, "gamma=-1.0 must be at least 0"),
    ({"t_min": 2.0}, "t_min=2.0 must be above 0 and at most t_max=1.0"),
    ({"width": 0}, "width=0 must be at least 1"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        make("desom", options)
