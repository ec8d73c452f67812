"""From features to a fitted model: pretrain or reuse networks, start the clusters, refine, choose a seed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from dec import config
from dec.data.dataset import sample_rows
from dec.data.scaling import Scaling, fit_scaling
from dec.data.stream import ParquetRows, Rows, Subset
from dec.errors import UserError
from dec.io import write_arrays
from dec.methods.base import Method, View
from dec.networks.autoencoder import Autoencoder, Net, build
from dec.networks.likelihood import check_values
from dec.selection.choose_k import ROWS, choose_k
from dec.training import mesh, pretrained
from dec.training.augment import Augment
from dec.training.checkpoint import Checkpoint
from dec.training.engine import Data, State, execution, lift, over_seeds, place, seed_keys
from dec.training.fitted_state import FittedState
from dec.training.outcome import summarize
from dec.training.refine import START_ROWS, Refine
from dec.training.rows import reading
from dec.training.session import Session

MAPS_ALLOWED = Path("/proc/sys/vm/max_map_count")  # on Linux
BEFORE, COMPARED = "pretrained.npz", 2000  # a file beside checkpoints: codes of so many rows as refinement found them


@partial(jax.jit, static_argnames=("phase", "how"))
def _start(phase: Refine, data, keys, nets, how: str):
    return lift(phase.start, how)(data, keys, nets)  # by any device: a library on the host may find the clusters


@partial(jax.jit, static_argnames=("phase", "how"))
def _labels(phase: Refine, data, states, how: str):
    return mesh.replicate(over_seeds(phase.labels, how)(data, states))


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
) -> FittedState:
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
    n, d = x.shape[:2]
    check_sizes(n, k)
    free_memory_maps()
    if model.network.output == "mixed" and method.space == "codes" and not isinstance(x, ParquetRows):
        check_values(model.network.blocks, x)
    mesh.check(len(session.seeds), model.batch_size)
    if resume:
        session.history, session.seconds = resume.note["history"], resume.note["seconds"]
        session.choice = resume.note.get("choice")
    refining = resume if resume and resume.stage == Refine.name else None
    with session.interruptible():
        training = x if pretrain_on is None else pretrain_on
        scaling, nets = fit_scaling(training, model.scaling), None
        if method.space == "codes":
            module = build(model.network, d, model.dtype, method.posterior)
            if refining:  # the checkpoint holds the networks; only their shapes are needed
                keys = seed_keys(session.seeds, Refine.name)
                nets = jax.eval_shape(jax.vmap(lambda key: Net.fresh(key, module)), keys)
            else:
                check_start(method, n, k, module)
                validation = None if pretrain_on is None else x
                nets = _pretrained(module, training, scaling, validation, model, session, cache, resume)
        if k == "auto" and not refining:
            session.choice = recommended(x, scaling, nets, model, session)
        clusters = k if k != "auto" else int((session.choice or {})["n_clusters"])
        if nets is not None and method.loss and not refining and session.checkpoints:
            codes = sample_codes(x, scaling, nets, model, COMPARED)
            write_arrays(session.checkpoints.folder / BEFORE, {"codes": codes}, {})
        phase = Refine(method, clusters, n, model.batch_size, model.refinement, Augment.of(model))
        data = place(x, scaling, model.stream_above)  # only now: pretraining has had its own copy on the device
        states, labels = _refined(phase, data, nets, session, refining)
    seen = n if method.loss else min(phase.view_rows(d), method.max_start_rows or n)
    runs, chosen = summarize(states, labels, seen, clusters, session)
    return FittedState(method, clusters, model, scaling, states.net, states.head, labels, runs, chosen, d,
                       session.history, dict(session.seconds), session.choice)


def _pretrained(
    module: Autoencoder,
    x: Rows,
    scaling: Scaling,
    validation: Rows | None,
    model: config.Model,
    session: Session,
    cache: Path | None,
    resume: Checkpoint | None,
) -> Net:
    """Return `pretrained.networks`, with the layers of a posterior added where the method asks for one."""
    own = build(model.network, x.shape[1], model.dtype)
    nets = pretrained.networks(own, x, scaling, validation, model, session, cache, resume)
    return nets if own == module else pretrained.with_posterior(nets, seed_keys(session.seeds, "posterior"), module)


def _refined(
    phase: Refine, data: Data, nets: Net | None, session: Session, resume: Checkpoint | None
) -> tuple[State, Int[np.ndarray, "s n"]]:
    """Start the clusters, or take them from a checkpoint, and refine; return the states and labels of all seeds."""
    how, keys = execution(), seed_keys(session.seeds, phase.name)
    with reading(data.x), session.clock("cluster"):
        if resume:
            like = jax.eval_shape(partial(_start, phase, how=how), data, keys, nets)
            states, start = resume.state(like), resume.period
        else:
            states, start = _start(phase, data, seed_keys(session.seeds, "start"), nets, how=how), 0
        states = session.run(phase, data, None, keys, states, start, session.seeds, pretrained.encode_seeds)
        return states, np.asarray(_labels(phase, data, states, how))


def free_memory_maps() -> None:
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
    """Choose k, at least 2, for the networks' codes of rows or the scaled rows: n_clusters, reason, table."""
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
    """Return each network's codes of a uniform sample of at most `most` rows; without networks, the scaled rows."""
    n = x.shape[0]
    data = place(Subset(x, sample_rows(n, min(n, most))), scaling, model.stream_above)
    with reading(data.x):
        return np.asarray(mesh.gather(data[:][None] if nets is None else pretrained.encode_seeds(data, nets)))


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
    shape = min(n, START_ROWS), module.features if method.space == "input" else module.config.code_size
    if k != "auto":
        jax.eval_shape(lambda key, net: method.init(key, net, View(lambda _: jnp.zeros(shape), jnp.ones(shape[:1])), k),
                       jax.random.key(0), net)
