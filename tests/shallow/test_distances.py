import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dec.shallow.distances import SMALL, squared_distances


def test_by_hand():
    got = squared_distances(jnp.array([[0, 0], [3, 4]]), jnp.array([[0, 0], [0, 4]]))
    np.testing.assert_array_equal(got, [[0, 16], [25, 9]])
    assert got.dtype == jnp.float32


@pytest.mark.parametrize("k, d", [(10, 10), (30, 50)])
def test_both_forms_agree_with_float64(k, d):
    x, c = (np.asarray(jax.random.normal(jax.random.key(i), (n, d))) for i, n in enumerate((40, k)))
    exact = ((x.astype(np.float64)[:, None] - c.astype(np.float64)) ** 2).sum(-1)
    np.testing.assert_allclose(squared_distances(jnp.asarray(x), jnp.asarray(c)), exact, rtol=1e-5)


def test_far_from_the_origin_nothing_is_lost():
    x = np.random.default_rng(0).normal(size=(60, 10)).astype(np.float32)
    far = jnp.asarray(x + np.float32(2**12))
    exact = ((np.asarray(far, np.float64)[:, None] - np.asarray(far, np.float64)) ** 2).sum(-1)
    np.testing.assert_allclose(squared_distances(far, far), exact, atol=1e-4)


def test_the_expanded_form_is_never_negative():
    x = 1e3 + jax.random.normal(jax.random.key(0), (50, 64))
    assert x.size > SMALL
    assert squared_distances(x, x).min() >= 0
