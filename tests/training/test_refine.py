from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dec.config import Refinement
from dec.data.scaling import Scaling
from dec.methods import make
from dec.methods.base import Head
from dec.networks.autoencoder import Net
from dec.training import engine
from dec.training.engine import CONVERGED, RUNNING, State, place, seed_keys
from dec.training.refine import Refine, Trained

KEYS = seed_keys([3], "cluster")


@pytest.fixture(scope="module")
def data(x):
    return place(x, Scaling(np.float32(0), np.float32(0.1)))


@pytest.fixture(scope="module")
def start(module, data):
    """A phase and its stacked state of one seed, from the first four rows as centers."""
    def start(**config):
        phase = Refine(make("idec"), 4, 300, 64, Refinement(**config))
        net = Net.fresh(jax.random.key(0), module)
        params = net.encode(data[:4])
        state = State(net, Head(params), phase._transform().init(Trained(net, params)), jnp.zeros(300, jnp.int32),
                      jnp.int32(RUNNING), jnp.int32(0))
        return phase, jax.tree.map(lambda a: a[None] + 0, state)

    return start


def parts(state):
    layers = state.net.params["params"]
    return {part: {name: leaf for name, leaf in layers.items() if name.startswith(part)}
            for part in ("encoder", "decoder")}


@pytest.mark.parametrize(("frozen", "free", "config", "steps", "periods", "status"), [
    ("encoder", "decoder", {"steps": 7, "refresh_every": 3, "tolerance": 0.0}, 7, 3, RUNNING),  # 3 + 3 + 1 steps
    ("decoder", "encoder", {"steps": 7, "refresh_every": 3, "tolerance": 1.0}, 3, 2, CONVERGED),  # at the 2nd refresh
])
def test_frozen_parts_bounds_and_tolerance(start, data, run_phase, identical, frozen, free, config, steps, periods,
                                           status):
    phase, state = start(freeze=frozen, **config)
    before = jax.device_get(state)
    after, records = run_phase(phase, data, state, KEYS)
    assert identical(parts(after)[frozen], parts(before)[frozen])
    assert not any(identical(a, b) for a, b in zip(*(jax.tree.leaves(parts(s)[free]) for s in (after, before))))
    assert not identical(after.head, before.head)
    assert (after.step, after.status) == (steps, status)
    ran = records["loss"][0, :periods]
    np.testing.assert_array_equal(np.isnan(ran), [False] * (periods - 1) + [status == CONVERGED])
    np.testing.assert_allclose(records["reconstruction"] + records["clustering"], records["loss"], rtol=1e-6)


def test_the_change_is_the_part_of_rows_that_moved(start, data):
    phase, state = start(steps=4, refresh_every=2, freeze="encoder", tolerance=0.0)
    one = jax.tree.map(lambda a: a[0], state)
    labels = phase.labels(data, one)
    moved = one._replace(memory=labels.at[:75].add(1))
    frozen = replace(phase, config=replace(phase.config, tolerance=0.26))
    after, record = jax.jit(frozen.period)(data, None, KEYS[0], moved, jnp.int32(1))
    assert record["change"] == 0.25
    assert after.status == CONVERGED
    np.testing.assert_array_equal(after.memory, labels)
    np.testing.assert_array_equal(record["occupied"], len(np.unique(labels)))


def test_the_interval_of_the_refresh():
    """The larger of 140 steps and an epoch, unless asked otherwise."""
    def refine(rows, **config):
        return Refine(make("dec"), 3, rows, 10, Refinement(**config))

    assert refine(1391).refresh_every == 140
    assert refine(1401).refresh_every == 141
    assert refine(5000, refresh_every=7).refresh_every == 7
    assert [refine(100, steps=s, refresh_every=10).periods for s in (0, 1, 10, 11)] == [0, 1, 1, 2]


@pytest.mark.parametrize("name", ["kmeans", "ae+kmeans"])
def test_methods_without_a_loss_take_no_steps(name, data):
    phase = Refine(make(name), 4, 300, 64, Refinement())
    assert phase.periods == 0
    centers = data[:4]
    states = State((), Head(centers[None]), (), (), jnp.array([RUNNING]), jnp.array([0]))
    assert engine.run(phase, data, None, KEYS, states, pytest.fail) is states
