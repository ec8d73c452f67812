"""The files of a run folder, or of a table's folder with a run in each sub-folder: made, read and checked."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from dec import config
from dec.errors import UserError
from dec.io import read_json

PLAN, CONFIG, METRICS, ENVIRONMENT, TABLE = "plan.json", "config.json", "metrics.json", "environment.json", "table.md"
LABELS = "labels.csv"
PRETRAINED = "embedding_pretrained.npy"  # codes before refinement, of a uniform sample (`sample_rows`) of the rows


def create(folder: Path, force: bool) -> None:
    """Make a new run folder.

    Raises:
      FileExistsError: when there is something already, unless `force` may replace an earlier run.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not is_run(folder):
            raise FileExistsError(f"--out {folder} exists and is not a run folder; choose another")
        if not force:
            raise FileExistsError(f"--out {folder} holds a run; go on with it by --resume {folder}, replace it by "
                                  "--force, or choose another")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's or a table's: whether this module can read its plan or config."""
    try:
        if (folder / PLAN).is_file():
            return bool(read_plan(folder))
        return {"method", "data", "model"} <= read_json(folder / CONFIG).keys() and bool(read_config(folder / CONFIG))
    except (OSError, ValueError, AttributeError):
        return False


def read_plan(folder: Path) -> dict[str, config.Run]:
    """The named runs of a table; a ValueError when the plan is damaged."""
    plan = read_json(folder / PLAN)
    if not isinstance(plan, dict) or not isinstance(plan.get("cells"), dict):
        raise UserError(f"{folder / PLAN} is damaged: it has no cells")
    return {name: config.from_dict(config.Run, run) for name, run in plan["cells"].items()}


def read_config(path: Path) -> config.Run:
    """The run in a config.json; errors as of `read_json`, and a ValueError when it is not that of a run."""
    found = read_json(path)
    try:
        return config.from_dict(config.Run, found)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def read_metrics(path: Path) -> dict[str, Any]:
    """The content of a metrics.json; errors as of `read_json`."""
    found = read_json(path)
    if not isinstance(found, dict) or not {"method", "n_clusters", "seeds", "seconds", "internal"} <= found.keys():
        raise UserError(f"{path} is damaged: it lacks what a run's metrics hold")
    return found


def finished(folder: Path) -> dict[str, Any] | None:
    """The metrics of a run that came to its end, else None."""
    found = read_metrics(folder / METRICS) if (folder / METRICS).is_file() else None
    return None if found is None or found["interrupted"] else found


def read_results(folder: Path) -> dict[str, Any]:
    """Named metrics of a run or of every finished cell of a table."""
    if (folder / PLAN).is_file():
        found = {name: folder / slug(name) / METRICS for name in read_plan(folder)}
        done = {name: read_metrics(path) for name, path in found.items() if path.is_file()}
    elif (folder / CONFIG).is_file() and not (folder / METRICS).is_file():
        done = {}
    else:
        run = read_metrics(folder / METRICS)
        done = {run["method"]: run}
    if not done:
        raise FileNotFoundError(f"{folder} has no finished run yet; go on with: dec train --resume {folder}")
    return done


def slug(name: str) -> str:
    """A cell's name as a folder name."""
    return re.sub(r"[^\w.=+-]+", "_", name)
