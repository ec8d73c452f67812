"""From features to a fitted model: pretrain or reuse networks, start the clusters, refine, choose a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PyTree
from scipy.sparse import issparse

from dec import config
from dec.data.dataset import sample_rows
from dec.data.scaling import Scaling, fit_scaling
from dec.data.stream import ParquetRows, Rows, Subset, nbytes
from dec.errors import UserError
from dec.io import write_arrays
from dec.methods.base import Method, View
from dec.networks.autoencoder import Autoencoder, Net, build
from dec.networks.likelihood import check_values
from dec.selection.choose_k import ROWS, choose_k
from dec.training import mesh, pretrained
from dec.training.augment import Augment
from dec.training.checkpoint import Checkpoint
from dec.training.engine import SWEEP_ROWS, Data, execution, lift, over_seeds, place, seed_keys, sweep
from dec.training.outcome import summarize
from dec.training.refine import START_ROWS, Refine
from dec.training.rows import WINDOW_BYTES, reading
from dec.training.session import Session

MAPS_ALLOWED = Path("/proc/sys/vm/max_map_count")  # on Linux
BEFORE, COMPARED = "pretrained.npz", 2000  # a file beside checkpoints: codes of so many rows as refinement found them


@dataclass
class Fit:
    """A fitted model: every seed's network and clusters, and which seed is kept.

    Attributes:
      nets, heads: stacked over seeds; nets is None for a method on the input.
      labels: [s, n] int32.
      runs: one dictionary a seed: status, reason, steps, losses, cluster sizes, agreement.
      chosen: position of the seed that agrees best with the others.
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

    def encode(self, x: Rows, seed: int | None = None) -> Float[np.ndarray, "n c"]:
        """Codes of rows by the network at position `seed` (default: the chosen one)."""
        return self.over_rows(x, lambda data, net: data[:] if net is None else pretrained.encode(data, net), seed=seed)

    def log_assign(self, x: Rows, seed: int | None = None) -> Float[np.ndarray, "n k"]:
        """Log soft assignments of rows."""
        return self.over_rows(x, partial(_assign, self.method), self._one(self.heads, seed), seed=seed)

    def over_rows(self, x: Rows, program: Callable[..., PyTree], *args: PyTree, seed: int | None = None) -> PyTree:
        """program(data, net, *args) on rows placed as they were in training, as NumPy arrays.

        net is that at position `seed` (default: the chosen one), None for a method on the input. A few dense rows are
        filled up to whole chunks of a sweep, lest every number of rows be compiled anew.
        """
        n, more = x.shape[0], -x.shape[0] % SWEEP_ROWS
        if more and nbytes(x) < WINDOW_BYTES and not issparse(x[:0]):
            x = np.pad(x[:], [(0, more), *[(0, 0)] * (len(x.shape) - 1)])
        net = None if self.nets is None else self._one(self.nets, seed)
        data = place(x, self.scaling, self.model.stream_above)
        with reading(data.x):
            return jax.tree.map(lambda a: np.asarray(a)[:n], mesh.gathered(program(data, net, *args)))

    def decode(self, codes: Float[np.ndarray, "n c"], seed: int | None = None) -> Float[np.ndarray, "n d"]:
        """Reconstructions from codes, on the scale of the data."""
        out = codes if self.nets is None else _decode(self._one(self.nets, seed), jnp.asarray(codes))
        return np.asarray(self.scaling.invert(np.asarray(out)))

    def centers(self) -> Float[np.ndarray, "k c"] | None:
        """Cluster centers among the codes, of the methods that have some; else None."""
        head = self._one(self.heads, None)
        centers = self.method.centers(head) if self.method.centers else head.params
        return np.asarray(centers) if hasattr(centers, "shape") else None

    def quality(self, codes: Float[np.ndarray, "n c"]) -> dict[str, float]:
        """The method's own measures of the chosen seed's clusters, on codes; empty for most."""
        return self.method.quality(self._one(self.heads, None), codes) if self.method.quality else {}

    def sample(self, n: int, cluster: int, seed: int) -> Float[np.ndarray, "n d"]:
        """Rows that the chosen seed's model makes up, of one cluster, on the scale of the data."""
        codes = self.method.sample(jax.random.key(seed), self._one(self.heads, None), n, cluster)
        return self.decode(np.asarray(codes))

    def only(self, seed: int) -> Fit:
        """This fit with one seed's network and clusters, as NumPy arrays."""
        def one(stacked: PyTree) -> PyTree:
            return jax.tree.map(lambda a: np.asarray(a[seed : seed + 1]), stacked)

        return replace(self, nets=one(self.nets), heads=one(self.heads), labels=self.labels[seed : seed + 1], chosen=0)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"method": None}  # its functions cannot be pickled; the estimator makes them anew

    def _one(self, stacked: PyTree, seed: int | None) -> PyTree:
        return jax.tree.map(lambda a: a[self.chosen if seed is None else seed], stacked)


