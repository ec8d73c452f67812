"""The loop written once: per-seed periods of compiled steps, lifted over seeds, visited by the host between chunks.

A *phase* (pretraining, refinement) says what happens in one *period* (an epoch; a target refresh and the steps up to
the next). The device runs many periods in one call, a *chunk*, and decides by itself which seeds have stopped. Between
chunks the host shows progress, keeps history, writes checkpoints and may stop.
"""

from __future__ import annotations

import math
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from dec.data.scaling import Scaling
from dec.data.stream import Rows
from dec.training import mesh
from dec.training.batches import batch_rows, next_window
from dec.training.rows import Sparse, Streamed, put, window_rows

RUNNING, CONVERGED, NOT_FINITE, NO_PROGRESS = range(4)  # State.status
RECORDS = 64  # most periods in one chunk
CHUNK_SECONDS = 2.0  # a chunk is as many periods as took so long before
DRAWN = 2**24  # most rows whose numbers are drawn beforehand
SWEEP_ROWS = 1024  # rows per chunk of a pass over all the data; fixed, so that a row's codes do not depend on n

TRACES: Counter[str] = Counter()  # phase -> times traced; tests hold it to one per phase and shape


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Data:
    """Rows in their raw dtype, on the device or streamed; they are scaled where they are used."""

    x: Array | Sparse | Streamed  # [n, d], uint8 or float32
    scaling: Scaling
    n: int = field(metadata={"static": True})  # x may have more rows, to fill up a mesh of devices
    window: int = field(metadata={"static": True})  # rows shuffled together, see `batch_rows`

    def __getitem__(self, rows: Array | slice) -> Float[Array, "b d"]:
        """Return the rows, scaled, float32."""
        if isinstance(rows, slice) and not (isinstance(self.x, jax.Array) and len(self.x) == self.n):
            rows = jnp.arange(*rows.indices(self.n))
        return self.scaling.apply(mesh.shard_batch(self.x[rows]))  # type: ignore[arg-type,index]

    def batches(
        self, key: Key[Array, ""], first: Int[Array, ""], steps: int, size: int
    ) -> Callable[[Int[Array, ""]], tuple[Float[Array, "b d"], Int[Array, " b"], Bool[Array, " b"]]]:
        """Return the function from a step, of `steps` from `first` on, to a seed's batch of `size` rows.

        A batch is the rows, scaled; their numbers; which of them count. Side by side the numbers of all these steps are
        drawn beforehand: they come out of a loop of unknown length, and on a GPU each step would wait for the host in
        it. They take 5 bytes a row.
        """
        order, streamed, drawn = (self.n, size, self.window), isinstance(self.x, Streamed), None
        if execution() == "vmap" and not streamed and steps * size <= DRAWN:
            drawn = jax.vmap(lambda step: batch_rows(key, step, *order))(first + jnp.arange(steps))

        def batch(step):
            at, valid = jax.tree.map(lambda all: all[step - first], drawn) if drawn else batch_rows(key, step, *order)
            x = self.scaling.apply(self.x.take(at, next_window(step, *order))) if streamed else self[at]
            return x, at, valid

        return batch


class State(NamedTuple):
    """What training changes, for one seed; the engine stacks it along a leading seeds axis."""

    net: PyTree
    head: PyTree
    optimizer: PyTree
    memory: PyTree  # the phase's own: last labels, best weights
    status: Int[Array, ""]
    step: Int[Array, ""]  # steps taken


class Phase(Protocol):
    """A hashable description of a phase; it is a static argument, so equal phases share one compiled program."""

    @property
    def name(self) -> str:
        """The name of the phase, in the history and in checkpoints."""

    @property
    def periods(self) -> int:
        """The most periods that it may take."""

    def period(
        self, data: Data, extra: PyTree, key: Key[Array, ""], state: State, index: Int[Array, ""]
    ) -> tuple[State, dict[str, Array]]:
        """Run one period of one seed; return the new state and scalars for the history."""


