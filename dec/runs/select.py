"""Choosing among methods, settings and seeds without labels, from the files of their runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.sparse import issparse

from dec.data.dataset import sample_rows
from dec.data.scaling import fit_scaling
from dec.errors import UserError
from dec.io import markdown, write_json
from dec.runs.folder import RunFolder
from dec.runs.prepare import prepare
from dec.selection.ace import INDICES, ace, measure
from dec.selection.agreement import agreement

ROWS = 2000  # of more, a uniform sample is scored


def select(folder: RunFolder) -> tuple[dict[str, Any], str]:
    """Return the cell and seed of a table to go on with, and a text to show; both also as selection.json in the folder.

    A single run is a table of one cell.

    Every partition (a cell's seed that did not fail) is scored by `ace` for three internal indices in the same spaces:
    the scaled input of the first cell, and the kept codes of every cell, equal ones once. Noise counts as one more
    cluster. A cell's score is the mean rank of its partitions over the three; the highest is picked, and of its seeds
    the kept one, on whose partition the others agree most. Agreement does not rank the cells: a method that hardly
    depends on its seed agrees with itself however wrong it is. Labels are looked at after the pick, for the gap in ACC
    to the best partition of the table.

    Raises:
      FileNotFoundError, ValueError: no finished run, cells with different rows, or data that have changed.
    """
    cells = {name: found for name, found in folder.results().items() if found["kept_seed"] is not None}
    good = {name: [row["seed"] for row in found["seeds"] if row["status"] == "ok"] for name, found in cells.items()}
    folders = {name: folder.cell(name) if folder.is_table else folder for name in cells if good[name]}
    files = {name: inner.read_labels() for name, inner in folders.items()}
    if len({len(file) for file in files.values()}) != 1:
        raise UserError(f"{folder} has no seed that ended well, or cells with different rows; nothing to compare")
    labels = {name: file[[f"seed_{seed}" for seed in good[name]]].to_numpy().T for name, file in files.items()}
    n = len(next(iter(files.values())))
    rows = sample_rows(n, min(n, ROWS))
    spaces = shared_spaces(folders, rows)
    scores = np.stack([measure(x, np.concatenate(list(labels.values()))[:, rows]) for x in spaces.values()], axis=1)
    found = [ace(index) for index in scores]
    ranks = pd.DataFrame([score for score, _ in found]).rank(axis=1).mean().to_numpy()

    table, first = [], 0
    for name, partitions in labels.items():
        last = first + len(partitions)
        several = len(partitions) > 1
        table.append({
            "cell": name,
            "seed": cells[name]["kept_seed"],
            "score": ranks[first:last].mean(),
            "ari": agreement(partitions).mean() if several else None,
            "nmi": agreement(partitions, "nmi").mean() if several else None,
        })
        first = last
    table.sort(key=lambda row: -row["score"])
    result = {"pick": {"cell": table[0]["cell"], "seed": table[0]["seed"]}, "cells": table, "partitions": len(ranks),
              "rows": len(rows), "spaces": {index: dict(zip(spaces, weights.round(3).tolist()))
                                            for index, (_, weights) in zip(INDICES, found)}}
    accuracy = {(name, row["seed"]): row["acc"] for name in labels for row in cells[name]["seeds"]
                if row["seed"] in good[name] and "acc" in row}
    if accuracy:
        best = max(accuracy, key=accuracy.get)
        for row in table:
            row["acc"] = accuracy[row["cell"], row["seed"]]
        result["oracle"] = {"cell": best[0], "seed": best[1], "acc": accuracy[best],
                            "gap": accuracy[best] - table[0]["acc"]}
    write_json(folder.path / "selection.json", result)
    return result, text(result)


def shared_spaces(folders: dict[str, RunFolder], rows: Int[np.ndarray, " m"]) -> dict[str, Float[np.ndarray, "m d"]]:
    """Return these rows of the scaled input and of every cell's codes, without repetitions."""
    first = next(iter(folders.values()))
    run, dataset, _, _, x, *_ = prepare(first.read_config())
    if first.read_environment()["data"]["digest"] != dataset.digest:
        raise UserError(f"{run.data} is not the data that {first} was made with; restore it")
    part = x[rows]
    spaces = {"input": fit_scaling(x, run.model.scaling).apply(part.toarray() if issparse(part) else part)}
    for name, folder in folders.items():
        if folder.embedding.is_file():
            codes = np.load(folder.embedding, mmap_mode="r")[rows]
            if not any(codes.shape == other.shape and np.allclose(codes, other) for other in spaces.values()):
                spaces[name] = codes
    return spaces


def text(result: dict[str, Any]) -> str:
    """Return the table of the cells, best first, and the pick."""
    names = {"cell": "method", "ari": "ARI between seeds", "nmi": "NMI between seeds", "acc": "ACC"}
    rows = [["–" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
             for value in row.values()] for row in result["cells"]]
    pick = result["pick"]
    lines = [markdown([names.get(column, column) for column in result["cells"][0]], rows), "",
             f"Picked without labels: {pick['cell']}, seed {pick['seed']}",
             f"(score: the mean rank among {result['partitions']} partitions, on {result['rows']} rows)"]
    if best := result.get("oracle"):
        lines.append(f"By labels the best is {best['cell']}, seed {best['seed']}, with ACC {100 * best['acc']:.1f}; "
                     f"the pick is {100 * best['gap']:.1f} points below it")
    return "\n".join(lines)
