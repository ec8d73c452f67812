"""The rows that training draws from: dense or CSR on the device, or read from the host in windows as they are needed.

All three have `.shape` and give the dense rows of an integer array of row numbers, inside jit.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.sparse import csr_array, issparse

from dec.data.stream import Rows, nbytes
from dec.errors import UserError
from dec.training import mesh

WINDOW_BYTES = 2**27  # of a window of dense rows: 171,196 of 784 bytes
LEAST_WINDOW = 2048  # rows, however wide: a batch should not come from a handful of neighbours
SPARSE_WINDOW = 2**16  # rows of a window of CSR, whose bytes a row are not fixed
HELD = 3  # windows in host memory: a batch may lie across two, and one is read ahead
SWEEP = -1  # `ahead`: the window after that of the rows


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Sparse:
    """CSR rows on the device; only the rows of a batch or chunk become dense."""

    indptr: Int[Array, " n+1"]
    indices: Int[Array, " z"]  # z >= 1
    values: Float[Array, " z"]
    shape: tuple[int, int] = field(metadata={"static": True})
    longest: int = field(metadata={"static": True})  # entries of the fullest row

    @classmethod
    def of(cls, x: csr_array) -> Sparse:
        """Put a SciPy CSR array or matrix on the default device."""
        padding = (0, int(x.nnz == 0))  # so that a gather has something to clip to
        return cls(
            jnp.asarray(x.indptr, jnp.int32), jnp.asarray(np.pad(x.indices[: x.nnz], padding), jnp.int32),
            jnp.asarray(np.pad(x.data[: x.nnz], padding)), tuple(x.shape), int(np.diff(x.indptr).max(initial=0)),
        )

    def __getitem__(self, rows: Int[Array, " b"]) -> Float[Array, "b d"]:
        start = self.indptr[rows][:, None]
        offset = jnp.arange(self.longest)
        there = offset < self.indptr[rows + 1][:, None] - start
        at = jnp.where(there, start + offset, 0)
        values = jnp.where(there, self.values[at], 0)
        dense = jnp.zeros((len(rows), self.shape[1]), self.values.dtype)
        return dense.at[jnp.arange(len(rows))[:, None], self.indices[at]].add(values)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Streamed:
    """Rows that stay on the host; a callback brings those of a batch or chunk.

    The number of the open `Windows` is a traced value, so that programs are compiled for a shape and not for a file.
    """

    number: Int[Array, ""]
    shape: tuple[int, ...] = field(metadata={"static": True})
    dtype: np.dtype = field(metadata={"static": True})

    def take(self, rows: Int[Array, " b"], ahead: Int[Array, ""] | int = SWEEP) -> Array:
        """Return the rows, and the number of the window to read meanwhile."""
        wanted = jax.ShapeDtypeStruct((*rows.shape, *self.shape[1:]), self.dtype)
        return jax.pure_callback(_bring, wanted, self.number, rows, jnp.int32(ahead), vmap_method="expand_dims")

    __getitem__ = take


class Unreadable(Exception):
    """Ends a compiled program; `reading` raises what was wrong instead of it."""


class Windows:
    """Host rows cut into windows, of which a few are held; a thread of its own reads them."""

    def __init__(self, x: Rows, window: int, dtype: np.dtype) -> None:
        self._x, self._window, self._dtype = x, window, dtype
        self._count = -(-x.shape[0] // window)
        self._held: OrderedDict[int, Future] = OrderedDict()  # the one used last at the end
        self._lock = Lock()
        self._reader = ThreadPoolExecutor(1, "dec-rows")
        self.error: Exception | None = None

    def take(self, rows: np.ndarray, ahead: int) -> np.ndarray:
        """Return the dense rows [*rows.shape, ...]; `ahead` is read while they are used."""
        flat = rows.reshape(-1)
        out = np.empty((len(flat), *self._x.shape[1:]), self._dtype)
        numbers = flat // self._window
        for number in np.unique(numbers).tolist():
            here = numbers == number
            block = self._hold(number).result()[flat[here] - number * self._window]
            out[here] = block.toarray() if issparse(block) else block
        ahead = number + 1 if ahead == SWEEP else ahead
        if 0 <= ahead < self._count:
            self._hold(ahead)
        return out.reshape(*rows.shape, *out.shape[1:])

    def _hold(self, number: int) -> Future:
        with self._lock:
            if number not in self._held:
                while len(self._held) >= HELD:
                    self._held.popitem(last=False)
                self._held[number] = self._reader.submit(self._read, number)
            self._held.move_to_end(number)
            return self._held[number]

    def _read(self, number: int) -> Any:
        start = number * self._window
        stop = min(start + self._window, self._x.shape[0])
        try:
            block = self._x[start:stop]
            # A copy: a view of a memory map would be read later, by the thread that waits for it.
            return block.astype(self._dtype) if issparse(block) else np.array(block, self._dtype)
        except Exception as error:
            error.add_note(f"This happened while rows {start} to {stop} were read.")
            raise

    def close(self) -> None:
        """Let go of the windows and of the thread."""
        self._reader.shutdown(wait=False, cancel_futures=True)
        self._held.clear()


_OPEN: dict[int, Windows] = {}
_numbers = itertools.count()


def _bring(number: Array, rows: Array, ahead: Array) -> np.ndarray:
    """Serve JAX's callback, by NumPy only. Seeds side by side ask together and share the window ahead."""
    windows = _OPEN[int(np.asarray(number).flat[0])]
    try:
        return windows.take(np.asarray(rows), int(np.asarray(ahead).flat[0]))
    except Exception as error:
        windows.error = error
        raise Unreadable from None


