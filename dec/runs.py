"""Run folders: one run of a method over seeds, or a table of several, on disk from the first step to the last."""

from __future__ import annotations

import datetime
import functools
import importlib.metadata
import platform
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from dec import config, methods, metrics
from dec.data import Dataset, cache_dir, load
from dec.estimator import DeepClustering
from dec.folders import (
    CONFIG,
    ENVIRONMENT,
    METRICS,
    PLAN,
    TABLE,
    finished,
    read_config,
    read_json,
    read_plan,
    slug,
    write_json,
)
from dec.networks.autoencoder import Net, build
from dec.report.progress import Progress
from dec.report.table import failures, results
from dec.saved import load as load_model
from dec.training.checkpoint import Checkpoints, write
from dec.training.fit import check_sizes
from dec.training.optimizer import transform
from dec.training.pretrained import warm_start
from dec.training.session import Session


def check(cells: dict[str, config.Run]) -> None:
    """Find what would stop any of the runs, before a folder is made or replaced.

    Raises:
      FileNotFoundError, ValueError: naming what is wrong.
    """
    once = functools.cache(load)
    for run in cells.values():
        dataset, k, _ = prepare(run, once)
        x = flat(dataset)
        check_sizes(len(x), k)
        on = methods.make(run.method, run.options).on
        module = build(run.model.network, x.shape[1], run.model.dtype)
        jax.eval_shape(lambda key, module=module: Net.fresh(key, module), jax.random.key(0))
        for part in (run.model.pretraining, run.model.refinement):
            transform(part.optimizer, 1, 1)
        if run.model.pretraining.warm_start and on == "codes":
            warm_start(run.model.pretraining.warm_start, module)


def prepare(run: config.Run, load: Callable[..., Dataset] = load) -> tuple[Dataset, int, np.ndarray | None]:
    """The data set of a run, its number of clusters, and the rows to pretrain on where they are others."""
    dataset = load(run.data, run.limit)
    k = dataset.n_classes if run.n_clusters is None else run.n_clusters
    if k is None:
        raise ValueError(f"--n-clusters is needed: {run.data} has no labels to count")
    if k < 2:
        raise ValueError(f"--n-clusters {k} must be at least 2")
    if run.pretrain_on is None:
        return dataset, k, None
    other = flat(load(run.pretrain_on, run.limit))
    if other.shape[1] != flat(dataset).shape[1]:
        raise ValueError(f"--pretrain-on {run.pretrain_on} has {other.shape[1]} columns, --data {run.data} has "
                         f"{flat(dataset).shape[1]}; they must be alike")
    return dataset, k, other


class Interrupted(Exception):
    """Ctrl-C ended a run between two chunks; what was there is saved."""


def execute(run: config.Run, folder: Path, *, quiet: bool = False, cache: Path | None = None, title: str = "") -> dict:
    """Do a run, or go on with the one in `folder`, and leave everything there.

    Args:
      run: what to do.
      folder: an existing folder; checkpoints in it are gone on from.
      quiet: no progress.
      cache: of pretrained networks.
      title: shown before progress.

    Returns:
      the content of metrics.json.

    Raises:
      Interrupted: after Ctrl-C, when all is saved.
    """
    dataset, k, pretrain_on = prepare(run)
    x = flat(dataset)
    recorded, now = folder / ENVIRONMENT, environment(dataset)
    if recorded.is_file():
        began = read_json(recorded)
        if began["data"]["digest"] != dataset.digest:
            raise ValueError(f"{run.data} is not the data that {folder} was begun with; restore it, or start a new run")
        now |= {"command": began["command"], "date": began["date"], "resumed": now["date"]}
    now["cached"] = cache is not None
    write_json(folder / CONFIG, config.to_dict(run) | {"n_clusters": k})
    write_json(recorded, now)

    estimator = make_estimator(run, k)
    estimator.cache = str(cache) if cache else None
    checkpoints = Checkpoints(folder / "checkpoints")
    session = Session(list(range(run.seed, run.seed + run.seeds)), checkpoints=checkpoints,
                      log=folder / "history.jsonl")
    resume = checkpoints.load()
    with Progress(f"{title or run.method}: ") as progress:
        session.progress = None if quiet else progress
        try:
            estimator.fit_session(x, session, pretrain_on=pretrain_on, resume=resume)
        except FloatingPointError as error:
            print(error, file=sys.stderr)
    session.write_log()
    found = assess(run, k, dataset, x, estimator, session)
    if hasattr(estimator, "fit_"):
        save_results(estimator, x, folder)
    write_json(folder / METRICS, found)
    if session.interrupted:
        raise Interrupted
    shutil.rmtree(checkpoints.folder, ignore_errors=True)
    return found


