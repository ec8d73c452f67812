"""Stages of pretraining; networks from a cache or a saved model."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse import csr_array

from dec.config import Model, Network, Optimizer, Pretraining
from dec.data.scaling import Scaling, fit_scaling
from dec.io import write_arrays
from dec.networks.autoencoder import build
from dec.training import engine, pretrained, rows
from dec.training.batches import batch_rows
from dec.training.engine import NO_PROGRESS, place, seed_keys
from dec.training.pretrain import Pretrain, stages
from dec.training.session import Session

KEYS = seed_keys([3], "pretrain")
SCALING = Scaling(np.float32(0), np.float32(0.1))


@pytest.fixture(scope="module")
def start(net):
    """A stage's state of one seed, stacked."""
    return lambda phase: jax.tree.map(lambda a: jnp.asarray(a)[None] + 0, phase.start(net))

    return start


def first(tree):
    """The first seed of a stacked tree."""
    return jax.tree.map(lambda a: a[0], tree)


def loss_of(net, x):
    """The mean reconstruction error of rows in float64, from the network's own reconstructions."""
    scaled = np.asarray(x, np.float64) * 0.1
    return ((scaled - np.asarray(net.decode(net.encode(jnp.float32(scaled))), np.float64)) ** 2).mean()


# ---- One stage


@pytest.fixture(scope="module")
def watched(x, start, run_phase):
    """30 epochs at most with a learning rate that is too high to settle: 250 rows to train on, 50 to watch."""
    config = Pretraining(keep_best=True, patience=3, optimizer=Optimizer("adam", 0.1))
    phase = Pretrain("watched", 30, 64, 250, 0.0, None, config)
    return phase, *run_phase(phase, place(x[:250], SCALING), start(phase), KEYS, place(x[250:], SCALING))


def test_patience_and_the_best_weights(watched, x):
    phase, state, records = watched
    epochs = int(state.step[0]) // phase.steps_per_epoch
    losses = records["validation_loss"][0, :epochs]
    best = int(losses.argmin())
    assert state.status == NO_PROGRESS
    assert epochs == best + 1 + 3 < 30  # three epochs without a better loss, and no more
    assert state.memory.epoch == best
    np.testing.assert_allclose(loss_of(first(phase.result(state)), x[250:]), losses[best], rtol=1e-5)
    np.testing.assert_allclose(loss_of(first(state.net), x[250:]), losses[-1], rtol=1e-5)
    assert losses[-1] > losses[best]


def test_a_layers_stage_changes_its_own_pair_alone(x, start, run_phase, identical):
    """The inner pair; that the gradient of each pair is its own is a test of the network."""
    config = Pretraining(layerwise_epochs=3, dropout=0.1, optimizer=Optimizer("adam", 0.01))
    model = Model(network=Network(hidden=(16,)), pretraining=config, batch_size=64)
    data, phase = place(x, SCALING), stages(model, 300)[1]
    state = start(phase)
    before = jax.device_get(first(state.net))
    after = first(run_phase(phase, data, state, KEYS)[0].net)
    for name, layer in after.params["params"].items():
        kept = identical(layer, before.params["params"][name])
        assert kept == (name not in ("encoder_1", "decoder_0")), name
    losses = [net.denoising(data[:], KEYS[0], 0.0, 1).mean() for net in (before, after)]
    assert losses[1] < 0.9 * losses[0]


def test_the_stages_in_order():
    def listed(**config):
        model = Model(network=Network(hidden=(16,)), pretraining=Pretraining(**config))
        return [(s.name, s.periods, s.rate, s.layer) for s in stages(model, 10)]

    assert listed(epochs=3) == [("pretrain", 3, 0.0, None)]
    assert listed(epochs=3, dropout=0.2, finetune_epochs=2) == [("pretrain", 3, 0.2, None), ("finetune", 2, 0.0, None)]
    assert listed(epochs=3, dropout=0.2, layerwise_epochs=1) == [
        ("layer 1", 1, 0.2, 0), ("layer 2", 1, 0.2, 1), ("pretrain", 3, 0.0, None),
    ]
    assert listed(epochs=0) == []


