"""Mixtures against SciPy and scikit-learn in float64."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import multivariate_normal
from sklearn.datasets import make_blobs
from sklearn.mixture import GaussianMixture

from dec.shallow.mixture import Mixture, divergence, fit_mixture

MIXTURE = Mixture(jnp.array([0.0, 1.0]), jnp.array([[0.0, 1.0], [2.0, -1.0]]), jnp.array([[0.0, 1.0], [-1.0, 0.5]]))


def test_densities_are_scipys():
    z = np.array([[0.3, -0.2], [2.0, 5.0], [-40.0, 1.0]])
    share = np.array([1, np.e]) / (1 + np.e)
    expected = np.log(share) + np.stack([
        multivariate_normal(MIXTURE.mean[c], np.diag(np.exp(MIXTURE.log_variance[c]))).logpdf(z) for c in (0, 1)], 1)
    np.testing.assert_allclose(MIXTURE.log_joint(jnp.asarray(z, jnp.float32)), expected, rtol=1e-5)


def test_divergence_by_hand():
    """KL(N(1, 4) || N(0, 1)) = ½ (4 + 1 - 1 - log 4); two independent numbers add up."""
    one = 0.5 * (4 - np.log(4))
    found = divergence(*(jnp.array(v) for v in ([1.0, 0.0], [np.log(4), 0.0], [0.0, 0.0], [0.0, 0.0])))
    np.testing.assert_allclose(found, one, rtol=1e-6)
    assert divergence(*MIXTURE[1:], *MIXTURE[1:]).max() < 1e-6


def test_the_fit_is_as_likely_as_scikit_learns():
    x, _ = make_blobs(600, 5, centers=4, cluster_std=[0.5, 1.0, 2.0, 1.0], random_state=3)
    x = x.astype(np.float32)
    found = jax.jit(fit_mixture, static_argnums=3)(jax.random.key(0), x, jnp.ones(600), 4)
    likelihood = float(jax.scipy.special.logsumexp(found.log_joint(x), axis=1).mean())
    theirs = GaussianMixture(4, covariance_type="diag", n_init=10, random_state=0).fit(x.astype(np.float64))
    assert likelihood > theirs.score(x) - 0.02
    order = np.argsort(found.mean[:, 0]), np.argsort(theirs.means_[:, 0])
    np.testing.assert_allclose(found.mean[order[0]], theirs.means_[order[1]], atol=0.05)


def test_rows_of_weight_zero_and_constant_codes():
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    padded, weight = np.vstack([x, np.full((9, 3), 1e3, np.float32)]), jnp.ones(59).at[50:].set(0)
    a, b = (fit_mixture(jax.random.key(0), *rows, 2) for rows in ((x, jnp.ones(50)), (padded, weight)))
    order = [np.argsort(m.mean[:, 0]) for m in (a, b)]
    np.testing.assert_allclose(a.mean[order[0]], b.mean[order[1]], atol=0.2)
    constant = fit_mixture(jax.random.key(0), jnp.ones((20, 3)), jnp.ones(20), 2)
    assert all(np.isfinite(leaf).all() for leaf in constant)
    assert np.isfinite(constant.log_joint(jnp.ones((2, 3)))).all()
