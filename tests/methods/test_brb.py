"""The soft reset of BRB by hand, and when it comes in a whole run."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dec
from dec.config import Network, Optimizer, Refinement
from dec.data.scaling import Scaling
from dec.methods import make
from dec.methods.base import View
from dec.methods.brb import brb, soft_reset
from dec.networks.autoencoder import Net, build
from dec.training.engine import RUNNING, State, place
from dec.training.refine import Refine, Trained

METHODS = ["dec", "idec", "dcn"]


@pytest.fixture(scope="module")
def nets():
    """Two networks 6-5-4-3 with random weights and biases."""
    module, rng = build(Network(hidden=(5, 4), code_size=3), 6), np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: Net.fresh(key, module), jax.random.key(0))
    return [jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), a.dtype), shapes) for _ in range(2)]


def layers(net):
    return net.params["params"]


@pytest.mark.parametrize("keep", [0.8, 0.0, 1.0])
def test_hidden_layers_of_the_encoder_move_and_others_stay(nets, keep):
    old, fresh = nets
    found = layers(soft_reset(old, fresh, keep))
    assert found.keys() == layers(old).keys()
    for name, layer in found.items():
        for part, values in layer.items():
            a, b = np.float64(layers(old)[name][part]), np.float64(layers(fresh)[name][part])
            expected = keep * a + (1 - keep) * b if name in ("encoder_0", "encoder_1") else a
            np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6, err_msg=f"{name} {part}")


@pytest.mark.parametrize("name", ["dec", "dcn"])
def test_clusters_are_started_anew_in_the_codes_of_the_reset_network(name, nets):
    """And the moments of the head, but not those of the network."""
    method, net = make(name, {"brb_every": 2, "brb_keep": 0.5}), nets[0]
    config = Refinement(steps=60, refresh_every=10, optimizer=Optimizer("adam"))
    phase, key = Refine(method, 3, 50, 10, config), jax.random.key(4)
    data = place(np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32), Scaling(0, 1))
    head = jax.eval_shape(lambda: method.init(key, net, View(lambda net: net.encode(data[:]), jnp.ones(50)), 3))
    trained, head = jax.tree.map(lambda a: jnp.full(a.shape, 7.0), (Trained(net, head.params), head))
    moments = optax.tree_utils.tree_set(phase._optimizer()[0].init(trained), mu=trained, nu=trained)
    state = State(net, head, moments, jnp.zeros(50, jnp.int32), jnp.int32(RUNNING), jnp.int32(0))
    again = jax.jit(phase._between)
    for leaf, same in zip(jax.tree.leaves(again(data, key, state, jnp.int32(0))), jax.tree.leaves(state)):
        np.testing.assert_array_equal(leaf, same)
    after = again(data, key, state, jnp.int32(1))  # 10 steps are the 2 epochs

    for layer in layers(net):
        moved = not np.array_equal(layers(net)[layer]["kernel"], layers(after.net)[layer]["kernel"])
        assert moved == (layer in ("encoder_0", "encoder_1")), layer
    for layer in ("encoder_0", "encoder_1"):  # drawn as at first: biases of 0
        np.testing.assert_allclose(layers(after.net)[layer]["bias"], layers(net)[layer]["bias"] / 2, rtol=1e-6)
    codes = np.asarray(after.net.encode(data[:]))
    label = phase.labels(data, after)
    centers = phase.method.centers(after.head) if phase.method.centers else after.head.params
    np.testing.assert_allclose(centers, [codes[label == j].mean(axis=0) for j in range(3)], rtol=1e-4, atol=1e-5)
    if name == "dcn":
        np.testing.assert_array_equal(after.head.state[1], [100, 100, 100])
    for moment in ("mu", "nu"):
        kept = optax.tree_utils.tree_get(after.optimizer, moment)
        assert all((leaf == 7).all() for leaf in jax.tree.leaves(kept.net))
        assert all((leaf == 0).all() for leaf in jax.tree.leaves(kept.params))


def test_when_it_comes_in_a_whole_run(blobs, tiny):
    """An epoch has 5 steps, of 40. What is due after 15 waits for the refresh at 20; what is due after 30 does not."""
    method, seen = make("idec", {"brb_every": 3}), []

    def between(key, net, head, view, clock):
        jax.debug.callback(lambda step: seen.append(int(step)), clock.step)
        return method.between(key, net, head, view, clock)

    model = dec.DeepClustering(4, method=method._replace(between=between), **tiny).fit(blobs[0])
    jax.effects_barrier()
    assert seen == [20, 30]
    assert model.n_iter_ == 40 and (model.runs_["occupied"] == 4).all()


def test_a_frozen_encoder_is_refused(nets):
    phase = Refine(make("dcn", {"brb_every": 2}), 3, 50, 10, Refinement(steps=60, refresh_every=10, freeze="encoder"))
    data = place(np.zeros((50, 6), np.float32), Scaling(0, 1))
    with pytest.raises(ValueError, match="freeze='encoder' must be 'none'"):
        jax.eval_shape(lambda key, net: phase.period(data, None, key, phase.start(data, key, net), jnp.int32(1)),
                       jax.random.key(0), nets[0])


@pytest.mark.parametrize("name", METHODS)
def test_it_is_off_by_default(name):
    method = make(name)
    assert brb(method, 0, 0.8) is method
    assert method.between_every == (10 if name == "dcn" else 0)
    assert make(name, {"brb_every": 20}).between_every == 20


@pytest.mark.parametrize(("options", "message"), [
    ({"brb_every": -1}, "brb_every=-1 must be at least 0 epochs"),
    ({"brb_keep": 1.5}, "brb_keep=1.5 must be from 0 to 1"),
    ({"brb_keep": 0.5}, "brb_keep=0.5 does nothing without resets"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        make("idec", options)
