"""Densities against SciPy, divergences by hand."""

import jax.numpy as jnp
import numpy as np
from scipy.stats import multivariate_normal

from dec.shallow.mixture import Mixture, divergence

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
