"""Pretrained networks, one a seed: trained in stages, or taken from a cache or a saved model."""

from __future__ import annotations

import importlib.metadata
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax import lax
from jaxtyping import Array, PyTree

from dec import config
from dec.data.dataset import content_hash
from dec.data.scaling import Scaling
from dec.data.stream import Rows, Subset
from dec.errors import UserError
from dec.io import read_arrays, write_arrays
from dec.networks.autoencoder import Autoencoder, Net
from dec.paths import as_path
from dec.training.checkpoint import Checkpoint
from dec.training.engine import NOT_FINITE, Data, device, execution, over_seeds, place, seed_keys, sweep
from dec.training.pretrain import Pretrain, stages
from dec.training.rows import reading, window_rows
from dec.training.session import Session
from dec.user_code import file_digest

ARRAYS = "arrays.npz"  # of a saved model
PRETRAINING = 2  # raise it when a change of the code changes the weights, so that older caches are not used


def networks(
    module: Autoencoder,
    x: Rows,
    scaling: Scaling,
    validation: Rows | None,
    model: config.Model,
    session: Session,
    cache: Path | None = None,
    resume: Checkpoint | None = None,
) -> Net:
    """Return one pretrained network per seed of the session, stacked.

    Args:
      module: the network.
      x: [n, d] rows to train on, raw.
      scaling: of the rows.
      validation: [m, d] rows to watch the loss on, raw; None: a part of x if the config asks for one.
      model: its network and pretraining.
      session: seeds, history, checkpoints.
      cache: a folder to look in and to add to.
      resume: a checkpoint of a pretraining stage.
    """
    files = _cache_files(module, x, validation, model, session.seeds, cache)
    began = resume.note["seeds"] if resume else []  # the checkpoint's; all others came from the cache
    found = {seed: cached for seed, file in files.items() if seed not in began and (cached := _read_cached(file))}
    todo = began or [seed for seed in session.seeds if seed not in found]
    if gone := set(session.seeds) - set(todo) - set(found):
        raise UserError(f"cannot resume: the cached networks of seeds {sorted(gone)} are gone; start the run anew")
    session.reused = len(found)
    params = {seed: arrays for seed, (arrays, _) in found.items()}
    for _, about in () if resume else found.values():
        session.history += about["history"]
        session.seconds["pretrain"] += about["seconds"]
    if todo:
        before = sum(about["seconds"] for _, about in found.values())
        with session.clock("pretrain"):
            trained, whole = _train(module, x, scaling, validation, model, session, todo, resume)
        each = (session.seconds["pretrain"] - before) / len(todo)
        arrays = flat(trained.params)
        for s, seed in enumerate(todo):
            params[seed] = {name: array[s] for name, array in arrays.items()}
            if cache and whole[s]:
                history = [r for r in session.history if r["seed"] == seed]
                write_arrays(files[seed], params[seed], {"history": history, "seconds": each})
    stacked = {name: jnp.stack([params[seed][name] for seed in session.seeds]) for name in params[session.seeds[0]]}
    return Net(unflat(stacked), module)


def _train(
    module: Autoencoder,
    x: Rows,
    scaling: Scaling,
    validation: Rows | None,
    model: config.Model,
    session: Session,
    seeds: list[int],
    resume: Checkpoint | None,
) -> tuple[Net, np.ndarray]:
    """Run the stages; also tells which seeds came through whole."""
    pretraining, how = model.pretraining, execution()
    if validation is None and pretraining.validation:
        x, validation = split(x, pretraining.validation, pretraining.validation_seed)
    data = place(x, scaling, model.stream_above)
    watched = None if validation is None else place(validation, scaling, model.stream_above)
    keys = seed_keys(seeds, "weights")
    if pretraining.warm_start:
        one = warm_start(pretraining.warm_start, module)
        nets = jax.tree.map(lambda a: jnp.repeat(jnp.asarray(a)[None], len(seeds), axis=0), one)
    else:
        nets = _fresh(module, keys, how)
    good = np.ones(len(seeds), bool)
    phases = stages(model, x.shape[0])
    done = [phase.name for phase in phases].index(resume.stage) if resume else 0
    with reading(data.x, None if watched is None else watched.x):
        for phase in phases[done:]:
            start = 0
            if resume and phase.name == resume.stage:
                like = jax.eval_shape(partial(_start, phase, how=how), nets)
                states, start = resume.state(like), resume.period
            else:
                states = _start(phase, nets, how)
            states = session.run(phase, data, watched, seed_keys(seeds, phase.name), states, start, seeds, encode_seeds)
            good &= np.asarray(states.status) != NOT_FINITE
            nets = phase.result(states)
    return nets, good & (not session.interrupted)


