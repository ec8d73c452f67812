"""IDEC by hand: what it adds to DEC."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dec.config import Network
from dec.methods import make
from dec.methods.base import Batch, Head
from dec.networks.autoencoder import Net, build


class Halved:
    """A network whose codes are the rows and whose reconstructions are half of them."""

    def encode(self, x):
        return x

    def reconstruction(self, x, z):
        return jnp.mean((x - z / 2) ** 2, axis=-1)


def test_terms_by_hand():
    """Codes (0 0) and (2 0), centers (0 0) and (√3 0), q = (.8 .2), (…): reconstruction 0 and (1 + 0) / 2."""
    head = Head(jnp.float32([[0, 0], [3**0.5, 0]]))
    x = jnp.float32([[0, 0], [2, 0]])
    ratio = (1 + (2 - 3**0.5) ** 2) / 5  # of the second row's kernels
    q = np.array([[0.8, 0.2], [ratio / (1 + ratio), 1 / (1 + ratio)]])
    p = q**2 / q.sum(0)
    p /= p.sum(1, keepdims=True)
    method = make("idec", {"gamma": 0.25})
    rows, stats = method.refresh(head, x, jnp.ones(2))
    terms = method.loss(Halved(), head, Batch(x, x, rows, stats, jnp.ones(2), jax.random.key(0)), None)
    assert terms.keys() == {"reconstruction", "clustering"}
    np.testing.assert_allclose(terms["reconstruction"], [0, 0.5], rtol=1e-6)
    np.testing.assert_allclose(terms["clustering"], 0.25 * (p * np.log(p / q)).sum(1), rtol=1e-4)


@pytest.fixture(scope="module")
def gradient():
    """The gradients (net, centers) of a method's mean loss on random rows, and of the reconstruction alone."""
    x = jax.random.normal(jax.random.key(0), (12, 4))
    module, rng = build(Network(hidden=(5,), code_size=2), 4), np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: Net.fresh(key, module), jax.random.key(1))
    net = jax.tree.map(lambda a: jnp.asarray(rng.normal(scale=0.5, size=a.shape), a.dtype), shapes)
    centers = jax.random.normal(jax.random.key(2), (3, 2))
    rows, stats = make("dec").refresh(Head(centers), net.encode(x), jnp.ones(12))
    batch = Batch(x, x, rows, stats, jnp.ones(12), jax.random.key(3))

    def gradient(name, **options):
        def mean(net, centers):
            if name == "autoencoder":
                return net.reconstruction(x, net.encode(x)).mean()
            terms = make(name, options).loss(net, Head(centers), batch, None)
            return sum(term.mean() for term in terms.values())

        net_gradient, head_gradient = jax.jit(jax.grad(mean, (0, 1)))(net, centers)
        return net_gradient.params["params"], head_gradient

    return gradient


def size(tree):
    return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree))


def test_the_decoder_learns_in_idec_and_not_in_dec(gradient):
    for name, decoder_learns in (("dec", False), ("idec", True)):
        net, centers = gradient(name)
        assert (size([net["decoder_0"], net["decoder_1"]]) > 1e-3) == decoder_learns
        assert size(net["encoder_0"]) > 1e-4 and size(net["encoder_1"]) > 1e-4 and size(centers) > 1e-4


def test_gamma_weighs_the_two(gradient):
    """The gradient is reconstruction's + γ · DEC's; without γ the plain autoencoder's, and the centers stay."""
    plain, none = gradient("autoencoder")
    clustering, pull = gradient("dec")
    for gamma in (0.0, 0.1, 3.0):
        net, centers = gradient("idec", gamma=gamma)
        for a, b, c in zip(*map(jax.tree.leaves, (net, plain, clustering))):
            np.testing.assert_allclose(a, b + gamma * c, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(centers, gamma * pull, rtol=1e-4, atol=1e-7)
    assert size(none) == 0


def test_alpha_and_target_are_decs():
    x, head = jax.random.normal(jax.random.key(0), (6, 2)), Head(jax.random.normal(jax.random.key(1), (3, 2)))
    options = {"alpha": 2.0, "target": "batch"}
    batch = Batch(x, x, (), (), jnp.ones(6), jax.random.key(0))
    a = make("idec", {"gamma": 1.0, **options}).loss(Halved(), head, batch, None)["clustering"]
    b = make("dec", options).loss(Halved(), head, batch, None)["clustering"]
    np.testing.assert_array_equal(a, b)
    assert make("idec", options).refresh is None
