"""DEC by hand, then against a float64 NumPy model of whole training steps."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dec.config import Network, Optimizer, Refinement
from dec.data.scaling import Scaling
from dec.methods import make
from dec.methods.base import Batch, Head
from dec.networks.autoencoder import Net, build
from dec.training.batches import batch_rows
from dec.training.engine import RUNNING, State, place
from dec.training.refine import Refine, Trained


class Identity(NamedTuple):
    """A network that changes nothing."""

    def encode(self, x):
        return x


def a_batch(x, rows=(), stats=(), weight=None):
    weight = jnp.ones(len(x)) if weight is None else weight
    return Batch(*[jnp.asarray(x, jnp.float32)] * 2, rows, stats, weight, jax.random.key(0))


# Two centers √3 apart. The first code lies on one: kernels 1 and 1/4. The second has kernels in the ratio 2 : 3.
CENTERS = np.float32([[0.0], [3.0**0.5]])
CODES = np.float32([[0.0], [3 * 3.0**0.5 - 17.0**0.5]])
Q = np.array([[0.8, 0.2], [0.4, 0.6]])
FREQUENCIES = np.array([1.2, 0.8])
# Row 1 is .64/1.2 : .04/.8 = 32 : 3, row 2 is .16/1.2 : .36/.8 = 8 : 27.
P = np.array([[32, 3], [8, 27]]) / 35
KL = [32 / 35 * np.log(8 / 7) + 3 / 35 * np.log(3 / 7), 8 / 35 * np.log(4 / 7) + 27 / 35 * np.log(9 / 7)]


def test_by_hand():
    method, head = make("dec"), Head(jnp.asarray(CENTERS))
    np.testing.assert_allclose(jnp.exp(method.assign(head, jnp.asarray(CODES))), Q, rtol=1e-5)
    q, frequencies = method.refresh(head, jnp.asarray(CODES), jnp.ones(2))
    np.testing.assert_allclose(q, Q, rtol=1e-5)
    np.testing.assert_allclose(frequencies, FREQUENCIES, rtol=1e-5)
    terms = method.loss(Identity(), head, a_batch(CODES, q, frequencies), None)
    assert terms.keys() == {"clustering"}
    np.testing.assert_allclose(terms["clustering"], KL, rtol=1e-4)


def test_padding_has_no_frequency():
    head = Head(jnp.asarray(CENTERS))
    _, frequencies = make("dec").refresh(head, jnp.asarray(CODES), jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(frequencies, Q[0], rtol=1e-5)


def test_the_frequencies_are_the_data_sets():
    """The first row alone, but with the frequencies of both."""
    head = Head(jnp.asarray(CENTERS))
    batch = a_batch(CODES[:1], jnp.float32(Q[:1]), jnp.float32(FREQUENCIES))
    np.testing.assert_allclose(make("dec").loss(Identity(), head, batch, None)["clustering"], KL[:1], rtol=1e-4)


def test_alpha_by_hand():
    """α = 3 has the kernel (1 + d²/3)^-2: again 1 and 1/4 at d² = 0 and 3."""
    q = jnp.exp(make("dec", {"alpha": 3.0}).assign(Head(jnp.asarray(CENTERS)), jnp.asarray(CODES[:1])))
    np.testing.assert_allclose(q, [[0.8, 0.2]], rtol=1e-6)


def test_a_batch_of_all_rows_has_the_target_of_the_data_set():
    whole, each = make("dec"), make("dec", {"target": "batch"})
    assert each.refresh is None
    head = Head(jax.random.normal(jax.random.key(0), (3, 4)))
    x = jax.random.normal(jax.random.key(1), (20, 4))

    def value(method, rows, stats):
        def mean(centers, x):
            return method.loss(Identity(), Head(centers), a_batch(x, rows, stats), None)["clustering"].mean()

        return jax.jit(jax.value_and_grad(mean, (0, 1)))(head.params, x)

    a, b = value(whole, *whole.refresh(head, x, jnp.ones(20))), value(each, (), ())
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), a, b)
    # Padding counts for nothing in the batch's frequencies.
    padded = a_batch(jnp.concatenate([x, 9 * x[:2]]), weight=jnp.ones(22).at[20:].set(0))
    c = each.loss(Identity(), head, padded, None)["clustering"][:20].mean()
    np.testing.assert_allclose(c, b[0], rtol=1e-5)


@pytest.mark.parametrize("target", ["dataset", "batch"])
def test_the_target_is_a_constant(target):
    """The gradient is that of -Σ p log q with p fixed: equation 4 of the paper."""
    method, head = make("dec", {"target": target}), Head(jnp.asarray(CENTERS))
    rows, stats = method.refresh(head, jnp.asarray(CODES), jnp.ones(2)) if method.refresh else ((), ())

    def total(codes):
        return method.loss(Identity(), head, a_batch(codes, rows, stats), None)["clustering"].sum()

    difference = CODES.astype(np.float64) - CENTERS[:, 0]
    expected = 2 * ((P - Q) * difference / (1 + difference**2)).sum(1, keepdims=True)
    np.testing.assert_allclose(jax.grad(total)(jnp.asarray(CODES)), expected, rtol=1e-4)


# ---- A float64 model of training


class Weights(NamedTuple):
    """Encoder d-h-c with a relu between, and centers."""

    w0: np.ndarray
    b0: np.ndarray
    w1: np.ndarray
    b1: np.ndarray
    centers: np.ndarray


def soft_assignment(z, centers, alpha):
    kernel = (1 + ((z[:, None] - centers) ** 2).sum(-1) / alpha) ** (-(alpha + 1) / 2)
    return kernel / kernel.sum(1, keepdims=True)


def encode(x, w):
    hidden = np.maximum(x @ w.w0 + w.b0, 0)
    return hidden, hidden @ w.w1 + w.b1


def target(q, frequencies):
    p = q**2 / frequencies
    return p / p.sum(1, keepdims=True)


def loss(x, p, w, alpha):
    return (p * np.log(p / soft_assignment(encode(x, w)[1], w.centers, alpha))).sum(1).mean()


def gradient(x, p, w, alpha):
    """Equations 4 and 5 of the paper for KL averaged over rows, and by hand through the encoder."""
    hidden, z = encode(x, w)
    difference = z[:, None] - w.centers
    pull = (p - soft_assignment(z, w.centers, alpha)) / (1 + (difference**2).sum(-1) / alpha)
    common = (alpha + 1) / alpha * pull[:, :, None] * difference / len(x)
    dz, dcenters = common.sum(1), -common.sum(0)
    dhidden = (dz @ w.w1.T) * (hidden > 0)
    return Weights(x.T @ dhidden, dhidden.sum(0), hidden.T @ dz, dz.sum(0), dcenters)


def descend(x, w, alpha, batches, rate, momentum):
    """SGD with momentum over batches of rows, with q and f from before the first step; weights and mean loss."""
    q = soft_assignment(encode(x, w)[1], w.centers, alpha)
    frequencies, velocity, losses = q.sum(0), Weights(*(np.zeros_like(a) for a in w)), []
    for rows in batches:
        p = target(q[rows], frequencies)
        losses.append(loss(x[rows], p, w, alpha))
        step = gradient(x[rows], p, w, alpha)
        velocity = Weights(*(momentum * v + g for v, g in zip(velocity, step)))
        w = Weights(*(a - rate * v for a, v in zip(w, velocity)))
    return w, np.mean(losses)


def example(n=10, d=4):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d)).astype(np.float32)
    module = build(Network(hidden=(5,), code_size=2), d)
    shapes = jax.eval_shape(lambda key: Net.fresh(key, module), jax.random.key(0))
    net = jax.tree.map(lambda a: rng.normal(scale=0.5, size=a.shape).astype(np.float32), shapes)
    return x, net, weights(net, rng.normal(size=(3, 2)).astype(np.float32))


def weights(net, centers):
    first, second = net.params["params"]["encoder_0"], net.params["params"]["encoder_1"]
    parts = first["kernel"], first["bias"], second["kernel"], second["bias"], centers
    return Weights(*(np.asarray(a, np.float64) for a in parts))


@pytest.mark.parametrize("alpha", [1.0, 2.5])
def test_the_model_is_right(alpha):
    """Its gradient is the central difference of its loss."""
    x, _, w = example()
    x = x.astype(np.float64)
    q = soft_assignment(encode(x, w)[1], w.centers, alpha)
    p = target(q, q.sum(0))
    for name, exact in gradient(x, p, w, alpha)._asdict().items():
        for at in np.ndindex(exact.shape):
            bump = np.zeros_like(exact)
            bump[at] = 1e-6
            high, low = (loss(x, p, w._replace(**{name: getattr(w, name) + s * bump}), alpha) for s in (1, -1))
            np.testing.assert_allclose(exact[at], (high - low) / 2e-6, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize(("options", "batch_size", "steps"), [
    ({}, 10, 1),  # one step with all the data: equations 1 to 5
    ({"alpha": 2.5}, 4, 5),  # padded batches over an epoch's end, the target held, momentum
])
def test_training_against_float64(options, batch_size, steps):
    x, net, w = example()
    rate, momentum = 2.0, 0.9
    config = Refinement(steps=steps, refresh_every=steps, optimizer=Optimizer("sgd", rate, momentum=momentum))
    phase = Refine(make("dec", options), 3, len(x), batch_size, config)
    data, key = place(x, Scaling(np.float32(0), np.float32(1))), jax.random.key(2)
    head = Head(jnp.asarray(w.centers, jnp.float32))
    optimizer = phase._optimizer()[0].init(Trained(net, head.params))
    state = State(net, head, optimizer, jnp.zeros(10, jnp.int32), jnp.int32(RUNNING), jnp.int32(0))
    state = state._replace(memory=phase.labels(data, state))
    after, record = jax.jit(phase.period)(data, None, key, state, jnp.int32(0))

    batches = []
    for step in range(steps):
        rows, valid = batch_rows(key, jnp.int32(step), len(x), batch_size)
        batches.append(np.asarray(rows)[np.asarray(valid)])
    expected, mean_loss = descend(x.astype(np.float64), w, options.get("alpha", 1.0), batches, rate, momentum)
    np.testing.assert_allclose(record["loss"], mean_loss, rtol=1e-4)
    np.testing.assert_allclose(record["clustering"], mean_loss, rtol=1e-4)
    assert record["change"] == 0 and after.step == steps and after.status == RUNNING
    found = weights(after.net, after.head.params)
    for name in Weights._fields:
        moved = getattr(expected, name) - getattr(w, name)
        assert np.abs(moved).max() > 1e-3, name  # the gradient reaches it
        np.testing.assert_allclose(getattr(found, name) - getattr(w, name), moved, rtol=1e-3, atol=2e-6, err_msg=name)
    for layer in ("decoder_0", "decoder_1"):  # DEC leaves the decoder as it is
        for part, values in after.net.params["params"][layer].items():
            np.testing.assert_array_equal(values, net.params["params"][layer][part])