def test_bfloat16_keeps_float32_state(model, net, x):
    phase = Pretrain("half", 2, 64, 300, 0.0, None, Pretraining(keep_best=True))
    half, data = net.replace(module=build(model.network, 8, "bfloat16")), place(x, SCALING)
    state, record = jax.eval_shape(
        lambda net: phase.period(data, data, KEYS[0], phase.start(net), jnp.int32(0)), half
    )
    floats = {leaf.dtype for leaf in jax.tree.leaves((state, record)) if jnp.issubdtype(leaf.dtype, jnp.floating)}
    assert floats == {jnp.dtype("float32")}


# ---- Networks of all seeds


@pytest.fixture
def networks(module, x, model):
    """networks(seeds, cache, **pretraining) -> the networks and the session."""
    def networks(seeds, cache=None, **pretraining):
        session = Session(list(seeds))
        config = replace(model, pretraining=Pretraining(**pretraining))
        nets = pretrained.networks(module, x, fit_scaling(x, "power"), None, config, session, cache)
        return nets, session

    return networks


def test_cached_networks_are_reused(networks, tmp_path, identical):
    """Two stages; then again from the cache, then beside a seed that is new; then damaged."""
    cache = tmp_path / "cache"
    asked = {"epochs": 2, "dropout": 0.3, "finetune_epochs": 2}
    nets, session = networks([5], cache, **asked)
    expected = [("pretrain", 0), ("pretrain", 1), ("finetune", 0), ("finetune", 1)]
    assert [(r["phase"], r["period"]) for r in session.history] == expected
    assert session.reused == 0 and len(list(cache.iterdir())) == 1

    before = engine.TRACES.copy()
    again, second = networks([5], cache, **asked)
    assert identical(nets, again) and second.history == session.history
    assert second.reused == 1 and second.seconds["compile"] == 0
    assert second.seconds["pretrain"] == pytest.approx(session.seconds["pretrain"])

    both, third = networks([6, 5], cache, **asked)
    assert identical(both, nets, at=(1, 0)) and not identical(both, nets, at=(0, 0))
    assert third.reused == 1 and len(third.history) == 8
    assert before == engine.TRACES  # one seed was trained, as at first
    files = list(cache.iterdir())
    assert len(files) == 2

    for file in files:
        file.write_bytes(file.read_bytes()[:-100])
    with pytest.warns(UserWarning, match=r"\.npz is damaged or was not written by dec.*trained anew"):
        anew, fourth = networks([5], cache, **asked)
    assert identical(nets, anew) and fourth.reused == 0
    assert networks([5], cache, **asked)[1].reused == 1  # the damaged file was replaced


def test_what_decides_the_weights_names_the_file(module, x, model, tmp_path, monkeypatch):
    def name(x=x, validation=None, model=model, seed=0):
        return pretrained._cache_files(module, x, validation, model, [seed], tmp_path)[seed].name

    other = x.copy()
    other[0, 0] += 1
    names = [
        name(), name(x=other), name(validation=x[:9]), name(seed=1), name(model=replace(model, batch_size=63)),
        name(model=replace(model, scaling="none")), name(model=replace(model, dtype="bfloat16")),
        name(model=replace(model, network=replace(model.network, activation="tanh"))),
        name(model=replace(model, pretraining=Pretraining(epochs=7))),
    ]
    sparse = [name(x=csr_array((np.ones(3, np.float32), at, [0, 1, 3]), (2, 8))) for at in ([1, 2, 3], [1, 2, 4])]
    names += sparse
    assert len(set(names)) == len(names)
    np.save(tmp_path / "x.npy", x)
    assert name(x=np.load(tmp_path / "x.npy", mmap_mode="r")) == names[0]
    assert name(model=replace(model, stream_above=0)) == names[0]
    with monkeypatch.context() as patch:  # windows decide the batches
        patch.setattr(rows, "LEAST_WINDOW", 1)
        patch.setattr(rows, "WINDOW_BYTES", 32 * 100)
        assert name() not in names
    assert name(model=replace(model, refinement=replace(model.refinement, steps=1))) == names[0]
    assert pretrained._cache_files(module, x, None, model, [0], None) == {}