def place(x: Rows, scaling: Scaling, stream_above: float = math.inf) -> Data:
    """Put rows in their raw dtype on the default device; stream them where they have more GiB than `stream_above`.

    What may be streamed has to be used under `reading(data.x)`.
    """
    x, scaling = scaling.for_device(x)
    return Data(put(x, stream_above), jax.tree.map(jnp.asarray, scaling), x.shape[0], window_rows(x))


def execution() -> str:
    """Return how seeds share a device: in turn on a CPU (bit-identical to a single seed), else side by side."""
    return "map" if device().platform == "cpu" else "vmap"


def device() -> jax.Device:
    """Return the device of new arrays: `jax.default_device` where it is set, else the first one."""
    chosen = jax.config.jax_default_device  # type: ignore[attr-defined]
    return jax.devices(chosen)[0] if isinstance(chosen, str) else chosen or jax.devices()[0]


def lift(f: Callable[..., Any], how: str) -> Callable[..., Any]:
    """Return f(common, *stacked) of a function f(common, *one seed's)."""
    if how == "vmap":
        return lambda common, *stacked: jax.vmap(partial(f, common))(*stacked)
    return lambda common, *stacked: lax.map(lambda one: f(common, *one), stacked)


def over_seeds(f: Callable[..., Any], how: str) -> Callable[..., Any]:
    """Return `lift`; on a mesh, each device along 'seeds' has seeds of its own."""
    return mesh.over_mesh(lift(f, how))


def seed_keys(seeds: list[int], purpose: str) -> Key[Array, " s"]:
    """Return one key a seed for one purpose; the same whatever other seeds there are."""
    salt = zlib.crc32(purpose.encode())
    keys = jax.vmap(lambda seed: jax.random.key(seed, impl="threefry2x32"))(jnp.array(seeds, jnp.uint32))
    return jax.vmap(jax.random.fold_in, (0, None))(keys, jnp.uint32(salt))


@partial(jax.jit, static_argnames=("phase", "how"), donate_argnames=("state",))
def _chunk(phase, how, data, extra, keys, state, first, count):
    """Periods first .. first+count-1 of every seed that still runs; records are stacked [s, RECORDS].

    The loop over periods is shared by all seeds, so that side by side (vmap) its bounds stay plain numbers, and a seed
    that has stopped is left out once a period.
    """
    TRACES[phase.name] += 1
    one = jax.jit(phase.period)  # so that it is traced once
    shape = jax.eval_shape(lambda d, e, k, s: one(d, e, k[0], jax.tree.map(lambda a: a[0], s), first)[1],
                           data, extra, keys, state)
    records = jax.tree.map(lambda a: jnp.zeros((len(keys), RECORDS, *a.shape), a.dtype), shape)

    def one_seed(common: PyTree, key: Key[Array, ""], state: State) -> tuple[State, PyTree]:
        data, extra, index = common

        def stay(state):
            return state, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shape)

        return lax.cond(state.status == RUNNING, lambda s: one(data, extra, key, s, index), stay, state)

    def going(carry):
        state, _, _, i = carry
        return jnp.any(state.status == RUNNING) & (i < count)

    def period(carry):
        state, records, done, i = carry
        done += state.status == RUNNING
        state, record = over_seeds(one_seed, how)((data, extra, first + i), keys, state)
        return state, jax.tree.map(lambda all, one: all.at[:, i].set(one), records, record), done, i + 1

    start = state, records, jnp.zeros(len(keys), jnp.int32), jnp.int32(0)
    state, records, done, _ = lax.while_loop(going, period, start)
    return state, mesh.replicate((records, done, state.status, state.step))


class Visit(NamedTuple):
    """What the host sees between two chunks."""

    phase: Phase
    state: State  # stacked; donated to the next chunk, so copy what must outlive the visit
    records: dict[str, np.ndarray]  # [s, periods of this chunk]
    done: np.ndarray  # [s] periods of this chunk that each seed ran
    status: np.ndarray  # [s]
    step: np.ndarray  # [s] steps taken
    first: int
    next: int  # the first period not yet run
    finished: bool