def make_estimator(run: config.Run, k: int) -> DeepClustering:
    """The estimator of a run."""
    parts = {name: getattr(run.model, name) for name in
             ("scaling", "batch_size", "dtype", "network", "pretraining", "refinement")}
    return DeepClustering(k, method=run.method, method_options=run.options or None, n_init=run.seeds,
                          random_state=run.seed, **parts)


def flat(dataset: Dataset) -> np.ndarray:
    """Rows as vectors."""
    return dataset.x.reshape(len(dataset.x), -1)


def assess(
    run: config.Run, k: int, dataset: Dataset, x: np.ndarray, estimator: DeepClustering, session: Session
) -> dict[str, Any]:
    """Everything that is measured of a run; the only place where its labels are looked at."""
    seeds = estimator.runs_.to_dict(orient="records")
    fitted = hasattr(estimator, "fit_")
    if fitted:
        for row, labels in zip(seeds, estimator.all_labels_):
            row["sizes"] = metrics.sizes(labels, k)[0]
            if dataset.y is not None and row["status"] == "ok":
                row |= metrics.external(dataset.y, labels)
    inner, confusion = {}, None
    if fitted and dataset.y is not None:
        matrix, classes, clusters = metrics.confusion(dataset.y, estimator.labels_)
        confusion = {"classes": [dataset.classes[c] for c in classes], "clusters": clusters, "counts": matrix}
    if fitted:
        inner["codes"] = metrics.internal(estimator.codes_, estimator.labels_)
        inner["input"] = metrics.internal(np.asarray(estimator.fit_.scaling.apply(x)), estimator.labels_)
    return {
        "method": run.method,
        "data": dataset.name,
        "source": dataset.source,
        "n": len(x),
        "n_clusters": k,
        "kept_seed": int(estimator.fit_seed_) if fitted else None,
        "seeds": seeds,
        "internal": inner,
        "confusion": confusion,
        "seconds": session.seconds,
        "reused": session.reused,
        "interrupted": session.interrupted,
    }


def save_results(estimator: DeepClustering, x: np.ndarray, folder: Path) -> None:
    """The model, the embedding and the labels of every row."""
    estimator.save(folder / "model")
    np.save(folder / "embedding.npy", estimator.codes_)
    labels_table(estimator, x, estimator.labels_, estimator.all_labels_).to_csv(folder / "labels.csv", index=False)


def labels_table(
    estimator: DeepClustering, x: np.ndarray, labels: np.ndarray, every: np.ndarray | None = None
) -> pd.DataFrame:
    """Row, cluster, its probability, and where given the cluster of every seed."""
    confidence = estimator.predict_proba(x)[np.arange(len(x)), labels]
    table = pd.DataFrame({"row": np.arange(len(x)), "cluster": labels, "confidence": confidence.round(6)})
    if every is not None:
        for seed, column in zip(estimator.runs_["seed"], every):
            table[f"seed_{seed}"] = column
    return table