def test_the_validation_rows_are_others():
    x = np.arange(100)[:, None]
    train, held = (part[:] for part in pretrained.split(x, 0.2))
    assert (len(train), len(held)) == (80, 20)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, held]), axis=0), x)
    assert not (np.diff(held[:, 0]) == 1).all()  # not simply the last
    assert [part.shape for part in pretrained.split(x[:3], 0.01)] == [(2, 1), (1, 1)]
    with pytest.raises(ValueError, match=r"validation=0\.999 leaves no row"):
        pretrained.split(x, 0.999)


def test_warm_start_and_the_recorded_losses(networks, trained, x, tmp_path, identical):
    """From a saved network with a learning rate of 0: the losses are those it had.

    That of the 210 training rows is the mean over batches: the last of 4 has 18 rows and counts as much as the others.
    """
    net = first(trained.fit.nets)
    write_arrays(tmp_path / "model" / "arrays.npz", {f"net/{n}": a for n, a in pretrained.flat(net.params).items()}, {})
    still = Optimizer("sgd", 0.0)
    nets, session = networks([8, 9], epochs=2, warm_start=str(tmp_path), optimizer=still, validation=0.3)
    rows, held = (fit_scaling(x, "power").apply(part[:]) for part in pretrained.split(x, 0.3))
    error, held_error = (((a - np.asarray(net.decode(net.encode(a)))) ** 2).mean(1) for a in (rows, held))
    records = {(r["seed"], r["period"]): r for r in session.history}
    for s, key in enumerate(seed_keys([8, 9], "pretrain")):
        assert identical(jax.tree.map(lambda a, s=s: a[s], nets), net)
        for epoch in (0, 1):
            at, valid = jax.vmap(lambda i, key=key: batch_rows(key, i, 210, 64))(4 * epoch + jnp.arange(4))
            expected = np.mean([error[r[v]].mean() for r, v in zip(np.asarray(at), np.asarray(valid))])
            np.testing.assert_allclose(records[8 + s, epoch]["loss"], expected, rtol=1e-5)
            np.testing.assert_allclose(records[8 + s, epoch]["validation_loss"], held_error.mean(), rtol=1e-5)


def test_warm_start_from_what_does_not_fit(trained, tmp_path, module, model):
    with pytest.raises(ValueError, match="neither a saved model nor a run folder"):
        pretrained.warm_start(str(tmp_path), module)
    arrays = pretrained.flat(first(trained.fit.nets).params)
    write_arrays(tmp_path / "arrays.npz", {f"net/{n}": a for n, a in arrays.items()}, {})
    pretrained.warm_start(str(tmp_path), module)
    with pytest.raises(ValueError, match="this network and data need"):
        pretrained.warm_start(str(tmp_path), build(model.network, 9))


def test_flat_and_back(trained, identical):
    params = trained.fit.nets.params
    back = pretrained.unflat(pretrained.flat(params))
    assert identical(back, params) and jax.tree.structure(back) == jax.tree.structure(params)


def test_encode_has_each_row_of_each_seed(trained, x):
    data = place(x, trained.fit.scaling)
    codes = pretrained.encode_seeds(data, trained.fit.nets)
    assert codes.shape == (3, 300, 3)
    for s in range(3):
        np.testing.assert_array_equal(codes[s], trained.fit.encode(x, s))
    np.testing.assert_array_equal(trained.fit.encode(x[:7], 1), codes[1, :7])  # a row's codes do not depend on n
