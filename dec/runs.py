"""Run folders: one run of a method over seeds, or a table of several, on disk from the first step to the last."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from dec import config, metrics
from dec.data import Dataset, cache_dir, load
from dec.estimator import DeepClustering
from dec.report.progress import Progress
from dec.report.table import failures, results
from dec.saved import load as load_model
from dec.training.checkpoint import Checkpoints, write
from dec.training.session import Session

PLAN, CONFIG, METRICS, ENVIRONMENT, TABLE = "plan.json", "config.json", "metrics.json", "environment.json", "table.md"


def create(folder: Path, force: bool) -> None:
    """Make a new run folder.

    Raises:
      FileExistsError: when there is something already, unless `force` may replace an earlier run.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not any((folder / name).is_file() for name in (PLAN, CONFIG)):
            raise FileExistsError(f"--out {folder} exists and is not a run folder; choose another")
        if not force:
            raise FileExistsError(f"--out {folder} holds a run; go on with it by --resume {folder}, replace it by "
                                  "--force, or choose another")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def read_json(path: Path) -> Any:
    """The content of a run folder's JSON file.

    Raises:
      FileNotFoundError, ValueError: when it is not there, or damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} is not a run folder: it has no {path.name}")
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error})") from error


def write_json(path: Path, value: Any) -> None:
    """JSON, written safely; NaN becomes null."""
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): plain(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | np.ndarray):
            return [plain(inner) for inner in value]
        if isinstance(value, np.generic):
            value = value.item()
        return None if isinstance(value, float) and not np.isfinite(value) else value

    write(path, (json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n").encode())


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
    dataset = load(run.data, run.limit)
    x = flat(dataset)
    pretrain_on = flat(load(run.pretrain_on, run.limit)) if run.pretrain_on else None
    k = run.n_clusters or dataset.n_classes
    if k is None:
        raise ValueError(f"--n-clusters is needed: {run.data} has no labels to count")
    if k < 2:
        raise ValueError(f"--n-clusters {k} must be at least 2")
    recorded = folder / ENVIRONMENT
    if recorded.is_file() and read_json(recorded)["data"]["digest"] != dataset.digest:
        raise ValueError(f"{run.data} is not the data that {folder} was begun with; restore it, or start a new run")
    write_json(folder / CONFIG, config.to_dict(run) | {"n_clusters": k})
    write_json(recorded, environment(dataset))

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
            row["sizes"] = np.bincount(labels, minlength=k)
            if dataset.y is not None and row["status"] == "ok":
                row |= metrics.external(dataset.y, labels)
    inner = {}
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
        "command": " ".join(["dec", *sys.argv[1:]]),
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
    write_json(folder / PLAN, {"cells": {n: config.to_dict(run) for n, run in cells.items()}, "cached": cached})
    done = {}
    for name, run in cells.items():
        inner = folder / slug(name)
        inner.mkdir(exist_ok=True)
        finished = inner / METRICS
        if finished.is_file() and not read_json(finished)["interrupted"]:
            done[name] = read_json(finished)
        else:
            done[name] = execute(run, inner, quiet=quiet, cache=cache, title=name)
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
        plan = read_json(folder / PLAN)
        cells = {name: config.from_dict(config.Run, run) for name, run in plan["cells"].items()}
        return table(cells, folder, quiet=quiet, cached=plan["cached"])
    run = config.from_dict(config.Run, read_json(folder / CONFIG))
    if (folder / METRICS).is_file() and not read_json(folder / METRICS)["interrupted"]:
        print(f"{folder} is finished; nothing to resume.", file=sys.stderr)
        return {run.method: read_json(folder / METRICS)}
    return {run.method: execute(run, folder, quiet=quiet, cache=pretrained_cache(folder, True))}


def read_results(folder: Path) -> dict[str, Any]:
    """Named metrics of a run or of every finished cell of a table."""
    if (folder / PLAN).is_file():
        names = read_json(folder / PLAN)["cells"]
        found = {name: folder / slug(name) / METRICS for name in names}
        return {name: read_json(path) for name, path in found.items() if path.is_file()}
    found_metrics = read_json(folder / METRICS)
    return {found_metrics["method"]: found_metrics}


def show(cells: dict[str, Any]) -> str:
    """The table of results, and what went wrong under it."""
    lines = failures(cells)
    return results(cells) + ("\n\n" + "\n".join(lines) if lines else "")


def evaluate_on(folder: Path, spec: str) -> dict[str, Any]:
    """The kept model's scores on other data, which it only predicts."""
    model, dataset = load_model(folder), load(spec)
    x = flat(dataset)
    labels = model.predict(x)
    found: dict[str, Any] = {"data": dataset.name, "source": dataset.source, "n": len(x)}
    if dataset.y is not None:
        found |= metrics.external(dataset.y, labels)
    return found | {"internal": {"codes": metrics.internal(model.transform(x), labels)},
                    "sizes": np.bincount(labels, minlength=model.n_clusters).tolist()}


def slug(name: str) -> str:
    """A cell's name as a folder name."""
    return re.sub(r"[^\w.=+-]+", "_", name)
