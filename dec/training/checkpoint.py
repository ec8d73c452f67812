"""Checkpoints of a run: the last two, with a checksum in the name."""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from dec.errors import UserError
from dec.io import pack, unpack, write

KEEP = 2


class Checkpoint(NamedTuple):
    """A checkpoint that was read back whole."""

    stage: str
    period: int  # the next to run
    note: dict[str, Any]
    leaves: list[np.ndarray]

    def state(self, like: PyTree) -> PyTree:
        """Return the state that was saved, in the structure of `like` (arrays or shapes).

        Raises:
          ValueError: when number, shape or dtype of the leaves differ from those of `like`.
        """
        expected, structure = jax.tree.flatten(like)
        if [(leaf.shape, leaf.dtype) for leaf in self.leaves] != [(leaf.shape, leaf.dtype) for leaf in expected]:
            raise UserError("the saved arrays do not fit this configuration: it, or the version of a library, has "
                            "changed")
        return jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in self.leaves])


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
        leaves = {f"leaf_{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
        content = pack(leaves, {"stage": stage, "period": period, **about})
        write(self.folder / f"{number:06d}-{hashlib.sha256(content).hexdigest()[:16]}.npz", content)
        for old in self._files()[:-KEEP]:
            old.unlink()

    def load(self) -> Checkpoint | None:
        """Return the newest checkpoint whose checksum holds, or None; a warning names those that are damaged."""
        for file in reversed(self._files()):
            content = file.read_bytes()
            if hashlib.sha256(content).hexdigest()[:16] == file.stem.split("-")[1]:
                leaves, about = unpack(io.BytesIO(content))
                return Checkpoint(about.pop("stage"), about.pop("period"), about, list(leaves.values()))
            warnings.warn(f"the checkpoint {file} is damaged; going on from an earlier one, or from the beginning",
                          stacklevel=2)
        return None


