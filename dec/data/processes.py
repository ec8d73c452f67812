"""Several processes (`jax.distributed`) look through rows together: each at a part, and all hear what each has found.

All of them must come to the same `together`s in the same order, as they do where all run one program.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence

import numpy as np

from dec.errors import UserError

alone = False  # true where this process goes on without the others, which will not answer


def map_shares(items: Sequence, find: Callable[[Sequence], np.ndarray]) -> list[np.ndarray]:
    """Return each process's result for its share of `items`, in their order; one result where a process is alone.

    That is where the items are fewer than the processes.

    Raises:
      Exception: in the process where `find` failed, what it raised; in the others a ValueError that tells of it.
    """
    jax = sys.modules.get("jax")  # without it there are no others; asking it for more would take hold of the devices
    if alone or not jax or not jax.distributed.is_initialized() or len(items) < jax.process_count():
        return [find(items)]
    count, number = jax.process_count(), jax.process_index()
    error = None
    try:
        found = find(items[len(items) * number // count : len(items) * (number + 1) // count])
    except Exception as raised:
        found, error = np.array(f"process {number}: {raised}"), raised
    everything = _gathered(found)
    if error:
        raise error
    if failed := [str(one) for one in everything if one.dtype.kind == "U"]:
        raise UserError(failed[0])
    return everything


def _gathered(array: np.ndarray) -> list[np.ndarray]:
    """Return the arrays of all processes, of any shapes, bit for bit: JAX would turn float64 into float32."""
    from jax.experimental.multihost_utils import process_allgather

    file = io.BytesIO()
    np.save(file, array)
    own = np.frombuffer(file.getvalue(), np.uint8)
    sizes = process_allgather(np.int32(len(own)))
    padded = process_allgather(np.pad(own, (0, sizes.max() - len(own))))
    return [np.load(io.BytesIO(np.asarray(one, np.uint8).tobytes())) for one in padded]
