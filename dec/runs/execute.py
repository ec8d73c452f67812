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
from sklearn.pipeline import make_pipeline

from dec import config, methods, metrics, user_code
from dec.data.dataset import Dataset
from dec.errors import UserError
from dec.estimators.deep_clustering import DeepClustering
from dec.estimators.parameters import OWN, PARTS
from dec.estimators.saving import save as save_model
from dec.io import cache_dir, read_arrays, read_json, write, write_json
from dec.runs.folder import RunFolder, slug
from dec.runs.predict import labels_table
from dec.runs.prepare import Prepared, prepare, read_anew, resolved
from dec.runs.results import failures, results
from dec.training.fit import BEFORE
from dec.training.progress import Progress
from dec.training.session import Session


class Interrupted(Exception):
    """Ctrl-C ended a run between two chunks; what was there is saved."""


def execute(
    run: config.Run, folder: RunFolder, *, quiet: bool = False, cache: Path | None = None, title: str = ""
) -> dict[str, Any]:
    """Do a run, or go on with the one in a folder, and leave everything there.

    Args:
      run: the settings.
      folder: an existing folder; the run goes on from checkpoints in it.
      quiet: whether to show no progress.
      cache: a folder of pretrained networks to reuse and add to.
      title: shown before the progress.

    Returns:
      the content of metrics.json.

    Raises:
      Interrupted: after Ctrl-C, when all is saved.
    """
    asked = resolved(run)
    made = prepare(asked)
    _record(asked, made, folder, cached=cache is not None)
    run, x, k = made.run, made.x, made.k
    parts = {name: getattr(run.model, name) for name in (*OWN, *PARTS)}
    estimator = DeepClustering(k, method=run.method, method_options=run.options or None, n_init=run.seeds,
                               random_state=run.seed, cache=str(cache) if cache else None, **parts)
    session = Session(list(range(run.seed, run.seed + run.seeds)), checkpoints=folder.checkpoints, log=folder.history)
    with nullcontext() if quiet else Progress(f"{title or run.method}: ", made.dataset.source) as session.progress:
        try:
            estimator.fit_session(x, session, pretrain_on=made.pretrain_on, resume=folder.checkpoints.load())
        except FloatingPointError as error:  # every seed failed, which the metrics record
            print(error, file=sys.stderr)
    session.write_log()
    found = assess(run, session.choice["n_clusters"] if session.choice else k, made.dataset, x, estimator, session)
    if hasattr(estimator, "fit_"):
        save_results(estimator, made, folder)
        _keep_pretrained_codes(session.seeds.index(estimator.fit_seed_), folder)
    write_json(folder.metrics, found)
    if session.interrupted:
        raise Interrupted
    shutil.rmtree(folder.checkpoints.folder, ignore_errors=True)
    return found


def _record(asked: config.Run, made: Prepared, folder: RunFolder, cached: bool) -> None:
    """Write the settings of a run and what its result depends on beside them.

    Raises:
      UserError: the folder holds a run that was begun with other data, or with other code of the user.
    """
    run, dataset = made.run, made.dataset
    now = environment(dataset, made.x) | {"cached": cached}
    now["data"]["pretrain_on"] = made.pretrain_digest
    code = {"method_digest": run.method, "network_digest": run.model.network.layers}
    now |= {digest: user_code.file_digest(name) for digest, name in code.items()}
    if folder.environment.is_file():
        began = folder.read_environment()
        for digest, name in code.items():
            user_code.check_digest(name, began.get(digest), folder.path)
        for name, part in ((run.data, "digest"), (run.pretrain_on, "pretrain_on")):
            if began["data"].get(part) != now["data"][part]:
                raise UserError(f"{name} is not the data that {folder} was begun with; restore it, or start a new run")
        first = {name: began[name] for name in ("python", "versions", "machine", "device")}
        now |= {"command": began["command"], "date": began["date"], "began_with": began.get("began_with", first),
                "resumed": now["date"]}
    if dataset.column:  # of the table that the texts are from: new rows may come with others
        text = {"columns": [dataset.column], "kinds": [f"{dataset.column}=text"]}
        asked = config.replace(asked, {"features": text})
    write_json(folder.config, config.to_dict(asked) | {"n_clusters": made.k})
    write_json(folder.environment, now)


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
        "augmentation": {} if methods.make(run.method, run.options).space == "input" else
                        run.model.augmentation.changed(),
        "kept_seed": int(estimator.fit_seed_) if fitted else None,
        "seeds": seeds,
        "internal": inner,
        "confusion": confusion,
        "seconds": session.seconds,
        "reused": session.reused,
        "interrupted": session.interrupted,
    }


def save_results(estimator: DeepClustering, made: Prepared, folder: RunFolder) -> None:
    """Write the model with its features, the embedding and the labels of every row."""
    save_model(estimator if made.features is None else make_pipeline(made.features, estimator), folder.model)
    if len(estimator.codes_):
        np.save(folder.embedding, estimator.codes_)
    columns = {f"seed_{seed}": labels for seed, labels in zip(estimator.runs_["seed"], estimator.all_labels_)}
    table = labels_table(estimator, made.x, made.index, estimator.labels_).assign(**columns)
    table.to_csv(folder.labels, index=False)


def _keep_pretrained_codes(seed: int, folder: RunFolder) -> None:
    """Write the codes before refinement of the seed at a position, where a checkpoint has them."""
    if (file := folder.checkpoints.folder / BEFORE).is_file():
        try:
            np.save(folder.pretrained, read_arrays(file)[0]["codes"][seed])
        except ValueError as error:
            warnings.warn(f"{error}; a report will not show the codes before refinement", stacklevel=2)


def environment(dataset: Dataset, x: Any) -> dict[str, Any]:
    """Return the versions, machine and data that a result depends on beside its config."""
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


def table(
    cells: dict[str, config.Run], folder: RunFolder, *, quiet: bool = False, cached: bool = True
) -> dict[str, Any]:
    """Do every run of a table that is not done yet, as `execute`; return the metrics of all by name."""
    cache = pretrained_cache(folder, cached)
    if len({slug(name) for name in cells}) < len(cells):
        raise UserError(f"two of {', '.join(cells)} would share a folder; run them as tables of their own")
    folder.write_plan(cells, cached)
    done = {}
    for name, run in cells.items():
        cell = folder.cell(name)
        cell.path.mkdir(exist_ok=True)
        done[name] = cell.finished() or execute(run, cell, quiet=quiet, cache=cache, title=name)
        write(folder.table, (show(done) + "\n").encode())
    return done


def pretrained_cache(folder: RunFolder, cached: bool) -> Path:
    """Return where to look for pretrained networks: the user's cache or, of several processes, the run's folder."""
    return cache_dir() / "pretrained" if cached and jax.process_count() == 1 else folder.path / "pretrained"


def resume(folder: RunFolder, quiet: bool = False) -> dict[str, Any]:
    """Go on with an unfinished run or table; return the metrics by name. A finished run stays as it is."""
    read_anew()
    if folder.is_table:
        return table(folder.read_plan(), folder, quiet=quiet, cached=read_json(folder.plan)["cached"])
    run = folder.read_config()
    if (done := folder.finished()) is not None:
        return {run.method: done}
    cached = folder.read_environment()["cached"] if folder.environment.is_file() else True
    return {run.method: execute(run, folder, quiet=quiet, cache=pretrained_cache(folder, True) if cached else None)}


def show(cells: dict[str, Any]) -> str:
    """Return the table of results, and what went wrong under it."""
    lines = failures(cells)
    return results(cells) + ("\n\n" + "\n".join(lines) if lines else "")
