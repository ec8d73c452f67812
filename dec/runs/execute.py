"""Run folders: one run of a method over seeds, or a table of several, on disk from the first step to the last."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import shlex
import shutil
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline

from dec import config, methods, metrics, user_code
from dec.data.dataset import Dataset
from dec.errors import UserError
from dec.estimators.deep_clustering import OWN, DeepClustering
from dec.estimators.parameters import PARTS
from dec.estimators.saving import save as save_model
from dec.io import cache_dir, read_arrays, read_json, write, write_json
from dec.runs.folder import (
    CONFIG,
    ENVIRONMENT,
    METRICS,
    PLAN,
    PRETRAINED,
    TABLE,
    finished,
    read_config,
    read_plan,
    slug,
)
from dec.runs.predict import labels_table
from dec.runs.prepare import prepare, read_anew, resolved
from dec.runs.results import failures, results
from dec.training.checkpoint import Checkpoints
from dec.training.fit import BEFORE
from dec.training.progress import Progress
from dec.training.session import Session


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
    given = resolved(run)
    run, dataset, index, features, x, k, pretrain_on, pretrain_digest = prepare(given)
    if dataset.column:  # of the table that the texts are from: new rows may come with others
        text = {"columns": [dataset.column], "kinds": [f"{dataset.column}=text"]}
        given = config.replace(given, {"features": text})
    recorded, now = folder / ENVIRONMENT, environment(dataset, x) | {"cached": cache is not None}
    now["data"]["pretrain_on"] = pretrain_digest
    now["method_digest"] = user_code.file_digest(run.method)
    now["network_digest"] = user_code.file_digest(run.model.network.layers)
    if recorded.is_file():
        began = read_json(recorded)
        user_code.check_digest(run.method, began.get("method_digest"), folder)
        user_code.check_digest(run.model.network.layers, began.get("network_digest"), folder)
        for name, part in ((run.data, "digest"), (run.pretrain_on, "pretrain_on")):
            if began["data"].get(part) != now["data"][part]:
                raise UserError(f"{name} is not the data that {folder} was begun with; restore it, or start a new run")
        first = {name: began[name] for name in ("python", "versions", "machine", "device")}
        now |= {"command": began["command"], "date": began["date"], "began_with": began.get("began_with", first),
                "resumed": now["date"]}
    write_json(folder / CONFIG, config.to_dict(given) | {"n_clusters": k})
    write_json(recorded, now)

    parts = {name: getattr(run.model, name) for name in (*OWN, *PARTS)}
    estimator = DeepClustering(k, method=run.method, method_options=run.options or None, n_init=run.seeds,
                               random_state=run.seed, cache=str(cache) if cache else None, **parts)
    checkpoints = Checkpoints(folder / "checkpoints")
    if not quiet:
        print(dataset.source, file=sys.stderr)
    session = Session(list(range(run.seed, run.seed + run.seeds)), checkpoints=checkpoints,
                      log=folder / "history.jsonl")
    resume = checkpoints.load()
    with nullcontext() if quiet else Progress(f"{title or run.method}: ") as session.progress:
        try:
            estimator.fit_session(x, session, pretrain_on=pretrain_on, resume=resume)
        except FloatingPointError as error:
            print(error, file=sys.stderr)
    session.write_log()
    if session.choice:
        k = session.choice["n_clusters"]
    found = assess(run, k, dataset, x, estimator, session)
    if hasattr(estimator, "fit_"):
        save_results(estimator, features, x, index, folder)
        if (before := checkpoints.folder / BEFORE).is_file():
            try:
                codes = read_arrays(before)[0]["codes"]
                np.save(folder / PRETRAINED, codes[session.seeds.index(estimator.fit_seed_)])
            except ValueError as error:
                warnings.warn(f"{error}; a report will not show the codes before refinement", stacklevel=2)
    write_json(folder / METRICS, found)
    if session.interrupted:
        raise Interrupted
    shutil.rmtree(checkpoints.folder, ignore_errors=True)
    return found


def assess(
    run: config.Run, k: int, dataset: Dataset, x: Any, estimator: DeepClustering, session: Session
) -> dict[str, Any]:
    """Everything that is measured of a run; the only place where its labels are looked at."""
    seeds = estimator.runs_.to_dict(orient="records")
    fitted = hasattr(estimator, "fit_")
    if fitted:
        for row, labels in zip(seeds, estimator.all_labels_):
            row["sizes"] = np.bincount(labels[labels >= 0], minlength=k)
            if dataset.y is not None and row["status"] == "ok":
                row |= metrics.external(dataset.y, labels)
    inner, confusion = {}, None
    if fitted and dataset.y is not None:
        counts = metrics.confusion(dataset.y, estimator.labels_)
        confusion = {"classes": [dataset.classes[c] for c in counts.index], "clusters": counts.columns.tolist(),
                     "counts": counts.to_numpy()}
    if fitted:
        if len(estimator.codes_):
            inner["codes"] = metrics.internal(estimator.codes_, estimator.labels_)
            inner["codes"] |= estimator.fit_.quality(estimator.codes_)
        inner["input"] = metrics.internal(x, estimator.labels_, estimator.fit_.scaling.apply)
    return {
        "method": run.method,
        "data": dataset.name,
        "source": dataset.source,
        "n": x.shape[0],
        "n_clusters": k,
        "choice": session.choice,
        "augmentation": run.model.augmentation.said() if methods.make(run.method, run.options).on == "codes" else {},
        "kept_seed": int(estimator.fit_seed_) if fitted else None,
        "seeds": seeds,
        "internal": inner,
        "confusion": confusion,
        "seconds": session.seconds,
        "reused": session.reused,
        "interrupted": session.interrupted,
    }


def save_results(
    estimator: DeepClustering, features: BaseEstimator | None, x: Any, index: pd.DataFrame, folder: Path
) -> None:
    """The model with its features, the embedding and the labels of every row."""
    save_model(estimator if features is None else make_pipeline(features, estimator), folder / "model")
    if len(estimator.codes_):
        np.save(folder / "embedding.npy", estimator.codes_)
    every = {f"seed_{seed}": column for seed, column in zip(estimator.runs_["seed"], estimator.all_labels_)}
    table = labels_table(estimator, x, index, estimator.labels_).assign(**every)
    table.to_csv(folder / "labels.csv", index=False)


def environment(dataset: Dataset, x: Any) -> dict[str, Any]:
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
                 "shape": list(x.shape), "dtype": str(x.dtype)},
    }


def table(cells: dict[str, config.Run], folder: Path, *, quiet: bool = False, cached: bool = True) -> dict[str, Any]:
    """Do every cell that is not done yet, as `execute`; what is done is taken from its folder."""
    cache = pretrained_cache(folder, cached)
    if len({slug(name) for name in cells}) < len(cells):
        raise UserError(f"two of {', '.join(cells)} would share a folder; run them as tables of their own")
    write_json(folder / PLAN, {"cells": {n: config.to_dict(run) for n, run in cells.items()}, "cached": cached})
    done = {}
    for name, run in cells.items():
        inner = folder / slug(name)
        inner.mkdir(exist_ok=True)
        done[name] = finished(inner) or execute(run, inner, quiet=quiet, cache=cache, title=name)
        write(folder / TABLE, (show(done) + "\n").encode())
    return done


def pretrained_cache(folder: Path, cached: bool) -> Path:
    """Where pretrained networks are looked for: the user's cache, or, as several processes must, the run's folder."""
    return cache_dir() / "pretrained" if cached and jax.process_count() == 1 else folder / "pretrained"


def resume(folder: Path, quiet: bool = False) -> dict[str, Any]:
    """Go on with an unfinished run or table; returns named metrics."""
    read_anew()
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
