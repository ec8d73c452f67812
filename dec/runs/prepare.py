"""A run before it begins: its data read and turned into numbers, and everything found that would stop it."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Literal, NamedTuple

import pandas as pd
from sklearn.base import BaseEstimator

from dec import config, methods
from dec.data.dataset import Dataset
from dec.data.kinds import check_options, fit_features, to_numbers
from dec.data.readers import load
from dec.errors import UserError
from dec.networks.autoencoder import build
from dec.training import mesh
from dec.training.augment import Augment
from dec.training.fit import check_sizes, check_start
from dec.training.optimizer import transform
from dec.training.pretrained import split, warm_start
from dec.training.rows import streams


class Prepared(NamedTuple):
    """A run whose data have been read and turned into numbers."""

    run: config.Run  # with the blocks of its features, where the network needs them
    dataset: Dataset  # as read; labels and ids belong to the rows of `x`
    index: pd.DataFrame  # what names the rows of `x`
    features: BaseEstimator | None  # fitted
    x: Any  # [n, d] numbers: an array, a memory map or CSR
    k: int | Literal["auto"]
    pretrain_on: Any  # other rows, or None
    pretrain_digest: str | None  # of their data


def check(cells: dict[str, config.Run]) -> None:
    """Raise what would stop any of the runs, naming it, before a folder is made or replaced."""
    read_anew()
    for run in cells.values():
        made = prepare(resolved(run))
        run, x, k = made.run, made.x, made.k
        check_sizes(x.shape[0], k)
        mesh.check(run.seeds, run.model.batch_size)
        streams(x, run.model.stream_above)
        method = methods.make(run.method, run.options)
        module = build(run.model.network, x.shape[1], run.model.dtype)
        check_start(method, x.shape[0], k, module)
        if method.space == "codes":
            Augment.of(run.model)
            if run.model.pretraining.validation and made.pretrain_on is None:
                split(x, run.model.pretraining.validation)
            if run.model.pretraining.warm_start:
                warm_start(run.model.pretraining.warm_start, module)
        for part in (run.model.pretraining, run.model.refinement):
            transform(part.optimizer, 1, 1)


def prepare(run: config.Run) -> Prepared:
    """Read the data of a run and fit the features: on the rows to pretrain on, where those are others."""
    dataset, index, features, x, other, digest = _read(run.data, run.limit, run.features, run.pretrain_on)
    k = dataset.n_classes if run.n_clusters is None else run.n_clusters
    if k is None:
        raise UserError(f"--n-clusters is needed: {run.data} has no labels to count")
    if k != "auto" and k < 2:
        raise UserError(f"--n-clusters is needed: the labels of {run.data} are one class only, {dataset.classes[0]!r}")
    blocks = getattr(features, "blocks_", ())
    network, needs = run.model.network, {}
    wanted = network.output == "mixed" or network.embed_above or any(b.startswith("sequence") for b in blocks)
    if wanted and not network.blocks:
        needs["blocks"] = blocks
    shaped = network.layers != "dense" or run.model.augmentation != config.Augmentation()
    if shaped and not network.shape:
        shape = getattr(features, "shape_", getattr(dataset.x, "shape", ())[1:])
        needs["shape"] = (*shape, 1) if len(shape) == 2 and dataset.kind != "sequence" else shape
    if needs:
        run = config.replace(run, {"model": {"network": needs}})
    return Prepared(run, dataset, index, features, x, k, other, digest)


def resolved(run: config.Run) -> config.Run:
    """Return the run with the optimizer that its method brings, where it names none."""
    optimizer = run.model.refinement.optimizer.over(methods.make(run.method, run.options).optimizer)
    return config.replace(run, {"model": {"refinement": {"optimizer": optimizer}}})


@functools.lru_cache(maxsize=1)  # the cells of a table share their data
def _read(data: str, limit: int | None, options: config.Features, pretrain_on: str | None) -> tuple:
    dataset = load(data, limit, options)
    unnamed = dataclasses.replace(options, id=None, drop=(*options.drop, options.id) if options.id else options.drop)
    training = dataset if pretrain_on is None else load(pretrain_on, limit, unnamed, labels=False)
    if training.kind != dataset.kind:
        raise UserError(f"--pretrain-on {pretrain_on} holds data of the kind {training.kind}, --data {data} of the "
                        f"kind {dataset.kind}; they must be alike")
    check_options(options, data, dataset, training)
    features, told, rows = fit_features(training, options, pretrain_on or data)
    dataset = dataclasses.replace(dataset, source=dataset.source + told)
    dataset, index, x = to_numbers(features, dataset, data, rows if pretrain_on is None else None)
    other = None if pretrain_on is None else to_numbers(features, training, pretrain_on, rows)[2]
    if other is not None and other.shape[1] != x.shape[1]:
        raise UserError(f"--pretrain-on {pretrain_on} has {other.shape[1]} columns, --data {data} has {x.shape[1]}; "
                        "they must be alike")
    return dataset, index, features, x, other, None if pretrain_on is None else training.digest


def read_anew() -> None:
    """Forget the data that were read last: the files may have changed since an earlier command of this process."""
    _read.cache_clear()