@partial(jax.jit, static_argnames="method")
def _assign(method: Method, data: Data, net: Net | None, head):
    return sweep(lambda x, weight: (method.assign(head, x if net is None else net.encode(x)), ()), data)[0]


_decode = jax.jit(Net.decode)


@partial(jax.jit, static_argnames=("phase", "how"))
def _start(phase: Refine, data, keys, nets, how: str):
    return lift(phase.start, how)(data, keys, nets)  # by any device: a library on the host may find the clusters


@partial(jax.jit, static_argnames=("phase", "how"))
def _labels(phase: Refine, data, states, how: str):
    return mesh.everywhere(over_seeds(phase.labels, how)(data, states))


def fit(
    x: Rows,
    k: int | Literal["auto"],
    method: Method,
    model: config.Model,
    session: Session,
    *,
    pretrain_on: Rows | None = None,
    cache: Path | None = None,
    resume: Checkpoint | None = None,
) -> Fit:
    """Fit a method to rows, for all seeds of the session.

    Args:
      x: [n, d] rows in their raw dtype: an array, a memory map, CSR, or anything else that is `Rows`.
      k: number of clusters; "auto": what `choose_k` recommends for the pretrained codes, in `session.choice`.
      method: what to fit.
      model: scaling, network, pretraining and refinement.
      session: seeds, history, checkpoints, progress.
      pretrain_on: other rows to pretrain on; `x` is then the validation set.
      cache: a folder of pretrained networks to reuse and add to.
      resume: a checkpoint of the same fit to go on from.

    Raises:
      ValueError: for sizes that cannot be clustered.
    """
    n = x.shape[0]
    check_sizes(n, k)
    spare_maps()
    if model.network.output == "mixed" and method.on == "codes" and not isinstance(x, ParquetRows):
        check_values(model.network.blocks, x)
    mesh.check(len(session.seeds), model.batch_size)
    how = execution()
    if resume:
        session.history, session.seconds = resume.note["history"], resume.note["seconds"]
        session.choice = resume.note.get("choice")
    with session.interruptible():
        training = x if pretrain_on is None else pretrain_on
        scaling = fit_scaling(training, model.scaling)
        keys = seed_keys(session.seeds, Refine.name)
        refining = resume is not None and resume.stage == Refine.name
        nets = None
        if method.on == "codes":
            module = build(model.network, x.shape[1], model.dtype, method.posterior)
            if refining:  # the checkpoint holds the networks; only their shapes are needed
                nets = jax.eval_shape(jax.vmap(lambda key: Net.fresh(key, module)), keys)
            else:
                check_start(method, n, k, module)
                validation, own = x if pretrain_on is not None else None, build(model.network, x.shape[1], model.dtype)
                nets = pretrained.networks(own, training, scaling, validation, model, session, cache, resume)
                if own != module:
                    nets = pretrained.with_posterior(nets, seed_keys(session.seeds, "posterior"), module)
        if k == "auto":
            if not refining:
                session.choice = recommended(x, scaling, nets, model, session)
            k = session.choice["n_clusters"]
        if nets is not None and method.loss and not refining and session.checkpoints:
            codes = sample_codes(x, scaling, nets, model, COMPARED)
            write_arrays(session.checkpoints.folder / BEFORE, {"codes": codes}, {})
        phase = Refine(method, k, n, model.batch_size, model.refinement, Augment.of(model))
        data = place(x, scaling, model.stream_above)  # only now: pretraining has had its own copy on the device
        with reading(data.x), session.clock("cluster"):
            if refining:
                like = jax.eval_shape(partial(_start, phase, how=how), data, keys, nets)
                states, start = resume.state(like), resume.period
            else:
                states, start = _start(phase, data, seed_keys(session.seeds, "start"), nets, how=how), 0
            states = session.run(phase, data, None, keys, states, start, session.seeds, pretrained.encode_seeds)
            labels = np.asarray(_labels(phase, data, states, how))
    seen = n if method.loss else min(phase.view_rows(x.shape[1]), method.most or n)
    runs, chosen = summarize(states, labels, seen, k, session)
    return Fit(method, k, model, scaling, states.net, states.head, labels, runs, chosen)


