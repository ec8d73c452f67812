"""Many devices, many hosts: JAX's own mesh with the axes ('seeds', 'data'), and what is laid out along them.

The rows of the data and of every batch are divided along 'data', seeds along 'seeds'; all else every device has. XLA
adds the sums over devices, so that results do not depend on how many there are, up to rounding. Without a mesh
(`jax.set_mesh`) none of this does anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, PyTree

from dec.data.stream import Rows
from dec.errors import UserError

SEEDS, DATA = "seeds", "data"
LOST = 30  # seconds without a sign of life after which a process counts as dead


def size(axis: str) -> int:
    """Devices along an axis of the mesh in use; 1 without one."""
    return dict(jax.sharding.get_abstract_mesh().shape).get(axis, 1)


def start(axes: dict[str, int], coordinator: str | None = None, processes: int | None = None,
          process: int | None = None) -> None:
    """Join the other processes, if there are any, and use a mesh of all devices from now on.

    Args:
      axes: devices along "seeds" and "data"; of one that is left out as many as are left, or 1 for "seeds".
      coordinator: HOST:PORT of process 0; "auto" where SLURM or a TPU's environment tells. None: one process.
      processes: how many there are.
      process: which of them this is.

    Raises:
      ValueError: for axes that do not fit the devices.
    """
    if coordinator:
        jax.distributed.initialize(None if coordinator == "auto" else coordinator, processes, process,
                                   heartbeat_timeout_seconds=LOST)
    devices, seeds = jax.device_count(), axes.get(SEEDS, 1)
    data = axes.get(DATA, max(devices // max(seeds, 1), 1))
    if seeds < 1 or data < 1 or seeds * data != devices:
        raise UserError(f"--mesh {SEEDS}={seeds},{DATA}={data} takes {seeds * data} devices, but there are {devices}")
    jax.set_mesh(jax.make_mesh((seeds, data), (SEEDS, DATA), axis_types=(AxisType.Auto,) * 2))


def check(seeds: int, batch_size: int) -> None:
    """Raise a ValueError where seeds or batches cannot be divided evenly."""
    if seeds % size(SEEDS):
        raise UserError(f"n_init={seeds} must be a multiple of the mesh's {SEEDS}={size(SEEDS)} (--seeds, --mesh)")
    if batch_size % size(DATA):
        raise UserError(f"batch_size={batch_size} must be a multiple of the mesh's {DATA}={size(DATA)}")


def shard_rows(x: Rows, dtype: np.dtype) -> Array:
    """Return rows divided along 'data', filled up with zeros; a process reads those of its own devices alone."""
    n, devices = x.shape[0], size(DATA)

    def part(index: tuple[slice, ...] | None) -> np.ndarray:
        assert index is not None  # of a sharding with an axis
        start, stop, _ = index[0].indices(-(-n // devices) * devices)
        rows = np.asarray(x[start : min(stop, n)], dtype)
        return np.pad(rows, [(0, stop - start - len(rows)), *[(0, 0)] * (rows.ndim - 1)])

    shape = -(-n // devices) * devices, *x.shape[1:]
    return jax.make_array_from_callback(shape, NamedSharding(jax.sharding.get_mesh(), P(DATA)), part)


def shard_batch(x: Array) -> Array:
    """Return the rows of a batch or chunk, a part for each device along 'data'."""
    return lax.with_sharding_constraint(x, P(DATA)) if size(DATA) > 1 and len(x) % size(DATA) == 0 else x


def replicate(tree: PyTree) -> PyTree:
    """Inside jit: the same on every device, whatever it is made from."""
    return lax.with_sharding_constraint(tree, P()) if jax.sharding.get_abstract_mesh().shape else tree


def gather(tree: PyTree) -> PyTree:
    """Return a tree that any process can read all of."""
    return jax.jit(replicate)(tree) if jax.process_count() > 1 else tree


def first_process(value: int) -> int:
    """Return the value of process 0 in all processes: what depends on clocks must not differ between them."""
    if jax.process_count() == 1:
        return value
    return int(multihost_utils.broadcast_one_to_all(np.int32(value)))


def any_process(value: bool) -> bool:
    """Return whether any process says so."""
    return bool(np.any(multihost_utils.process_allgather(np.array(value)))) if jax.process_count() > 1 else value


def over_mesh(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return f(common, *stacked) in which each device along 'seeds' has the seeds of its own.

    Seeds that cannot be divided evenly, those that no cache had, say, every device trains all of.
    """
    def divided(common: PyTree, *stacked: PyTree) -> PyTree:
        if len(jax.tree.leaves(stacked)[0]) % size(SEEDS):
            return f(common, *stacked)
        own = P(), *(P(SEEDS) for _ in stacked)
        each = jax.shard_map(f, in_specs=own, out_specs=P(SEEDS), axis_names={SEEDS}, check_vma=False)
        return each(common, *stacked)

    return divided if size(SEEDS) > 1 else f
