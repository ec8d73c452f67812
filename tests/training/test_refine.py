import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dec.config import Network, Refinement
from dec.data.scaling import Scaling
from dec.methods import make
from dec.methods.base import Head
from dec.networks.autoencoder import Net, build
from dec.training import engine, refine
from dec.training.engine import CONVERGED, RUNNING, State, place, seed_keys
from dec.training.refine import Refine, Trained

KEYS = seed_keys([3], "cluster")


@pytest.fixture(scope="module")
def data(x):
    return place(x, Scaling(np.float32(0), np.float32(0.1)))


@pytest.fixture(scope="module")
def start(net, data):
    """A phase and its stacked state of one seed, from the first four rows as centers."""
    def start(**config):
        phase = Refine(make("idec"), 4, 300, 64, Refinement(**config))
        params = net.encode(data[:4])
        state = State(net, Head(params), phase._optimizer()[0].init(Trained(net, params)), jnp.zeros(300, jnp.int32),
                      jnp.int32(RUNNING), jnp.int32(0))
        return phase, jax.tree.map(lambda a: a[None] + 0, state)

    return start


def parts(state):
    layers = state.net.params["params"]
    return {part: {name: leaf for name, leaf in layers.items() if name.startswith(part)}
            for part in ("encoder", "decoder")}


@pytest.mark.parametrize(("frozen", "free", "config", "steps", "periods", "status"), [
    ("encoder", "decoder", {"steps": 7, "refresh_every": 3, "tolerance": 0.0}, 7, 3, RUNNING),  # 3 + 3 + 1 steps
    ("decoder", "encoder", {"steps": 6, "refresh_every": 3, "tolerance": 0.5}, 3, 2, CONVERGED),  # at the 2nd refresh
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


def test_a_frozen_encoder_is_all_that_codes_come_from():
    network = Network(hidden=(8,), code_size=2, output="mixed", blocks=("categorical:30", "gaussian:2"),
                      embed_above=10, variational=True)
    net = Net.fresh(jax.random.key(0), build(network, 32))
    phase = Refine(make("idec"), 4, 300, 64, Refinement(freeze="encoder"))
    moves = phase._unfrozen(Trained(jax.tree.map(lambda _: True, net), True)).net.params["params"]
    assert {name.rsplit("_", 1)[0]: all(jax.tree.leaves(layer)) for name, layer in moves.items()} == {
        "encoder": False, "embedding": False, "posterior": False, "decoder": True, "log": True}  # log_variance


@pytest.mark.parametrize(("moved", "status", "step"), [(75, CONVERGED, 3), (225, RUNNING, 6)])
def test_it_stops_when_few_rows_moved(start, data, run_phase, moved, status, step):
    """At the refresh before step 3, with a quarter and with three quarters of the labels other than before."""
    phase, state = start(freeze="decoder", steps=6, refresh_every=3, tolerance=0.5)
    labels = phase.labels(data, jax.tree.map(lambda a: a[0], state))
    after, records = run_phase(phase, data, state._replace(memory=labels.at[:moved].add(1)[None]), KEYS, start=1)
    assert records["change"][0, 0] == moved / 300
    assert (after.status, after.step) == (status, step)
    np.testing.assert_array_equal(after.memory[0], labels)
    assert records["occupied"][0, 0] == len(np.unique(labels))


def test_the_interval_of_the_refresh():
    """The larger of 140 steps and an epoch, unless asked otherwise."""
    def refine(rows, **config):
        return Refine(make("dec"), 3, rows, 10, Refinement(**config))

    assert refine(1391).refresh_every == 140
    assert refine(1401).refresh_every == 141
    assert refine(5000, refresh_every=7).refresh_every == 7
    assert [refine(100, steps=s, refresh_every=10).periods for s in (0, 1, 10, 11)] == [0, 1, 1, 2]


def test_of_many_rows_a_sample_starts_the_clusters(data, net, monkeypatch):
    monkeypatch.setattr(refine, "START_ROWS", 100)
    method = make("dec")._replace(init=lambda key, net, view, k: Head(view.encode(net)[:k], view.encode(net)))
    phase, samples = Refine(method, 4, 300, 64, Refinement()), []
    every = np.asarray(net.encode(data[:]))
    for key in seed_keys([3, 4], "start"):
        state = jax.jit(phase.start)(data, key, net)
        rows = np.abs(np.asarray(state.head.state)[:, None] - every).sum(2).argmin(1)
        np.testing.assert_allclose(state.head.state, every[rows], rtol=1e-5)
        assert len(rows) == 100 and (np.diff(rows) > 0).all()
        np.testing.assert_array_equal(state.memory, method.assign(state.head, jnp.asarray(every)).argmax(1))
        samples.append(rows)
    assert (samples[0] != samples[1]).any()
    monkeypatch.setattr(refine, "START_VALUES", 8 * 50)
    inputs = Refine(make("kmeans")._replace(init=method.init), 4, 300, 64, Refinement())
    assert jax.eval_shape(inputs.start, data, KEYS[0], ()).head.state.shape == (50, 8)


def test_of_many_rows_the_targets_are_computed_again(start, data, run_phase, monkeypatch):
    phase, state = start(steps=6, refresh_every=3, tolerance=0.0)
    expected, kept = run_phase(phase, data, jax.tree.map(jnp.copy, state), KEYS)
    monkeypatch.setattr(refine, "KEPT_ROWS", 299)
    phase, state = start(steps=6, refresh_every=3, tolerance=1e-9)  # not equal, so that it is not the same program
    assert jax.tree.leaves(phase._refresh(data, jax.tree.map(lambda a: a[0], state))[1]) == []
    after, again = run_phase(phase, data, state, KEYS)
    for name in kept:
        np.testing.assert_allclose(kept[name], again[name], rtol=1e-5)
    for one, other in zip(jax.tree.leaves((expected.net, expected.head)), jax.tree.leaves((after.net, after.head))):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("name", ["kmeans", "ae+kmeans"])
def test_methods_without_a_loss_take_no_steps(name, data):
    phase = Refine(make(name), 4, 300, 64, Refinement())
    assert phase.periods == 0
    centers = data[:4]
    states = State((), Head(centers[None]), (), (), jnp.array([RUNNING]), jnp.array([0]))
    assert engine.run(phase, data, None, KEYS, states, pytest.fail) is states


def test_rows_that_clusters_are_started_from():
    """All, up to a quarter of a million, and of the input up to so many values."""
    def rows(method, n, width):
        return Refine(make(method), 4, n, 64, Refinement()).view_rows(width)

    assert rows("kmeans", 300, 8) == 300 and rows("kmeans", 2**20, 8) == 2**18
    assert rows("kmeans", 100_000, 5000) == refine.START_VALUES // 5000 == 53_687
    assert rows("ae+kmeans", 100_000, 5000) == 100_000