def run(
    phase: Phase,
    data: Data,
    extra: PyTree,
    keys: Key[Array, " s"],
    state: State,
    visit: Callable[[Visit], bool],
    start: int = 0,
) -> State:
    """Run a phase from period `start` to its end, or until `visit` returns True.

    Args:
      phase: what a period does.
      data: the rows, shared by all seeds.
      extra: further arrays shared by all seeds (validation rows).
      keys: one per seed.
      state: stacked over seeds; donated.
      visit: called between chunks.
    """
    first, count = start, 1
    while first < phase.periods and bool(np.any(np.asarray(mesh.gather(state.status)) == RUNNING)):
        count = mesh.first_process(min(count, RECORDS, phase.periods - first))
        traced, began = TRACES[phase.name], time.perf_counter()
        window = jnp.int32(first), jnp.int32(count)
        state, seen = _chunk(phase, execution(), data, extra, keys, state, *window)
        records, done, status, step = jax.device_get(seen)
        seconds = time.perf_counter() - began
        first += count
        finished = first >= phase.periods or not np.any(status == RUNNING)
        records = {name: values[:, :count] for name, values in records.items()}
        if visit(Visit(phase, state, records, done, status, step, first - count, first, finished)):
            break
        if TRACES[phase.name] == traced:  # a chunk that compiled says nothing about the speed
            count = max(1, min(4 * count, int(CHUNK_SECONDS / max(seconds / count, 1e-6))))
    return state


def steps(
    step: Callable[[Int[Array, ""], Any], tuple[Any, dict[str, Array]]],
    carry: Any,
    first: Int[Array, ""],
    count: Int[Array, ""] | int,
    skip: Bool[Array, ""] | bool = False,
) -> tuple[Any, dict[str, Array]]:
    """Run `step` for first .. first+count-1 and average its terms.

    A count that is known while tracing spares a GPU from asking the host after each step.

    Seeds share first and count. A seed that skips keeps its carry and has NaN terms: side by side with others (vmap) it
    is left out once a period, where bounds of its own would cost a select of all its state every step.
    """
    zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(step, first, carry)[1])

    def body(i, loop):
        carry, sums = loop
        carry, terms = step(first + i, carry)
        return carry, jax.tree.map(jnp.add, sums, terms)

    def go(carry):
        carry, sums = lax.fori_loop(0, count, body, (carry, zeros))
        return carry, jax.tree.map(lambda total: total / count, sums)

    def stay(carry):
        return carry, jax.tree.map(lambda zero: zero + jnp.nan, zeros)

    return lax.cond(skip, stay, go, carry)


def weighted_mean(values: Float[Array, "..."], weight: Float[Array, " b"]) -> Float[Array, ""]:
    """Return the mean over rows that count; a scalar stays itself."""
    return jnp.sum(values * weight) / jnp.sum(weight) if values.ndim else values


def sweep(
    f: Callable[[Float[Array, "c d"], Float[Array, " c"]], tuple[PyTree, PyTree]],
    data: Data,
    at: Int[Array, " m"] | None = None,
) -> tuple:
    """Apply `f` to all rows in chunks: rows are concatenated, sums added; memory stays that of one chunk.

    Args:
      f: (x [c, d], weight [c]) -> (rows [c, ...], sums); weight is 0 for padding.
      at: ascending numbers of the rows to visit, where that is not all of them.
    """
    n = data.n if at is None else len(at)
    size = -(-SWEEP_ROWS // mesh.size(mesh.DATA)) * mesh.size(mesh.DATA)  # a part of the same size for each device

    def one(chunk):
        index = chunk * size + jnp.arange(size)
        rows = jnp.minimum(index, n - 1)
        return f(data[rows if at is None else at[rows]], (index < n).astype(jnp.float32))

    rows, sums = lax.map(one, jnp.arange(-(-n // size)))
    return mesh.replicate((
        jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:n], rows),
        jax.tree.map(lambda a: a.sum(0), sums),
    ))