def environment(dataset: Dataset) -> dict[str, Any]:
    """What a result depends on beyond its config."""
    packages = ("dec", "jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn", "pandas")
    device = jax.devices()[0]
    return {
        "command": shlex.join(["dec", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "machine": f"{platform.system()} {platform.machine()}",
        "device": f"{device.platform} {device.device_kind}",
        "data": {"name": dataset.name, "source": dataset.source, "digest": dataset.digest,
                 "shape": list(dataset.x.shape), "dtype": str(dataset.x.dtype)},
    }


def table(cells: dict[str, config.Run], folder: Path, *, quiet: bool = False, cached: bool = True) -> dict[str, Any]:
    """Do every cell that is not done yet; what is done is taken from its folder.

    Raises:
      Interrupted: after Ctrl-C.
    """
    cache = pretrained_cache(folder, cached)
    if len({slug(name) for name in cells}) < len(cells):
        raise ValueError(f"two of {', '.join(cells)} would share a folder; run them as tables of their own")
    write_json(folder / PLAN, {"cells": {n: config.to_dict(run) for n, run in cells.items()}, "cached": cached})
    done = {}
    for name, run in cells.items():
        inner = folder / slug(name)
        inner.mkdir(exist_ok=True)
        done[name] = finished(inner) or execute(run, inner, quiet=quiet, cache=cache, title=name)
        write(folder / TABLE, (show(done) + "\n").encode())
    return done


def pretrained_cache(folder: Path, cached: bool) -> Path:
    """Where pretrained networks are looked for: the user's cache, or the run's own folder only."""
    return cache_dir() / "pretrained" if cached else folder / "pretrained"


def resume(folder: Path, quiet: bool = False) -> dict[str, Any]:
    """Go on with an unfinished run or table; returns named metrics.

    Raises:
      FileNotFoundError: when it is no run folder.
    """
    if (folder / PLAN).is_file():
        return table(read_plan(folder), folder, quiet=quiet, cached=read_json(folder / PLAN)["cached"])
    run = read_config(folder / CONFIG)
    if (done := finished(folder)) is not None:
        print(f"{folder} is finished; nothing to resume.", file=sys.stderr)
        return {run.method: done}
    cached = read_json(folder / ENVIRONMENT)["cached"] if (folder / ENVIRONMENT).is_file() else True
    return {run.method: execute(run, folder, quiet=quiet, cache=pretrained_cache(folder, True) if cached else None)}


def show(cells: dict[str, Any]) -> str:
    """The table of results, and what went wrong under it."""
    lines = failures(cells)
    return results(cells) + ("\n\n" + "\n".join(lines) if lines else "")


def evaluate_on(folder: Path, spec: str) -> dict[str, Any]:
    """The kept model's scores on other data, which it only predicts."""
    model, dataset = model_of(folder), load(spec)
    x = rows_for(model, dataset, spec)
    labels = model.predict(x)
    found: dict[str, Any] = {"data": dataset.name, "source": dataset.source, "n": len(x)}
    if dataset.y is not None:
        found |= metrics.external(dataset.y, labels)
    return found | {"internal": {"codes": metrics.internal(model.transform(x), labels)},
                    "sizes": metrics.sizes(labels, model.n_clusters)[0].tolist()}


def model_of(folder: Path) -> DeepClustering:
    """The kept model of a run.

    Raises:
      FileNotFoundError, ValueError: when there is none, or a table has several.
    """
    if (folder / PLAN).is_file():
        raise ValueError(f"{folder} is a table; name one of its runs: "
                         + ", ".join(str(folder / slug(name)) for name in read_plan(folder)))
    return load_model(folder)


def rows_for(model: DeepClustering, dataset: Dataset, spec: str) -> np.ndarray:
    """The rows of other data, if they are as wide as those of the model."""
    x = flat(dataset)
    if x.shape[1] != model.n_features_in_:
        raise ValueError(f"{spec} has {x.shape[1]} columns, but the model was fitted on {model.n_features_in_}; give "
                         "data of that width")
    return x
