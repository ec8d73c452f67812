"""The likelihoods of the columns: hand-computed values, SciPy as the oracle, and what a mask leaves out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csr_array

import dec
from dec import config
from dec.networks import likelihood
from dec.networks.autoencoder import Net, build, parameter_table

BLOCKS = ("gaussian:2", "bernoulli:1", "categorical:3", "poisson:1")


def nll(blocks, x, out, log_variance=None):
    parsed = likelihood.parse(blocks, len(x))
    s = jnp.zeros(len(x)) if log_variance is None else jnp.array(log_variance, jnp.float32)
    x, out = jnp.array([x], jnp.float32), jnp.array([out], jnp.float32)
    return float(likelihood.negative_log_likelihood(parsed, s, x, out)[0])


def test_each_kind_is_its_distribution_up_to_constants_in_x():
    x, out, s = [0.5, -1.0, 1, 0, 1, 0, 4], [1.0, 1.0, 0.3, 0.1, 0.7, -0.2, 1.2], [0.4, -0.8] + [0] * 5
    gaussian = -stats.norm.logpdf(x[:2], out[:2], np.exp(np.array(s[:2]) / 2)).sum() - np.log(2 * np.pi)
    bernoulli = -stats.bernoulli.logpmf(1, 1 / (1 + np.exp(-0.3)))
    categorical = -np.log(np.exp(0.7) / np.exp([0.1, 0.7, -0.2]).sum())
    poisson = -stats.poisson.logpmf(4, np.exp(1.2)) - np.log(24)
    expected = (gaussian + bernoulli + categorical + poisson) / 5  # 2 + 1 + 1 + 1 columns of the table
    assert nll(BLOCKS, x, out, s) == pytest.approx(expected, rel=1e-5)


def test_a_category_never_seen_costs_as_the_least_expected_and_teaches_nothing():
    gradient = jax.grad(lambda out: likelihood.negative_log_likelihood(
        likelihood.parse(("categorical:3",), 3), jnp.zeros(3), jnp.zeros((1, 3)), out)[0])(jnp.array([[1.0, 2.0, 3.0]]))
    assert nll(("categorical:3",), [0, 0, 0], [1, 2, 3]) == pytest.approx(np.log(np.exp([1, 2, 3]).sum()) - 1)
    np.testing.assert_array_equal(gradient, 0)


def test_the_variance_of_a_column_has_a_floor():
    assert nll(("gaussian:1",), [0], [0], [-100]) == pytest.approx(likelihood.LEAST_LOG_VARIANCE / 2)


def test_missing_steps_of_a_sequence_count_for_nothing():
    blocks = likelihood.parse(("sequence:3x2",), 9)
    x = jnp.array([[1, 2, 3, 4, 99, 99, 1, 1, 0.0]])
    out = jnp.array([[0, 2, 3, 0, -7, -7, 5, 5, 5.0]])
    weight = likelihood.weights(blocks, x, 1.0)
    np.testing.assert_array_equal(weight, [[1, 1, 1, 1, 0, 0, 0, 0, 0]])
    assert likelihood.squared_error(x, out, weight)[0] == pytest.approx((1 + 16) / 4)
    assert nll(("sequence:3x2",), x[0], out[0]) == pytest.approx(0.5 * 17 / 4)


@pytest.mark.parametrize("block, value, told", [
    ("poisson:2", -1, "counts: 0 or more"), ("bernoulli:2", 1.5, "0 or 1"), ("categorical:2", 0.5, "one-hot"),
    ("categorical:2", 1, "one-hot"),  # two of them in one row
])
def test_values_that_a_likelihood_is_not_of(block, value, told, tiny):
    x = np.zeros((30, 3), np.float32)
    x[:, 1], x[7, 2] = 1, value
    likelihood.check_values(("gaussian:1", block), x[:7])
    for rows in (x, csr_array(x)):
        with pytest.raises(ValueError, match=rf"row 7, column [12] is .*block {block} must hold {told}"):
            likelihood.check_values(("gaussian:1", block), rows)
    network = config.Network(output="mixed", blocks=("gaussian:1", block))
    with pytest.raises(ValueError, match="row 7"):
        dec.DEC(2, **tiny | {"network": network, "scaling": "none"}).fit(x)


def test_zeros_weigh_what_is_asked():
    x, out = jnp.array([[0, 0, 2.0]]), jnp.array([[1, 1, 0.0]])
    weight = likelihood.weights([], x, 0.25)
    assert likelihood.squared_error(x, out, weight)[0] == pytest.approx((0.25 + 0.25 + 4) / 1.5)
    assert likelihood.weights([], x, 1.0) is None


def test_the_mean_row_is_on_the_scale_of_the_input():
    blocks = likelihood.parse(BLOCKS, 7)
    row = likelihood.mean(blocks, jnp.array([[0.5, -2, 0, 1, 1, 1, jnp.log(3)]]))[0]
    np.testing.assert_allclose(row, [0.5, -2, 0.5, 1 / 3, 1 / 3, 1 / 3, 3], rtol=1e-6)


@pytest.mark.parametrize("blocks, features, message", [
    (("gauss:2",), 2, "'gauss:2' must be one of gaussian"),
    (("sequence:4",), 4, "'sequence:4' must be one of"),
    (("gaussian:2x3",), 6, "'gaussian:2x3' must be one of"),
    (("gaussian:2", "poisson:1"), 4, "describe 3 columns, but the data have 4"),
])
def test_blocks_that_describe_other_columns(blocks, features, message):
    with pytest.raises(ValueError, match=message):
        likelihood.parse(blocks, features)


def test_a_mixed_network_learns_its_variances_and_embeds_wide_categories():
    network = config.Network(hidden=(4,), code_size=2, output="mixed", blocks=BLOCKS, embed_above=2)
    net = Net.fresh(jax.random.key(0), build(network, 7))
    assert parameter_table(net.module)[:2] == [("embedding_3", "3x4", 12), ("encoder_0", "8x4", 36)]
    x = jnp.array([[0.5, -1, 1, 0, 1, 0, 4], [0, 0, 0, 1, 0, 0, 0.0]])
    gradient = jax.grad(lambda net: net.reconstruction(x, net.encode(x)).sum())(net).params["params"]
    np.testing.assert_array_equal(np.flatnonzero(gradient["log_variance"]), [0, 1])  # the Gaussian columns, no others
    assert float(jnp.abs(gradient["embedding_3"]["kernel"]).sum()) > 0
    with pytest.raises(ValueError, match="layerwise_epochs"):
        config.Model(network=network, scaling="none", pretraining=config.Pretraining(layerwise_epochs=1))


def test_what_a_mixed_output_asks_for():
    with pytest.raises(ValueError, match=r"needs network\.blocks"):
        Net.fresh(jax.random.key(0), build(config.Network(output="mixed"), 3))
    with pytest.raises(ValueError, match="must be 'none' with network"):
        config.Model(network=config.Network(output="mixed"))


def test_a_sigmoid_with_squared_error():
    net = Net.fresh(jax.random.key(0), build(config.Network(hidden=(), code_size=2, output="sigmoid_mse"), 3))
    x = jnp.array([[0.2, 0.4, 0.9]])
    codes = net.encode(x)
    assert net.reconstruction(x, codes)[0] == pytest.approx(float(jnp.mean((x - net.decode(codes)) ** 2)), rel=1e-6)
    assert float(net.decode(codes).min()) > 0
    assert float(net.decode(codes).max()) < 1
