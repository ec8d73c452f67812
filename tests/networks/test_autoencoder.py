from typing import get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import jaxtyped

from dec.config import Network
from dec.networks.autoencoder import INITIALIZERS, Net, activation, build, parameter_table


def float64(net):
    return jax.tree.map(lambda a: np.asarray(a, np.float64), net.params["params"])


def make_net(dtype="float32", **network):
    """Weights drawn with NumPy: initialising with flax takes a second each time. No bias is 0."""
    config = Network(**{"hidden": (6,), "code_size": 2, **network})
    module, rng = build(config, 4, dtype), np.random.default_rng(1)
    shapes = jax.eval_shape(lambda key: Net.fresh(key, module), jax.random.key(0))
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(scale=0.5, size=a.shape), a.dtype), shapes)


X = np.asarray(jax.random.uniform(jax.random.key(5), (7, 4)))


def test_biases_are_drawn_as_pytorch_draws_them():
    module = build(Network(hidden=(400,), code_size=9, initializer="torch"), 4, posterior=True)
    w = float64(Net.fresh(jax.random.key(0), module))
    for name, fan_in in (("encoder_0", 4), ("encoder_1", 400), ("decoder_1", 400)):
        bound = fan_in**-0.5
        for values in w[name].values():
            assert 0.6 * bound < np.abs(values).max() <= bound
    assert abs(w["encoder_0"]["bias"].std() - 12**-0.5) < 0.03  # uniform within 1/2
    assert not w["posterior_0"]["bias"].any()  # a log variance of 0 to begin with


def forward(w, x, kind, act=lambda h: np.maximum(h, 0)):
    x = act(x @ w[f"{kind}_0"]["kernel"] + w[f"{kind}_0"]["bias"])
    return x @ w[f"{kind}_1"]["kernel"] + w[f"{kind}_1"]["bias"]