# JAX logs every error of a callback with its traceback; ours are raised to the user as they are.
logging.getLogger("jax._src.callback").addFilter(
    lambda record: not (record.exc_info and isinstance(record.exc_info[1], Unreadable)))


def window_rows(x: Rows) -> int:
    """Return rows in a window: a function of the shape and type of a row, not of their number or of where they lie.

    CSR has another one than the same rows as an array, so that of more rows than a window the batches differ.
    """
    if issparse(x[:0]):
        return SPARSE_WINDOW
    width = max(1, math.prod(x.shape[1:]) * _held(x).itemsize)
    return max(LEAST_WINDOW, WINDOW_BYTES // width)


def streams(x: Rows, stream_above: float) -> bool:
    """Return whether rows are streamed: where they have more GiB than `stream_above`.

    Raises:
      ValueError: for such rows on a mesh.
    """
    many = issparse(x[:0]) and getattr(x, "nnz", 0) >= 2**31  # more than int32 can count
    above = nbytes(x) > stream_above * 2**30 or many
    if above and mesh.size(mesh.DATA) * mesh.size(mesh.SEEDS) > 1:
        raise UserError(f"{nbytes(x) / 2**30:.1f} GiB are above stream_above={stream_above}, but on a mesh no rows "
                        "are streamed: raise it, or do without the mesh")
    return above


def put(x: Rows, stream_above: float) -> Array | Sparse | Streamed:
    """Put rows in their raw dtype on the default device, or open them for streaming."""
    if streams(x, stream_above):
        number, dtype = next(_numbers), _held(x)
        _OPEN[number] = Windows(x, window_rows(x), dtype)
        return Streamed(jnp.int32(number), tuple(x.shape), dtype)
    if mesh.size(mesh.DATA) > 1 and not issparse(x[:0]):
        return mesh.shard_rows(x, _held(x))
    x = x[:]
    return Sparse.of(x) if issparse(x) else jnp.asarray(np.asarray(x, _held(x)))


def _held(x: Rows) -> np.dtype:
    """Return the dtype that rows are held in: bytes stay bytes, all else is float32."""
    return np.dtype(np.uint8 if x.dtype == np.uint8 else np.float32)


@contextmanager
def reading(*placed: Array | Sparse | Streamed | None) -> Iterator[None]:
    """While rows are in use: what went wrong in reading them is raised as itself, and in the end they are closed."""
    numbers = [int(x.number) for x in placed if isinstance(x, Streamed)]
    try:
        yield
    except jax.errors.JaxRuntimeError:
        for number in numbers:
            if (error := _OPEN[number].error) is not None:
                raise error from None
        raise
    finally:
        for number in numbers:
            _OPEN.pop(number).close()
