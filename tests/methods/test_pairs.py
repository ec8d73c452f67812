"""Which methods go with which networks: each pair is traced, without computing anything, and a few are trained."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dec
from dec.config import Network
from dec.methods import METHODS, make
from dec.methods.base import Batch, Clock, Head, View
from dec.networks.autoencoder import Net, build

N, K = 30, 3
NETWORKS = {  # and the width of a row
    "dense": (Network(hidden=(8,)), 24),
    "variational": (Network(hidden=(8,), variational=True), 24),
    "variational, images": (Network(layers="conv", shape=(8, 8, 1), hidden=(3, 4), variational=True), 64),
    "variational, masked": (Network(layers="gru", shape=(11, 2), hidden=(6,), blocks=("sequence:11x2",),
                                    variational=True), 33),
    "sigmoid": (Network(hidden=(8,), output="sigmoid"), 24),
    "table": (Network(hidden=(8,), output="mixed", blocks=("gaussian:4", "categorical:15", "poisson:5"),
                      embed_above=10), 24),
    "images": (Network(layers="conv", shape=(8, 8, 1), hidden=(3, 4)), 64),
    "over time, masked": (Network(layers="conv", shape=(11, 2), hidden=(3,), blocks=("sequence:11x2",)), 33),
    "recurrent": (Network(layers="gru", shape=(12, 2), hidden=(6,)), 24),
    "recurrent, masked": (Network(layers="gru", shape=(11, 2), hidden=(6,), blocks=("sequence:11x2",)), 33),
}
# A method without a loss sees only codes, which are the same from any network.
TRAINED = [name for name in METHODS if name != "n2d" and make(name).loss]
PAIRS = [(method, network) for method in TRAINED for network in NETWORKS]
SOME = [("idec", "images"), ("dec", "over time, masked")]  # recurrent ones compile for longer


@pytest.mark.parametrize("name, network", PAIRS)
def test_a_pair_fits_together(name, network):
    method, (config, width) = make(name), NETWORKS[network]
    module = build(config, width, posterior=method.posterior)

    def total(net, params, head, batch):
        terms = method.loss(net, Head(params, head.state), batch, Clock(jnp.int32(0), jnp.float32(0), jnp.float32(0)))
        assert all(term.shape in ((), (N,)) for term in terms.values())
        return sum(term.mean() for term in terms.values())

    def whole(key, x):
        net, weight = Net.fresh(key, module), jnp.ones(N)
        head = method.init(key, net, View(lambda net: net.encode(x), weight), K)
        log_q = method.assign(head, net.encode(x))
        rows, stats = method.refresh(head, net.encode(x), weight) if method.refresh else ((), ())
        batch = Batch(x, x, rows, stats, weight, key)
        return log_q, (net, head.params), jax.grad(total, (0, 1))(net, head.params, head, batch)

    log_q, moved, gradient = jax.eval_shape(whole, jax.random.key(0), jnp.zeros((N, width)))
    assert log_q.shape == (N, K)
    assert jax.tree.map(lambda a: (a.shape, a.dtype), gradient) == jax.tree.map(lambda a: (a.shape, a.dtype), moved)


@pytest.mark.parametrize("name, network", [
    pytest.param(*pair, marks=[] if pair in SOME else pytest.mark.slow) for pair in PAIRS])
def test_a_pair_trains(name, network):
    config, width = NETWORKS[network]
    groups = np.random.default_rng(0).integers(0, K, 90)
    x = np.random.default_rng(1).uniform(0, 0.3, (90, width)) + np.eye(K)[groups] @ np.random.default_rng(2).integers(
        0, 2, (K, width)) * 0.6
    if network == "table":
        x[:, 4:19], x[:, 19:] = np.eye(15)[groups * 5 + np.arange(90) % 5], np.round(4 * x[:, 19:])
    if "masked" in network:
        there = np.arange(11) < np.random.default_rng(3).integers(5, 12, 90)[:, None]
        x[:, 22:], x[:, :22] = there, x[:, :22] * np.repeat(there, 2, axis=1)
    model = dec.DeepClustering(
        K, method=name, network=config, scaling="none", batch_size=32, random_state=0,
        pretraining=dec.Pretraining(epochs=3), refinement=dec.Refinement(steps=12, refresh_every=4)).fit(
            x.astype(np.float32))
    losses = model.history_["loss"].dropna()
    assert (model.runs_["status"] == "ok").all() and np.isfinite(losses).all() and len(losses) > 3
    np.testing.assert_array_equal(model.predict(x.astype(np.float32)), model.labels_)
