"""The state of a fitted model: what it does with rows, and what is saved of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PyTree
from scipy.sparse import issparse

from dec import config
from dec.data.scaling import Scaling
from dec.data.stream import Rows, nbytes
from dec.methods.base import Method, View
from dec.networks.autoencoder import Net, build
from dec.training import mesh, pretrained
from dec.training.engine import SWEEP_ROWS, Data, place, sweep
from dec.training.rows import WINDOW_BYTES, reading


class AnomalyReference(NamedTuple):
    """The usual distances and losses of the rows that a model was fitted on; see `dec.estimators.anomaly`."""

    centers: np.ndarray  # float32 [k, c], the mean codes of the clusters that have rows
    distance: float  # median distance of a code to the nearest of them
    error: float  # median reconstruction loss
    least: float  # the least reconstruction loss; that of a likelihood may be negative


@dataclass(frozen=True, eq=False)
class FittedState:
    """A fitted model: the networks and clusters of every seed, or of the kept one alone.

    Attributes:
      method, k, model: the method, the number of clusters and the config that were fitted.
      scaling: of the input.
      nets, heads: stacked over seeds; nets is None for a method on the input.
      labels: [s, n] int32.
      runs: one dictionary a seed: status, reason, steps, losses, cluster sizes, agreement.
      chosen: position of the seed that agrees best with the others.
      n_features: d, the width of the rows.
      history: the records of training, one a period and seed.
      seconds: of compilation, pretraining and clustering.
      choice: how k was chosen, where it was left to the data.
      codes: float32 [n, c] of the training rows by the chosen seed; [0, c] where they are not stored.
      reference: what anomaly scores are relative to.
    """

    method: Method
    k: int
    model: config.Model
    scaling: Scaling
    nets: PyTree
    heads: PyTree
    labels: Int[np.ndarray, "s n"]
    runs: list[dict[str, Any]]
    chosen: int
    n_features: int
    history: list[dict[str, Any]]
    seconds: dict[str, float]
    choice: dict[str, Any] | None
    codes: Float[np.ndarray, "n c"] | None = None
    reference: AnomalyReference | None = None

    def encode(self, x: Rows, seed: int | None = None) -> Float[np.ndarray, "n c"]:
        """Return codes of rows by the network at position `seed` (default: the chosen one)."""
        return self.over_rows(x, lambda data, net: data[:] if net is None else pretrained.encode(data, net), seed=seed)

    def log_assign(self, x: Rows, seed: int | None = None) -> Float[np.ndarray, "n k"]:
        """Return log soft assignments of rows."""
        return self.over_rows(x, partial(_assign, self.method), self._one(self.heads, seed), seed=seed)

    def over_rows(self, x: Rows, program: Callable[..., PyTree], *args: PyTree, seed: int | None = None) -> PyTree:
        """Return program(data, net, *args) on rows placed as they were in training, as NumPy arrays.

        net is that at position `seed` (default: the chosen one), None for a method on the input. A few dense rows are
        filled up to whole chunks of a sweep, lest every number of rows be compiled anew.
        """
        n, more = x.shape[0], -x.shape[0] % SWEEP_ROWS
        if more and nbytes(x) < WINDOW_BYTES and not issparse(x[:0]):
            x = np.pad(x[:], [(0, more), *[(0, 0)] * (len(x.shape) - 1)])
        net = None if self.nets is None else self._one(self.nets, seed)
        data = place(x, self.scaling, self.model.stream_above)
        with reading(data.x):
            return jax.tree.map(lambda a: np.asarray(a)[:n], mesh.gather(program(data, net, *args)))

    def decode(self, codes: Float[np.ndarray, "n c"], seed: int | None = None) -> Float[np.ndarray, "n d"]:
        """Return reconstructions from codes, on the scale of the data."""
        out = codes if self.nets is None else _decode(self._one(self.nets, seed), jnp.asarray(codes))
        return np.asarray(self.scaling.invert(np.asarray(out)))

    def centers(self) -> Float[np.ndarray, "k c"] | None:
        """Cluster centers among the codes, of the methods that have some; else None."""
        head = self._one(self.heads, None)
        centers = self.method.centers(head) if self.method.centers else head.params
        return np.asarray(centers) if hasattr(centers, "shape") else None

    def quality(self, codes: Float[np.ndarray, "n c"]) -> dict[str, float]:
        """Return the method's own measures of the chosen seed's clusters, on codes; empty for most."""
        return self.method.quality(self._one(self.heads, None), codes) if self.method.quality else {}

    def sample(self, n: int, cluster: int, seed: int) -> Float[np.ndarray, "n d"]:
        """Return rows that the chosen seed's model makes up, of one cluster, on the scale of the data."""
        assert self.method.sample is not None  # which the caller has asked
        codes = self.method.sample(jax.random.key(seed), self._one(self.heads, None), n, cluster)
        return self.decode(np.asarray(codes))

    def kept(self) -> FittedState:
        """Return this state with the network and clusters of the chosen seed alone, as NumPy arrays."""
        def one(stacked: PyTree) -> PyTree:
            return jax.tree.map(lambda a: np.asarray(a[self.chosen : self.chosen + 1]), stacked)

        return replace(self, nets=one(self.nets), heads=one(self.heads))

    @property
    def head(self) -> PyTree:
        """The clusters of the chosen seed."""
        return self._one(self.heads, None)

    @property
    def outcome(self) -> dict[str, Any]:
        """The row of the chosen seed in `runs`."""
        return self.runs[self.chosen]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of a state of one seed, by the names that they have in the file of a saved model."""
        assert self.codes is not None and self.reference is not None  # of a fitted estimator
        arrays = {"labels": self.labels[self.chosen], "codes": self.codes, "all_labels": self.labels}
        arrays |= {f"scaling/{name}": value for name, value in self.scaling._asdict().items() if value is not None}
        arrays |= {f"usual/{name}": np.asarray(value) for name, value in self.reference._asdict().items()}
        if self.nets is not None:
            arrays |= {f"net/{name}": array[0] for name, array in pretrained.flat(self.nets.params).items()}
        return arrays | {f"head/{i}": leaf[0] for i, leaf in enumerate(jax.tree.leaves(self.heads))}

    @classmethod
    def from_arrays(
        cls, arrays: dict[str, np.ndarray], method: Method, k: int, model: config.Model, **rest: Any
    ) -> Self:
        """Return the state of `to_arrays`.

        Args:
          arrays: of `to_arrays`.
          method, k, model: of the state.
          rest: runs, n_features, history, seconds and choice of the state.
        """
        params = pretrained.unflat({name: leaf[None] for name, leaf in pretrained.saved_params(arrays).items()})
        module = build(model.network, rest["n_features"], model.dtype, method.posterior)
        nets = Net(params, module) if params else None
        labels = arrays["all_labels"]
        reference = (float(arrays[f"usual/{name}"]) for name in AnomalyReference._fields[1:])
        return cls(
            method, k, model, Scaling(arrays["scaling/shift"], arrays["scaling/scale"], arrays.get("scaling/offset")),
            nets, _heads(arrays, method, nets, k), labels,
            chosen=int((labels == arrays["labels"]).all(axis=1).argmax()), codes=arrays["codes"],
            reference=AnomalyReference(arrays["usual/centers"], *reference), **rest)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"method": None}  # its functions cannot be pickled; the estimator makes them anew

    def _one(self, stacked: PyTree, seed: int | None) -> PyTree:
        """Return what is stacked over all seeds, or over the kept one alone, of one seed."""
        at = self.chosen if seed is None else seed
        return jax.tree.map(lambda a: a[at if len(a) == len(self.runs) else 0], stacked)


@partial(jax.jit, static_argnames="method")
def _assign(method: Method, data: Data, net: Net | None, head):
    return sweep(lambda x, weight: (method.assign(head, x if net is None else net.encode(x)), ()), data)[0]


_decode = jax.jit(Net.decode)


def _heads(arrays: dict[str, np.ndarray], method: Method, nets: Net | None, k: int) -> PyTree:
    """Return the saved leaves in the structure of the method's own head, stacked over one seed."""
    width = arrays["codes"].shape[1]

    def start(key: jax.Array) -> Any:
        net = jax.tree.map(lambda array: jnp.asarray(array[0]), nets)
        return method.init(key, net, View(lambda net: jnp.zeros((2 * k, width)), jnp.ones(2 * k)), k)

    like = jax.eval_shape(start, jax.random.key(0))
    count = len(jax.tree.leaves(like))
    return jax.tree.unflatten(jax.tree.structure(like), [arrays[f"head/{i}"][None] for i in range(count)])