@partial(jax.jit, static_argnames=("posterior",))
def with_posterior(nets: Net, keys: Array, posterior: Autoencoder) -> Net:
    """Return the stacked networks as ones of the module `posterior`: what they lack, newly drawn."""
    def one(net: Net, key: Array) -> Net:
        params = traverse_util.flatten_dict(Net.fresh(key, posterior).params)
        return Net(traverse_util.unflatten_dict(params | traverse_util.flatten_dict(net.params)), posterior)

    return jax.vmap(one)(nets, keys)


def split(x: Rows, part: float, seed: int = 0) -> tuple[Subset, Subset]:
    """Return training and validation rows, the same for every seed; neither is copied."""
    n = x.shape[0]
    order = np.random.default_rng(seed).permutation(n)
    held = max(1, round(part * n))
    if held >= n:
        raise UserError(f"pretraining.validation={part} leaves no row of {n} to train on; make it smaller")
    return Subset(x, np.sort(order[held:])), Subset(x, np.sort(order[:held]))


@partial(jax.jit, static_argnames=("module", "how"))
def _fresh(module: Autoencoder, keys: Array, how: str) -> Net:
    return over_seeds(lambda _, key: Net.fresh(key, module), how)((), keys)


@partial(jax.jit, static_argnames=("phase", "how"))
def _start(phase: Pretrain, nets: Net, how: str) -> PyTree:
    return over_seeds(lambda _, net: phase.start(net), how)((), nets)


@jax.jit
def encode(data: Data, net: Net) -> Array:
    """Return codes [n, c] of all rows by one network."""
    return sweep(lambda x, weight: (net.encode(x), ()), data)[0]


@jax.jit
def encode_seeds(data: Data, nets: Net) -> Array:
    """Return codes [s, n, c] of all rows by every seed's network."""
    return lax.map(partial(encode, data), nets)


def flat(params: PyTree) -> dict[str, np.ndarray]:
    """Return a tree of parameters as arrays named by their path."""
    return {name: np.asarray(leaf) for name, leaf in traverse_util.flatten_dict(params, sep="/").items()}


def unflat(arrays: dict[str, Any]) -> PyTree:
    """Return the inverse of `flat`."""
    return traverse_util.unflatten_dict(arrays, sep="/")


def model_folder(path: str | Path) -> Path | None:
    """Return the folder of a saved model: `path`, or the `model` folder of a run."""
    return next((folder for folder in (as_path(path), as_path(path) / "model") if (folder / ARRAYS).is_file()), None)


def saved_params(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the network's parameters, as of `flat`, among the arrays of a saved model; empty without a network."""
    return {name.removeprefix("net/"): array for name, array in arrays.items() if name.startswith("net/")}


def warm_start(path: str, module: Autoencoder) -> Net:
    """Return the network of a saved model or run folder; a posterior's layers stay behind where this network has none.

    Raises:
      ValueError: when there is none, or its layers have other widths.
    """
    folder = model_folder(path)
    if folder is None:
        raise UserError(f"warm_start={path!r} is neither a saved model nor a run folder with one")
    saved = saved_params(read_arrays(folder / ARRAYS)[0])
    wanted = jax.eval_shape(lambda key: Net.fresh(key, module).params, jax.random.key(0))
    shapes = {name: leaf.shape for name, leaf in traverse_util.flatten_dict(wanted, sep="/").items()}
    saved = {name: leaf for name, leaf in saved.items() if name in shapes or "posterior" not in name}
    found = {name: leaf.shape for name, leaf in saved.items()}
    if shapes != found:
        raise UserError(f"warm_start={path!r} has layers {found}; this network and data need {shapes}")
    return Net(unflat(saved), module)


def _read_cached(file: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Return a cached network with its history and seconds; None where there is none, or none that can be read."""
    try:
        return read_arrays(file) if file.is_file() else None
    except ValueError as error:
        warnings.warn(f"{error}; the network is trained anew", stacklevel=2)
        return None


def _cache_files(
    module: Autoencoder,
    x: Rows,
    validation: Rows | None,
    model: config.Model,
    seeds: list[int],
    cache: Path | None,
) -> dict[int, Path]:
    """Return the file of each seed's network in the cache; its name is a hash of all that decides the weights."""
    if cache is None:
        return {}
    start = model.pretraining.warm_start
    whole = config.to_dict(model)
    for part in ("refinement", "stream_above"):  # neither decides the weights
        whole.pop(part)
    versions = [importlib.metadata.version(name) for name in ("dec", "jax", "jaxlib", "flax", "optax")]
    where: list[Any] = [device().device_kind, execution(), PRETRAINING]
    if own := file_digest(model.network.layers):  # of a network of the user's
        where.append(own)
    leaves = jax.tree.leaves(warm_start(start, module)) if start else []
    started = [content_hash(np.atleast_1d(leaf)) for leaf in leaves]
    held = [None if rows is None else content_hash(rows) for rows in (x, validation)]
    parts: list[Any] = [whole, *held, started, versions, where]
    if window_rows(x) < x.shape[0]:  # decides the batches
        parts.append(window_rows(x))
    return {seed: cache / f"{config.digest(*parts, seed)}.npz" for seed in seeds}
