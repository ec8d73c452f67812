"""Whole fits: seeds alone and together, one trace, kept seeds, failures, resumption."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dec.config import Optimizer, Pretraining
from dec.methods import make
from dec.methods.base import Head
from dec.selection.agreement import agreement
from dec.training import engine, fit, outcome, pretrained
from dec.training.checkpoint import Checkpoints
from dec.training.engine import seed_keys


def history(run, seed=None):
    records = [r for r in run.session.history if seed in (None, r["seed"])]
    return sorted(records, key=lambda r: (r["phase"], r["seed"], r["period"]))


def losses(run, phase, seed):
    return np.array([r["loss"] for r in history(run, seed) if r["phase"] == phase])


def same(a, b, identical):
    return (
        identical((a.fit.nets, a.fit.heads, a.fit.labels), (b.fit.nets, b.fit.heads, b.fit.labels))
        and history(a) == history(b)
        and a.fit.runs == b.fit.runs
    )


def test_a_seed_alone_and_among_others(trained, train, identical):
    alone = train([1])
    assert identical((alone.fit.nets, alone.fit.heads), (trained.fit.nets, trained.fit.heads), at=(0, 1))
    np.testing.assert_array_equal(alone.fit.labels[0], trained.fit.labels[1])
    assert history(alone) == history(trained, seed=1)
    assert not identical(trained.fit.nets, trained.fit.nets, at=(0, 1))  # seeds do differ


def test_one_trace_for_each_phase(trained, train):
    before = engine.TRACES.copy()
    assert before["pretrain"] and before["cluster"]
    other = train([7, 8, 9], make("dec", {}))
    assert before == engine.TRACES
    assert sorted({r["seed"] for r in other.session.history}) == [7, 8, 9]


def test_the_size_of_the_chunks_changes_nothing(trained, train, monkeypatch, identical):
    visits = []
    monkeypatch.setattr(engine, "CHUNK_SECONDS", 0.0)
    each = train(callback=lambda session: visits.append(session.phase))
    assert visits == ["pretrain"] * 6 + ["cluster"] * 24
    assert same(each, trained, identical)


def test_the_history_has_each_period_once(trained):
    expected = [("cluster", seed, i) for seed in range(3) for i in range(24)]
    expected += [("pretrain", seed, i) for seed in range(3) for i in range(6)]
    assert [(r["phase"], r["seed"], r["period"]) for r in history(trained)] == expected
    cluster = [r for r in history(trained) if r["phase"] == "cluster"]
    assert all(r["loss"] == r["clustering"] and r["occupied"] == 4 for r in cluster)
    assert all(r["learning_rate"] == np.float32(0.01) for r in cluster)


def test_runs_are_told(trained):
    for seed, row in enumerate(trained.fit.runs):
        sizes = np.bincount(trained.fit.labels[seed], minlength=4)
        mine = history(trained, seed)
        assert row == {
            "seed": seed, "status": "ok", "reason": "24 steps", "steps": 24,
            "loss": mine[23]["loss"], "pretrain_loss": mine[-1]["loss"], "occupied": 4,
            "smallest": sizes.min(), "largest": sizes.max(), "noise": 0, "looked_at": len(trained.fit.labels[seed]),
            "agreement": agreement(trained.fit.labels)[seed],
        }


def test_labels_are_the_assignment_of_the_fitted_model(trained, x):
    for seed in range(3):
        np.testing.assert_array_equal(trained.fit.log_assign(x, seed).argmax(1), trained.fit.labels[seed])


def test_the_pretraining_learned_more_than_the_mean(trained, x):
    mean_row = trained.fit.scaling.apply(x).var(0).mean()  # the loss of a decoder that knows nothing of the input
    assert all(losses(trained, "pretrain", seed)[-1] < 0.9 * mean_row for seed in range(3))


# ---- Failures


def poisoned(seed):
    """DEC from the first rows as centers, with a NaN loss from step 3 in one seed; its weights stay finite."""
    bad = jax.random.key_data(seed_keys([seed], "start")[0])
    base = make("dec")

    def init(key, net, view, k):
        return Head(view.encode(net)[:k], jnp.all(jax.random.key_data(key) == bad))

    def loss(net, head, batch, clock):
        term = base.loss(net, head, batch, clock)["clustering"]
        return {"clustering": jnp.where(head.state & (clock.step >= 3), jnp.nan, term)}

    return base._replace(init=init, loss=loss)


@pytest.fixture(scope="module")
def one_bad(train):
    method = poisoned(1)
    return method, train(method=method)


def test_one_failure_leaves_the_others_alone(one_bad, train, identical):
    method, among = one_bad
    assert [row["status"] for row in among.fit.runs] == ["ok", "failed", "ok"]
    failed = among.fit.runs[1]
    assert failed["steps"] == 4 and "NaN or infinite by step 4" in failed["reason"]
    assert failed["agreement"] is None
    assert np.isfinite(failed["loss"])  # the last that was
    pair = agreement(among.fit.labels[[0, 2]])
    assert [among.fit.runs[s]["agreement"] for s in (0, 2)] == list(pair)
    assert among.fit.chosen == 0
    alone = train([2], method)
    assert identical((alone.fit.nets, alone.fit.heads), (among.fit.nets, among.fit.heads), at=(0, 2))
    np.testing.assert_array_equal(alone.fit.labels[0], among.fit.labels[2])
    assert history(alone) == history(among, seed=2)


def test_side_by_side_agrees_for_twenty_steps(one_bad, train, monkeypatch):
    """The same weights at the start, and each loss of the first 20 steps within 1e-5, beside a seed that fails."""
    method, in_turn = one_bad
    module, keys = in_turn.fit.nets.module, seed_keys([0, 1, 2], "weights")
    a, b = (jax.tree.leaves(pretrained._fresh(module, keys, how)) for how in ("map", "vmap"))
    for one, other in zip(a, b):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
    for module in (engine, fit, pretrained):
        monkeypatch.setattr(module, "execution", lambda: "vmap")
    before = engine.TRACES.copy()
    abreast = train(method=method)
    assert engine.TRACES - before == {"pretrain": 1, "cluster": 1}
    assert [row["status"] for row in abreast.fit.runs] == ["ok", "failed", "ok"]
    for seed in (0, 2):
        for phase, periods in (("pretrain", 4), ("cluster", 20)):
            a, b = (losses(run, phase, seed)[:periods] for run in (in_turn, abreast))
            assert len(a) == periods
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
            assert np.ptp(a) > 1e-4


def test_programs_are_forgotten_before_memory_maps_run_out(train, tmp_path, monkeypatch):
    train([0])
    before = engine.TRACES.copy()
    train([0])
    assert not engine.TRACES - before
    monkeypatch.setattr(fit, "MAPS_ALLOWED", tmp_path / "max_map_count")
    fit.MAPS_ALLOWED.write_text("100\n")
    train([0])
    assert engine.TRACES - before == {"pretrain": 1, "cluster": 1}


def test_the_kept_seed_is_no_failed_one():
    """Seeds 1, 2 and 3 are identical but failed or collapsed; of the others the two that agree win."""
    def state(status, weights):
        s = len(status)
        return engine.State(jnp.array(weights), Head(jnp.zeros(s)), (), (), jnp.array(status), jnp.full(s, 9))

    session = fit.Session([10, 11, 12, 13, 14, 15])
    labels = np.array([[0, 1, 0, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 1]])
    status = [0, engine.NOT_FINITE, 0, 0, engine.CONVERGED, 0]
    runs, chosen = outcome.summarize(state(status, [0.0, 0.0, np.inf, 0, 0, 0]), labels, 4, 3, session)
    assert [row["status"] for row in runs] == ["ok", "failed", "failed", "failed", "ok", "ok"]
    assert chosen in (4, 5)
    assert [row["agreement"] is None for row in runs] == [False, True, True, True, False, False]
    assert runs[0]["reason"] == "9 steps; only 2 of 3 clusters are occupied"
    assert runs[2]["reason"].startswith("the loss or the weights became NaN or infinite by step 9")
    assert runs[3]["reason"] == "collapsed: there is only one cluster"
    assert runs[4]["reason"].startswith("label change below the tolerance at step 9")


def test_every_seed_can_fail(train, model):
    """Also where the best weights are kept: those of before the divergence would pass for a trained network."""
    hot = replace(model, pretraining=Pretraining(epochs=3, keep_best=True, optimizer=Optimizer("sgd", 1e30)))
    run = train(model=hot)
    for row in run.fit.runs:
        assert row["status"] == "failed"
        assert "NaN or infinite" in row["reason"] and "lower the learning rate" in row["reason"]
    pretraining = [r for r in run.session.history if r["phase"] == "pretrain"]
    assert len(pretraining) == 3  # one epoch each: a seed that failed does not go on


# ---- Interruption and resumption


@pytest.fixture
def every_period(monkeypatch):
    monkeypatch.setattr(engine, "CHUNK_SECONDS", 0.0)
    monkeypatch.setenv("DEC_CHECKPOINT_SECONDS", "0")


def at(phase, chunk, do):
    """A callback that does something at the given chunk of a phase."""
    seen = []

    def callback(session):
        seen.append(session.phase)
        if seen.count(phase) == chunk and session.phase == phase:
            do(session)

    return callback


def kill(session):
    raise KeyboardInterrupt


@pytest.mark.usefixtures("every_period")
@pytest.mark.parametrize(("phase", "period"), [("pretrain", 1), ("pretrain", 4), ("cluster", 1), ("cluster", 15)])
def test_killed_and_resumed(trained, train, tmp_path, identical, phase, period):
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(checkpoints=checkpoints, callback=at(phase, period + 1, kill))
    saved = checkpoints.load()
    assert (saved.stage, saved.period) == (phase, period)
    before = engine.TRACES.copy()
    resumed = train(checkpoints=checkpoints, resume=saved)
    assert same(resumed, trained, identical)
    assert before == engine.TRACES


@pytest.mark.usefixtures("every_period")
def test_killed_between_the_phases(trained, train, tmp_path, identical):
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(checkpoints=checkpoints, callback=at("cluster", 1, kill))
    saved = checkpoints.load()
    assert (saved.stage, saved.period) == ("pretrain", 6)
    assert same(train(resume=saved), trained, identical)


@pytest.mark.usefixtures("every_period")
@pytest.mark.parametrize("phase", ["pretrain", "cluster"])
def test_interrupted_and_resumed(trained, train, tmp_path, identical, phase):
    """Ctrl-C ends at the next chunk with a usable model, from which the run goes on to the same end."""
    checkpoints = Checkpoints(tmp_path)
    stopped = train(checkpoints=checkpoints, callback=at(phase, 2, lambda s: setattr(s, "interrupted", True)))
    assert {r["period"] for r in stopped.session.history if r["phase"] == phase} == {0, 1}
    assert all(row["status"] == "ok" and "interrupted" in row["reason"] for row in stopped.fit.runs)
    assert stopped.fit.labels.shape == (3, 300)
    assert same(train(resume=checkpoints.load()), trained, identical)


@pytest.mark.usefixtures("every_period")
def test_a_checkpoint_of_another_model_is_refused(train, model, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(checkpoints=checkpoints, callback=at("cluster", 3, kill))
    wider = replace(model, network=replace(model.network, hidden=(17,)))
    with pytest.raises(ValueError, match="do not fit this configuration"):
        train(model=wider, resume=checkpoints.load())


@pytest.mark.parametrize(("n", "k", "batch", "message"), [
    (5, 0, 2, "n_clusters=0 must be at least"), (2, 3, 2, "n_samples=2 should be >= n_clusters=3"),
    (5, 2, 0, "batch_size=0 must be at least 1"),
])
def test_sizes(model, n, k, batch, message):
    with pytest.raises(ValueError, match=message):
        replace(model, batch_size=batch)  # a config refuses its own numbers when it is made
        fit.check_sizes(n, k)
