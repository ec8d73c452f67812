"""Convolutions and recurrent units against NumPy, and what any of the networks must do."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from dec.config import Network
from dec.networks.autoencoder import Net, build, parameter_table
from dec.networks.convolutional import Convolution, TransposedConvolution
from dec.networks.recurrent import SequenceReader

OPTIONS = {"kernel_init": nn.initializers.lecun_normal(), "dtype": jnp.float32}
MASK = ("sequence:11x2",)
NETWORKS = {
    "images": (Network(layers="conv", shape=(9, 7, 2), hidden=(3, 4), code_size=5), 126),
    "over time": (Network(layers="conv", shape=(11, 2), hidden=(3, 4), code_size=5), 22),
    "over time, masked": (Network(layers="conv", shape=(11, 2), hidden=(3,), code_size=5, blocks=MASK), 33),
    "recurrent": (Network(layers="gru", shape=(11, 2), hidden=(6, 4), code_size=5), 22),
    "recurrent, masked": (Network(layers="gru", shape=(11, 2), hidden=(6,), code_size=5, blocks=MASK), 33),
}


def drawn(network, features):
    """Weights drawn with NumPy, so that nothing is 0 and nothing compiles."""
    module, rng = build(network, features), np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: Net.fresh(key, module), jax.random.key(0))
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(scale=0.4, size=a.shape), a.dtype), shapes)


def rows(features, lengths=(11, 7, 3, 1)):
    """Random rows; masked ones (33 features) have these lengths."""
    x = np.random.default_rng(1).normal(size=(4, features)).astype(np.float32)
    if features == 33:
        there = (np.arange(11) < np.array(lengths)[:, None]).astype(np.float32)
        x = np.concatenate([x[:, :22] * np.repeat(there, 2, axis=1), there], axis=1)
    return jnp.asarray(x)


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_and_gradients(name):
    network, features = NETWORKS[name]
    net, x = drawn(network, features), rows(features)
    z = net.encode(x)
    assert z.shape == (4, 5) and net.decode(z).shape == x.shape and net.reconstruction(x, z).shape == (4,)
    np.testing.assert_allclose(net.encode(x[1:2])[0], z[1], rtol=1e-4, atol=1e-5)
    gradient = jax.jit(jax.grad(lambda net: net.reconstruction(x, net.encode(x)).mean()))(net)
    assert all(np.isfinite(leaf).all() and np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))
    assert sum(count for *_, count in parameter_table(net.module)) == sum(a.size for a in jax.tree.leaves(net.params))


@pytest.mark.parametrize("name", ["recurrent, masked", "over time, masked"])
def test_what_lies_behind_the_last_step_counts_for_nothing(name):
    network, features = NETWORKS[name]
    net, x = drawn(network, features), rows(features)
    out = net.decode(net.encode(x))
    losses = [np.mean((np.asarray(x - out)[i, : 2 * n]) ** 2) for i, n in enumerate((11, 7, 3, 1))]
    np.testing.assert_allclose(net.reconstruction(x, net.encode(x)), losses, rtol=1e-4)
    if "recurrent" in name:  # the state after the last step that is there does not know how long the row might be
        longer = x.at[1, 14:22].set(9.0)
        np.testing.assert_allclose(net.encode(longer)[1], net.encode(x)[1], rtol=1e-5)


@pytest.mark.parametrize("name", ["recurrent, masked", "over time, masked"])
def test_a_mask_is_neither_scaled_nor_dropped(name):
    """A scaled row keeps its length and its loss; of a row without values, dropout leaves nothing to drop."""
    network, features = NETWORKS[name]
    net, x = drawn(network, features), rows(features)
    scaled = x.at[:, 22:].multiply(0.007)
    np.testing.assert_array_equal(net.encode(scaled), net.encode(x))
    if "recurrent" in name:
        assert np.abs(net.encode(x.at[:, 22:].set(0)) - net.encode(x)).max() > 0.01  # the mask says something
    out = net.decode(net.encode(x))
    np.testing.assert_allclose(net.module.apply(net.params, scaled, out, method="loss"),
                               net.module.apply(net.params, x, out, method="loss"), rtol=1e-5)
    empty = x.at[:, :22].set(0)
    lost = [net.module.apply(net.params, empty, rate, 1, method="encode", rngs={"dropout": jax.random.key(0)})
            for rate in (0.0, 0.9)]
    np.testing.assert_array_equal(*lost)
    assert net.module.apply(net.params, method="values") == 22


def test_a_convolution_by_hand():
    """Stride 2 over [1, 2, 3, 4] with a kernel of 3 ones: one zero behind, so 1+2+3 and 3+4+0; and its transpose."""
    params = {"params": {"kernel": jnp.ones((3, 1, 1)), "bias": jnp.array([0.5])}}
    down = Convolution((4, 1), 1, 3, OPTIONS)
    np.testing.assert_allclose(down.apply(params, jnp.array([[1.0, 2.0, 3.0, 4.0]])), [[6.5, 7.5]])
    up = TransposedConvolution((2, 1), (4, 1), 3, OPTIONS)
    np.testing.assert_allclose(up.apply(params, jnp.array([[1.0, 10.0]])), [[1.5, 1.5, 11.5, 10.5]])


@pytest.mark.parametrize("size", [(8, 6), (9, 7), (1, 2), (11,)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_convolutions_are_those_of_jax(size, kernel):
    rng = np.random.default_rng(0)
    shape, halves = (*size, 2), [-(-s // 2) for s in size]
    x, y = rng.normal(size=(4, *shape)), rng.normal(size=(4, *halves, 3))
    params = {"kernel": rng.normal(size=(kernel,) * len(size) + (2, 3)), "bias": np.zeros(3)}
    x, y, params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (x, y, params))

    def convolved(x):
        letters = "HW"[: len(size)]
        return lax.conv_general_dilated(x, params["kernel"], (2,) * len(size), "SAME",
                                        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"))

    ours = Convolution(shape, 3, kernel, OPTIONS).apply({"params": params}, x.reshape(4, -1))
    np.testing.assert_allclose(ours.reshape(y.shape), convolved(x), rtol=1e-4, atol=1e-5)
    transposed = {"kernel": jnp.swapaxes(params["kernel"], -1, -2), "bias": jnp.zeros(2)}
    ours = TransposedConvolution((*halves, 3), shape, kernel, OPTIONS).apply({"params": transposed}, y.reshape(4, -1))
    np.testing.assert_allclose(ours.reshape(x.shape), jax.vjp(convolved, x)[1](y)[0], rtol=1e-4, atol=1e-5)


def test_recurrent_units_against_numpy():
    layer = SequenceReader((3, 2), (4,), False, {})
    x = jax.random.normal(jax.random.key(0), (2, 6))
    params = layer.init(jax.random.key(1), x)
    w = jax.tree.map(lambda a: np.asarray(a, np.float64), params["params"]["GRUCell_0"])

    def gate(name, h, act):
        return act(h @ w[name]["kernel"] + w[name].get("bias", 0))

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    def linear(a):
        return a

    h = np.zeros((2, 4))
    for step in np.asarray(x, np.float64).reshape(2, 3, 2).transpose(1, 0, 2):
        r = sigmoid(gate("ir", step, linear) + gate("hr", h, linear))
        z = sigmoid(gate("iz", step, linear) + gate("hz", h, linear))
        n = np.tanh(gate("in", step, linear) + r * gate("hn", h, linear))
        h = (1 - z) * n + z * h
    np.testing.assert_allclose(layer.apply(params, x), h, rtol=1e-4)


@pytest.mark.parametrize(("network", "features", "message"), [
    (Network(layers="conv"), 64, r"network.shape=\(\) must be \(steps, channels\) or \(height, width, channels\)"),
    (Network(layers="gru", shape=(8, 8, 1)), 64, r"must be \(steps, channels\) for network.layers='gru'"),
    (Network(layers="conv", shape=(8, 8, 1)), 65, "has 64 values, but the rows have 65"),
    (Network(layers="gru", shape=(8, 2)), 20, "has 16 values, but the rows have 20"),
])
def test_bad_shapes(network, features, message):
    with pytest.raises(ValueError, match=message):
        drawn(network, features)
