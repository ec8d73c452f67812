"""A run on disk, or a table of runs with one in each sub-folder: where its files are, and what is in them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from dec import config
from dec.errors import UserError
from dec.io import read_json, write_json
from dec.training.checkpoint import Checkpoints


class RunFolder:
    """The folder of a run or of a table of runs.

    Attributes:
      path: of the folder.
      plan: the file with the runs of a table.
      config, environment, history, metrics, labels, embedding, model: the files of a run.
      pretrained: codes before refinement, of a uniform sample (`sample_rows`) of the rows.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.plan, self.config, self.metrics = (self.path / f"{name}.json" for name in ("plan", "config", "metrics"))
        self.environment, self.history = self.path / "environment.json", self.path / "history.jsonl"
        self.labels, self.table, self.model = self.path / "labels.csv", self.path / "table.md", self.path / "model"
        self.embedding, self.pretrained = self.path / "embedding.npy", self.path / "embedding_pretrained.npy"
        self.checkpoints = Checkpoints(self.path / "checkpoints")

    def __str__(self) -> str:
        return str(self.path)

    @property
    def is_table(self) -> bool:
        """Whether it is the folder of a table."""
        return self.plan.is_file()

    def create(self, force: bool = False) -> None:
        """Make the folder.

        Raises:
          FileExistsError: there is something already, unless it is a run or table that `force` may replace.
        """
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            if not self._is_known():
                raise FileExistsError(f"--out {self} exists and is not a run folder; choose another")
            if not force:
                raise FileExistsError(f"--out {self} holds a run; go on with it by --resume {self}, replace it by "
                                      "--force, or choose another")
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True, exist_ok=True)

    def _is_known(self) -> bool:
        """Return whether the folder is that of a run or table: whether its plan or config can be read."""
        try:
            if self.is_table:
                return bool(self.read_plan())
            return {"method", "data", "model"} <= read_json(self.config).keys() and bool(self.read_config())
        except (OSError, ValueError, AttributeError):
            return False

    def read_config(self) -> config.Run:
        """Return the run that was asked for.

        Raises:
          FileNotFoundError, UserError: there is no config, or it is not that of a run.
        """
        return read_config(self.config)

    def read_environment(self) -> dict[str, Any]:
        """Return the versions, the machine and the data that the run was made with; errors as of `read_json`."""
        return read_json(self.environment)

    def read_metrics(self) -> dict[str, Any]:
        """Return the content of metrics.json; errors as of `read_json`."""
        found = read_json(self.metrics)
        if not isinstance(found, dict) or not {"method", "n_clusters", "seeds", "seconds", "internal"} <= found.keys():
            raise UserError(f"{self.metrics} is damaged: it lacks what a run's metrics hold")
        return found

    def read_labels(self, **options: Any) -> pd.DataFrame:
        """Return labels.csv, read with these options of `pandas.read_csv`."""
        return pd.read_csv(self.labels, **options)

    def finished(self) -> dict[str, Any] | None:
        """Return the metrics of a run that came to its end, else None."""
        found = self.read_metrics() if self.metrics.is_file() else None
        return None if found is None or found["interrupted"] else found

    def results(self) -> dict[str, dict[str, Any]]:
        """Return the metrics of a run, or of every cell of a table that has some, by name.

        Raises:
          FileNotFoundError: there are none yet.
        """
        if self.is_table:
            done = {name: cell.read_metrics() for name, cell in self.cells().items() if cell.metrics.is_file()}
        elif self.config.is_file() and not self.metrics.is_file():
            done = {}
        else:
            metrics = self.read_metrics()
            done = {metrics["method"]: metrics}
        if not done:
            raise FileNotFoundError(f"{self} has no finished run yet; go on with: dec train --resume {self}")
        return done

    def read_plan(self) -> dict[str, config.Run]:
        """Return the named runs of a table; a UserError when the plan is damaged."""
        plan = read_json(self.plan)
        if not isinstance(plan, dict) or not isinstance(plan.get("cells"), dict):
            raise UserError(f"{self.plan} is damaged: it has no cells")
        return {name: config.from_dict(config.Run, run) for name, run in plan["cells"].items()}

    def write_plan(self, cells: dict[str, config.Run], cached: bool) -> None:
        """Write the named runs of a table, and whether they reuse pretrained networks of the user's cache."""
        write_json(self.plan, {"cells": {name: config.to_dict(run) for name, run in cells.items()}, "cached": cached})

    def cells(self) -> dict[str, RunFolder]:
        """Return the folder of each run of a table by its name; of a single run, its own by its method's name."""
        return {name: self.cell(name) for name in self.read_plan()} if self.is_table else {
            self.read_config().method: self}

    def cell(self, name: str) -> RunFolder:
        """Return the folder of a run of a table."""
        return RunFolder(self.path / slug(name))


def read_config(path: Path) -> config.Run:
    """Return the run in a config.json; errors as of `read_json`, and a UserError when it is not that of a run."""
    found = read_json(path)
    try:
        return config.from_dict(config.Run, found)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def slug(name: str) -> str:
    """Return a name as one for a file or folder."""
    return re.sub(r"[^\w.=+-]+", "_", name)
