import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dec.shallow.student_t import kl_divergence, log_assignment, target_distribution


def test_assignment_by_hand():
    """One code at squared distances 0 and 3: kernels 1 and 1/4."""
    q = jnp.exp(log_assignment(jnp.array([[0.0]]), jnp.array([[0.0], [3.0**0.5]])))
    np.testing.assert_allclose(q, [[0.8, 0.2]], rtol=1e-6)


def test_target_by_hand():
    """q = (.8 .2; .4 .6), f = (1.2, .8): row 1 is .64/1.2 : .04/.8 = 32 : 3, row 2 is .16/1.2 : .36/.8 = 8 : 27."""
    q = jnp.array([[0.8, 0.2], [0.4, 0.6]])
    np.testing.assert_allclose(target_distribution(q, q.sum(0)), [[32 / 35, 3 / 35], [8 / 35, 27 / 35]], rtol=1e-6)


def test_divergence_by_hand():
    p, q = jnp.array([[0.5, 0.5], [1.0, 0.0]]), jnp.array([[0.25, 0.75], [0.5, 0.5]])
    np.testing.assert_allclose(kl_divergence(p, jnp.log(q)), [0.5 * np.log(4 / 3), np.log(2)], rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_against_float64(alpha):
    z, c = (np.asarray(jax.random.normal(jax.random.key(i), (n, 5)), np.float64) for i, n in enumerate((30, 4)))
    kernel = (1 + ((z[:, None] - c) ** 2).sum(-1) / alpha) ** (-(alpha + 1) / 2)
    q = kernel / kernel.sum(1, keepdims=True)
    p = q**2 / q.sum(0)
    p /= p.sum(1, keepdims=True)
    log_q = log_assignment(jnp.asarray(z, jnp.float32), jnp.asarray(c, jnp.float32), alpha)
    target = target_distribution(jnp.exp(log_q), jnp.exp(log_q).sum(0))
    np.testing.assert_allclose(log_q, np.log(q), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(target, p, rtol=1e-4)
    np.testing.assert_allclose(kl_divergence(target, log_q), (p * np.log(p / q)).sum(1), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("k", [2, 200])
def test_finite_with_finite_gradients_far_away(k):
    """Codes at distance 1e6, by explicit differences and by the expanded form."""
    codes = jnp.array([[0.0, 0.0], [1e6, 0.0], [-1e6, 1e6]])
    centers = jax.random.normal(jax.random.key(0), (k, 2)).at[0].set(0.0)

    def loss(codes, centers):
        log_q = log_assignment(codes, centers)
        q = jax.lax.stop_gradient(jnp.exp(log_q))
        return kl_divergence(target_distribution(q, q.sum(0)), log_q).sum()

    value, gradients = jax.value_and_grad(loss, (0, 1))(codes, centers)
    assert jnp.isfinite(value)
    assert all(jnp.isfinite(g).all() for g in gradients)


def test_relabelling_permutes_columns():
    z, c = jax.random.normal(jax.random.key(0), (20, 3)), jax.random.normal(jax.random.key(1), (4, 3))
    order = jnp.array([2, 0, 3, 1])
    np.testing.assert_allclose(log_assignment(z, c[order]), log_assignment(z, c)[:, order], rtol=1e-5)


def test_an_absent_cluster_gets_nothing():
    q = jnp.array([[0.5, 0.5, 0.0], [0.1, 0.9, 0.0]])
    p = target_distribution(q, q.sum(0))
    assert (p[:, 2] == 0).all()
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(target_distribution(q, jnp.zeros(3)), 0)
    log_q = jnp.where(q > 0, jnp.log(q), -1e30)
    value, gradient = jax.value_and_grad(lambda log_q: kl_divergence(p, log_q).sum())(log_q)
    assert jnp.isfinite(value) and jnp.isfinite(gradient).all()