def test_against_float64():
    net = make_net()
    w = float64(net)
    z = forward(w, X.astype(np.float64), "encoder")
    out = forward(w, z, "decoder")
    np.testing.assert_allclose(net.encode(X), z, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(net.decode(net.encode(X)), out, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(net.reconstruction(X, net.encode(X)), ((X - out) ** 2).mean(1), rtol=1e-4)


def test_sigmoid_and_cross_entropy_against_float64():
    net = make_net(output="sigmoid")
    w = float64(net)
    z = forward(w, X.astype(np.float64), "encoder")
    out = 1 / (1 + np.exp(-forward(w, z, "decoder")))
    np.testing.assert_allclose(net.decode(net.encode(X)), out, rtol=1e-4)
    entropy = -(X * np.log(out) + (1 - X) * np.log(1 - out)).mean(1)
    np.testing.assert_allclose(net.reconstruction(X, net.encode(X)), entropy, rtol=1e-4)
    np.testing.assert_allclose(net.denoising(X, jax.random.key(0), 0.0), entropy, rtol=1e-4)


def test_the_loss_is_averaged_over_features_by_hand():
    net = make_net()
    np.testing.assert_allclose(net._loss(jnp.float32([[1, 2, 3, 4]]), jnp.float32([[1, 1, 1, 1]])), [14 / 4])
    net = make_net(output="sigmoid")  # logits 0: -log 1/2 whatever x; a logit of 1000 costs 1000 (1 - x)
    np.testing.assert_allclose(net._loss(jnp.float32([[0, 1, 0.3, 1]]), jnp.zeros((1, 4))), [np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(net._loss(jnp.float32([[1, 1, 1, 0.5]]), jnp.full((1, 4), 1000.0)), [125], rtol=1e-6)


@pytest.mark.parametrize("code_activation", ["linear", "relu"])
def test_activations_are_where_they_belong(code_activation):
    """Hidden layers and the code have theirs, the output has none."""
    net = make_net(activation="sigmoid", code_activation=code_activation)
    net.params["params"]["encoder_1"]["bias"] -= jnp.float32([0.2, 0.0])
    w = float64(net)
    z = forward(w, X.astype(np.float64), "encoder", lambda h: 1 / (1 + np.exp(-h)))
    assert (z < 0).any()
    if code_activation == "relu":
        z = np.maximum(z, 0)
    np.testing.assert_allclose(net.encode(X), z, rtol=1e-4, atol=1e-6)
    out = forward(w, z, "decoder", lambda h: 1 / (1 + np.exp(-h)))
    np.testing.assert_allclose(net.decode(z.astype(np.float32)), out, rtol=1e-4, atol=1e-6)


def test_no_dropout_is_plain_reconstruction():
    net = make_net()
    plain = net.reconstruction(X, net.encode(X))
    np.testing.assert_array_equal(net.denoising(X, jax.random.key(0), 0.0), plain)
    assert (net.denoising(X, jax.random.key(0), 0.5) != plain).all()
    assert (net.denoising(X, jax.random.key(0), 0.5) != net.denoising(X, jax.random.key(1), 0.5)).any()


def test_dropout_keeps_the_mean():
    h = jnp.ones((200, 100))
    dropped = build(Network(hidden=(6,), code_size=2), 4).apply(
        {}, h, 0.2, method="_dropped", rngs={"dropout": jax.random.key(0)}
    )
    assert set(np.unique(dropped)) == {0, np.float32(1.25)}
    assert abs(float((dropped == 0).mean()) - 0.2) < 0.01


def test_a_layer_pair_by_hand():
    """Pair 0 is the first and the last layer on x; pair 1 the inner two on the first layer's output."""
    net, key = make_net(), jax.random.key(0)
    w, relu = float64(net), lambda h: np.maximum(h, 0)

    def dense(name, h):
        return h @ w[name]["kernel"] + w[name]["bias"]

    first = relu(dense("encoder_0", X))
    np.testing.assert_allclose(net.denoising(X, key, 0.0, 0), ((X - dense("decoder_1", first)) ** 2).mean(1), rtol=1e-4)
    again = relu(dense("decoder_0", dense("encoder_1", first)))
    np.testing.assert_allclose(net.denoising(X, key, 0.0, 1), ((first - again) ** 2).mean(1), rtol=1e-4)


def test_a_layer_pair_has_the_only_gradient():
    net = make_net()
    for layer, pair in ((0, {"encoder_0", "decoder_1"}), (1, {"encoder_1", "decoder_0"})):
        gradient = jax.grad(lambda net: net.denoising(X, jax.random.key(0), 0.2, layer).sum())(net)  # noqa: B023
        moved = {name for name, leaves in gradient.params["params"].items() if (leaves["kernel"] != 0).any()}
        assert moved == pair


def test_bfloat16_is_close_and_keeps_float32_weights():
    full, half = make_net(), make_net(dtype="bfloat16")
    assert {leaf.dtype for leaf in jax.tree.leaves(half)} == {jnp.dtype("float32")}

    def mean(net):
        return net.reconstruction(X, net.encode(X)).mean()

    (a, _), (b, gradient) = jax.value_and_grad(mean)(full), jax.value_and_grad(mean)(half)
    assert b.dtype == half.encode(X).dtype == half.decode(half.encode(X)).dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}
    np.testing.assert_allclose(a, b, rtol=0.02)
    assert a != b  # it did compute in bfloat16


def test_parameter_table_of_the_standard_network():
    table = parameter_table(build(Network(), 784))
    assert table == [
        ("encoder_0", "784x500", 392500), ("encoder_1", "500x500", 250500), ("encoder_2", "500x2000", 1002000),
        ("encoder_3", "2000x10", 20010), ("decoder_0", "10x2000", 22000), ("decoder_1", "2000x500", 1000500),
        ("decoder_2", "500x500", 250500), ("decoder_3", "500x784", 392784),
    ]
    assert sum(count for *_, count in table) == 3330794


def test_no_hidden_layers():
    net = make_net(hidden=())
    assert [name for name, *_ in parameter_table(net.module)] == ["encoder_0", "decoder_0"]
    assert net.decode(net.encode(X)).shape == X.shape


@pytest.mark.parametrize(("name", "expected"), [
    ("fan_in_uniform", 1 / (3 * 400)), ("he_normal", 2 / 400), ("lecun_normal", 1 / 400), ("normal_001", 1e-4),
    ("glorot_uniform", 2 / 700),
])
def test_initializers_have_their_variance(name, expected):
    weights = INITIALIZERS[name](jax.random.key(0), (400, 300))
    np.testing.assert_allclose(weights.var(), expected, rtol=0.03)
    if "uniform" in name:
        assert jnp.abs(weights).max() <= (3 * expected) ** 0.5 * (1 + 1e-6)


def test_every_initializer_is_tested():
    assert len(INITIALIZERS) == 6  # torch: above


def test_unknown_names():
    with pytest.raises(ValueError, match=r"Unknown activation 'rellu'\. Did you mean 'relu'"):
        activation("rellu")
    for field, near in (("activation", "tanh"), ("code_activation", "tanh"), ("initializer", "he_normal")):
        with pytest.raises(ValueError, match=f"Did you mean '{near}'"):
            make_net(**{field: near[:-1]})


def test_shapes_are_the_annotated_ones():
    """The annotations of each method hold together: b rows of d features, codes of width c."""
    net, x = make_net(), jnp.asarray(X)
    z = net.encode(x)
    for method, arguments in ((Net.encode, {"x": x}), (Net.decode, {"z": z}), (Net.reconstruction, {"x": x, "z": z})):
        hints = get_type_hints(method)
        with jaxtyped("context"):
            for name, value in arguments.items():
                assert isinstance(value, hints[name])
            assert isinstance(method(net, **arguments), hints["return"])
            assert not isinstance(x[:3].astype(int), hints["return"])