def spare_maps() -> None:
    """Forget compiled programs where they have an eighth of the memory maps that Linux allows a process.

    Ten fits with other settings keep so many, and 700 MB; a hundred would end in a segmentation fault.
    """
    if MAPS_ALLOWED.is_file():
        used = Path("/proc/self/maps").read_bytes().count(b"\n")
        if used > int(MAPS_ALLOWED.read_text()) / 8:
            jax.clear_caches()


def recommended(
    x: Rows,
    scaling: Scaling,
    nets: Net | None,
    model: config.Model,
    session: Session,
    ks: Iterable[int] = range(1, 30),
) -> dict[str, Any]:
    """The choice of k, at least 2, for the networks' codes of rows or the scaled rows: n_clusters, reason, table."""
    n = x.shape[0]
    with session.clock("cluster"):
        rows = sample_codes(x, scaling, nets, model, ROWS)
        rows = rows[np.isfinite(rows).all(axis=(1, 2))]
        if not len(rows):  # every seed will be reported as failed
            return {"n_clusters": 2, "reason": "no pretrained network is finite", "table": []}
        table, k, reason = choose_k(rows, ks, seeds=max(5, len(session.seeds)), random_state=session.seeds[0])
    records = table.astype(object).where(table.notna(), None).to_dict("records")
    reason += (f" of {n}" if n > ROWS else "") + ("; a fit takes 2, the fewest" if k == 1 else "")
    return {"n_clusters": max(k, 2), "reason": reason, "table": records}


def sample_codes(
    x: Rows, scaling: Scaling, nets: Net | None, model: config.Model, most: int
) -> Float[np.ndarray, "s m c"]:
    """Codes, by each network, of a uniform sample of at most so many rows; without networks, these rows scaled."""
    n = x.shape[0]
    data = place(Subset(x, sample_rows(n, min(n, most))), scaling, model.stream_above)
    with reading(data.x):
        return np.asarray(mesh.gathered(data[:][None] if nets is None else pretrained.encode_seeds(data, nets)))


def check_sizes(n: int, k: int | Literal["auto"]) -> None:
    """Raise a ValueError for numbers that cannot be worked with, naming the argument."""
    if k == "auto":  # `choose_k` tries what the rows allow
        return
    if k < 1:
        raise UserError(f"n_clusters={k} must be at least 1")
    if n < k:
        raise UserError(f"n_samples={n} should be >= n_clusters={k}: give more rows or ask for fewer clusters")


def check_start(method: Method, n: int, k: int | Literal["auto"], module: Autoencoder) -> None:
    """Raise what the start of the clusters would refuse, before the pretraining; nothing is computed.

    Raises:
      ValueError: from the method or the network.
    """
    net = jax.eval_shape(lambda key: Net.fresh(key, module), jax.random.key(0))
    shape = min(n, START_ROWS), module.features if method.on == "input" else module.config.code_size
    if k != "auto":
        jax.eval_shape(lambda key, net: method.init(key, net, View(lambda _: jnp.zeros(shape), jnp.ones(shape[:1])), k),
                       jax.random.key(0), net)
