"""Files that survive: written beside their place and renamed, with a checksum in the name, loaded without pickle."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

KEEP = 2


def write(path: Path, content: bytes) -> None:
    """Write a file that is either the old one or the whole new one, whatever happens meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def pack(tree: PyTree, note: dict[str, Any]) -> bytes:
    """The leaves of a pytree and a JSON-able note as the bytes of an .npz file."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    buffer = io.BytesIO()
    np.savez(buffer, note=np.array(json.dumps(note)), **{f"leaf_{i}": leaf for i, leaf in enumerate(leaves)})
    return buffer.getvalue()


def unpack(content: bytes, like: PyTree) -> PyTree:
    """The pytree whose leaves `pack` wrote, in the structure of `like` (arrays or shapes).

    Raises:
      ValueError: when number, shape or dtype of the leaves differ from those of `like`.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        leaves = [file[f"leaf_{i}"] for i in range(len(file.files) - 1)]
    expected, structure = jax.tree.flatten(like)
    found = [(leaf.shape, leaf.dtype) for leaf in leaves]
    if found != [(leaf.shape, leaf.dtype) for leaf in expected]:
        raise ValueError("the saved arrays do not fit this configuration: it, or the version of a library, has changed")
    return jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in leaves])


def note(content: bytes) -> dict[str, Any]:
    """The note that `pack` wrote."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return json.loads(str(file["note"]))


class Checkpoint(NamedTuple):
    """A checkpoint that was read back whole."""

    stage: str
    period: int  # the next to run
    note: dict[str, Any]
    content: bytes


class Checkpoints:
    """The last two checkpoints of a run, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*-*.npz"))

    def save(self, stage: str, period: int, state: PyTree, about: dict[str, Any]) -> None:
        """Write a new checkpoint, then drop all but the last two."""
        files = self._files()
        number = int(files[-1].name.split("-")[0]) + 1 if files else 0
        content = pack(state, {"stage": stage, "period": period, **about})
        write(self.folder / f"{number:06d}-{hashlib.sha256(content).hexdigest()[:16]}.npz", content)
        for old in self._files()[:-KEEP]:
            old.unlink()

    def _good(self) -> Iterator[bytes]:
        for file in reversed(self._files()):
            content = file.read_bytes()
            if hashlib.sha256(content).hexdigest()[:16] == file.stem.split("-")[1]:
                yield content

    def load(self) -> Checkpoint | None:
        """The newest checkpoint whose checksum holds, or None."""
        for content in self._good():
            about = note(content)
            return Checkpoint(about.pop("stage"), about.pop("period"), about, content)
        return None


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The named arrays and the note of a file of `write_arrays`.

    Raises:
      ValueError: when the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {n: file[n] for n in file.files if n != "note"}, json.loads(str(file["note"]))
    except Exception as error:  # of a damaged zip file: anything from BadZipFile to NotImplementedError
        raise ValueError(f"{path} is damaged or was not written by dec ({error})") from error


def write_arrays(path: Path, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Named arrays and a JSON-able note in one .npz file, written safely."""
    buffer = io.BytesIO()
    np.savez(buffer, note=np.array(json.dumps(about)), **arrays)
    write(path, buffer.getvalue())
