"""The engine with phases small enough to follow by hand."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dec.data.scaling import Scaling
from dec.training import engine
from dec.training.engine import (
    CONVERGED,
    NOT_FINITE,
    RUNNING,
    SWEEP_ROWS,
    State,
    place,
    seed_keys,
    steps,
    sweep,
    weighted_mean,
)

PLAIN = Scaling(np.float32(0), np.float32(1))
DATA = place(np.ones((1, 1), np.float32), PLAIN)


@dataclass(frozen=True)
class Climb:
    """Each period adds `head` to `net`, and a draw to `memory`; 6 is converged, beyond 100 is not finite."""

    name: str = "climb"
    periods: int = 40

    def period(self, data, extra, key, state, index):
        net = state.net + state.head
        net = jnp.where(net > 100, jnp.nan, net)
        status = jnp.where(net == 6, CONVERGED, jnp.where(jnp.isnan(net), NOT_FINITE, RUNNING)).astype(jnp.int32)
        memory = state.memory + jax.random.uniform(jax.random.fold_in(key, index))
        return State(net, state.head, (), memory, status, index + 1), {"net": net, "index": index}


def climb(rates, seeds=None, phase=None, start=0, state=None, stop=lambda visit: False):
    """Runs a Climb; the final state and the visits."""
    s, visits = len(rates), []

    def visit(visit):
        visits.append(visit)
        return stop(visit)

    zeros = jnp.zeros(s)
    state = state or State(zeros, jnp.array(rates, jnp.float32), (), zeros + 0, jnp.zeros(s, jnp.int32),
                           jnp.zeros(s, jnp.int32))
    keys = seed_keys(seeds or list(range(s)), "climb")
    state = engine.run(phase or Climb(), DATA, None, keys, state, visit, start)
    return jax.device_get(state), visits


def test_seeds_stop_by_themselves():
    """Rates 1, 2 and 6 reach 6 at periods 6, 3 and 1; 0.5 at 12; 40 is beyond 100 at period 3; 0 never stops."""
    state, visits = climb([1, 2, 6, 0.5, 40, 0])
    np.testing.assert_array_equal(state.step, [6, 3, 1, 12, 3, 40])
    np.testing.assert_array_equal(state.net, [6, 6, 6, 6, np.nan, 0])
    np.testing.assert_array_equal(state.status, [*[CONVERGED] * 4, NOT_FINITE, RUNNING])
    np.testing.assert_array_equal(sum(v.done for v in visits), state.step)
    ran = np.concatenate([v.records["net"][0, : v.done[0]] for v in visits])
    np.testing.assert_array_equal(ran, [1, 2, 3, 4, 5, 6])
    assert [v.finished for v in visits] == [*[False] * (len(visits) - 1), True]


def test_it_ends_when_every_seed_has():
    state, visits = climb([2, 3, 2, 3, 2, 3])
    np.testing.assert_array_equal(state.step, [3, 2, 3, 2, 3, 2])
    assert visits[-1].finished and visits[-1].next < 40


def test_seeds_do_not_touch_each_other(identical):
    together, _ = climb([1, 2, 6, 0.5, 40, 0], seeds=[4, 5, 6, 7, 8, 9])
    others, _ = climb([0, 40, 6, 40, 40, 1], seeds=[1, 2, 6, 3, 0, 4])
    assert identical(together, others, at=(2, 2))
    assert identical(together._replace(status=0, step=0), others._replace(status=0, step=0), at=None) is False
    assert identical(together, others, at=(0, 5))


@pytest.mark.parametrize(("records", "seconds"), [(1, 2.0), (3, 1e9), (64, 0.0), (64, 1e9)])
def test_the_size_of_the_chunks_changes_nothing(monkeypatch, identical, records, seconds):
    rates = [1, 2, 6, 0.5, 40, 0]
    expected, _ = climb(rates)
    monkeypatch.setattr(engine, "RECORDS", records)
    monkeypatch.setattr(engine, "CHUNK_SECONDS", seconds)
    state, visits = climb(rates)
    assert identical(state, expected)
    assert [v.first for v in visits] == [0, *(v.next for v in visits[:-1])]
    assert visits[-1].next == 40
    assert max(v.next - v.first for v in visits) <= records
    assert (len(visits) == 40) == (records == 1 or seconds == 0)
    for v in visits:
        np.testing.assert_array_equal(v.records["index"][5], np.arange(v.first, v.next))


def test_stop_and_go_on(identical):
    rates = [1, 2, 6, 0.5, 40, 0]
    expected, _ = climb(rates)
    half, visits = climb(rates, stop=lambda visit: visit.next >= 5)
    assert 5 <= visits[-1].next < 40 and not visits[-1].finished
    whole, _ = climb(rates, state=jax.tree.map(jnp.asarray, half), start=visits[-1].next)
    assert identical(whole, expected)


def test_a_phase_without_periods_or_running_seeds_is_left_alone():
    assert climb([1, 2], phase=Climb(periods=0))[1] == []
    done = State(jnp.ones(1), jnp.ones(1), (), jnp.ones(1), jnp.array([CONVERGED]), jnp.ones(1, jnp.int32))
    state, visits = climb([1], state=done)
    assert visits == [] and state.net == 1


def test_one_trace_for_each_phase_and_shape():
    phase = Climb("traced", 30)
    for seeds in ([0, 1, 2], [5, 6, 7]):
        climb([1, 2, 0], seeds, phase)
    climb([1, 0, 0], [1, 2, 3], Climb("traced", 30))  # an equal phase
    assert engine.TRACES["traced"] == 1
    climb([1, 0], [1, 2], phase)  # another shape
    assert engine.TRACES["traced"] == 2


def test_side_by_side_is_the_same_here(monkeypatch):
    expected, _ = climb([1, 2, 6, 0.5, 40, 0])
    monkeypatch.setattr(engine, "execution", lambda: "vmap")
    state, visits = climb([1, 2, 6, 0.5, 40, 0])
    jax.tree.map(np.testing.assert_array_equal, state, expected)
    np.testing.assert_array_equal(sum(v.done for v in visits), state.step)


def test_execution():
    assert engine.execution() == ("map" if jax.default_backend() == "cpu" else "vmap")


def test_a_seed_has_its_keys_whatever_the_others():
    alone, among = seed_keys([7], "cluster"), seed_keys([0, 7, 2**32 - 1], "cluster")
    data = jax.random.key_data
    assert (data(alone)[0] == data(among)[1]).all()
    assert len({tuple(np.asarray(k)) for k in data(among)}) == 3
    assert (data(seed_keys([7], "weights")) != data(alone)).any()


def test_raw_rows_are_scaled_where_they_are_used():
    raw = np.array([[0, 128], [255, 64]], np.uint8)
    data = place(raw, Scaling(np.float32(127.5), np.float32(1 / 127.5)))
    assert data.x.dtype == jnp.uint8
    assert data[jnp.array([1])].dtype == jnp.float32
    np.testing.assert_allclose(data[:], (raw - 127.5) / 127.5, rtol=1e-6)
    columns = place(raw, Scaling(np.float32([1, 2]), np.float32([3, 4])))
    np.testing.assert_allclose(columns[jnp.array([0])], [[-3, 504]])


@pytest.mark.parametrize("n", [1, SWEEP_ROWS - 1, SWEEP_ROWS, SWEEP_ROWS + 1])
def test_sweep_has_every_row_once(n):
    x = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    data = place(x, Scaling(np.float32(1), np.float32(0.5)))
    scaled = (x.astype(np.float64) - 1) / 2

    def f(x, weight):
        assert x.shape == (SWEEP_ROWS, 2)
        return {"twice": 2 * x, "first": x[:, 0]}, (jnp.sum(x * weight[:, None], axis=0), weight.sum())

    rows, (sums, count) = jax.jit(lambda data: sweep(f, data))(data)
    np.testing.assert_array_equal(rows["twice"], 2 * scaled)
    np.testing.assert_array_equal(rows["first"], scaled[:, 0])
    np.testing.assert_allclose(sums, scaled.sum(0), rtol=1e-5)
    assert count == n


def test_weighted_mean_by_hand():
    assert weighted_mean(jnp.array([1.0, 5.0, 99.0]), jnp.array([1.0, 1.0, 0.0])) == 3
    assert weighted_mean(jnp.float32(7), jnp.array([1.0, 0.0])) == 7


@pytest.mark.parametrize("drawn", [0, 10**6])  # most rows whose numbers are drawn beforehand
def test_batches_side_by_side_are_those_of_one_after_the_other(monkeypatch, drawn):
    data = place(np.arange(100.0, dtype=np.float32)[:, None], Scaling(np.float32(0), np.float32(1)))
    keys, first = seed_keys([0, 1], "cluster"), jnp.int32(5)  # 7 steps an epoch

    def all_of(key):
        batch = data.batches(key, first, 11, 16)
        return jax.lax.map(batch, first + jnp.arange(11))

    one = [jax.jit(all_of)(key) for key in keys]
    monkeypatch.setattr(engine, "execution", lambda: "vmap")
    monkeypatch.setattr(engine, "DRAWN", drawn)
    both = jax.jit(jax.vmap(all_of))(keys)
    for s in (0, 1):
        jax.tree.map(np.testing.assert_array_equal, jax.tree.map(lambda a, s=s: a[s], both), one[s])
    x, at, valid = one[0]
    np.testing.assert_array_equal(x[..., 0], at)
    assert sorted(at[2:9][valid[2:9]]) == list(range(100))  # an epoch


def test_steps_by_hand():
    """Steps 2, 3, 4 add their number: 10 + 9; the mean of the terms is 3. No step: the carry as it was, terms NaN."""
    def step(i, carry):
        return carry + i, {"loss": i.astype(jnp.float32)}

    run = jax.jit(lambda first, count: steps(step, jnp.int32(10), first, count))
    assert jax.tree.map(float, steps(step, jnp.int32(10), jnp.int32(2), 3)) == (19, {"loss": 3})
    carry, terms = run(2, 3)
    assert (carry, terms["loss"]) == (19, 3)
    carry, terms = run(2, 0)
    assert carry == 10 and jnp.isnan(terms["loss"])
