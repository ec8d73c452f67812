"""Two clusterings counted together: clusters of items against clusters of their reviews, say."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dec.errors import UserError
from dec.io import markdown
from dec.runs.folder import RunFolder


def crosstab(a: Path, b: Path, on: str) -> tuple[pd.DataFrame, str]:
    """Pairs of rows with the same value of `on`, counted by their clusters.

    A value that several rows of a run share (an item with many reviews) joins with each of them.

    Args:
      a, b: run folders, or CSV files with a column `cluster`.
      on: the column that both have.

    Returns:
      the counts, clusters of `a` x clusters of `b` with their sums, and a text to show: the table, how many rows of
      each found no partner, and Cramér's V, which is 0 for independent clusterings and 1 where one decides the other.

    Raises:
      FileNotFoundError, ValueError: no labels, no such column, or no value in common.
    """
    from scipy.stats.contingency import association

    if on == "cluster":
        raise UserError("--on cluster: that is what is counted; name a column that says which rows belong together")
    runs = [(run.read_config().data, run.read_environment()["data"]["digest"]) for run in map(RunFolder, (a, b))
            if run.environment.is_file()]
    if on == "row" and len(runs) == 2 and all(left != right for left, right in zip(*runs)):
        raise UserError(f"--on row joins rows by their place in the file, but {a} is a run on {runs[0][0]} and {b} on "
                        f"{runs[1][0]}; name a column that both have by --on (an --id or --keep), or give their "
                        "labels.csv if the rows go together in this order")
    left, right = (_labels(path, on) for path in (a, b))
    pairs = left.merge(right, on=on, suffixes=("_a", "_b"))
    if pairs.empty:
        raise UserError(f"--on {on}: {a} and {b} have no value of it in common; the first of each are "
                        f"{left[on].iloc[0]!r} and {right[on].iloc[0]!r}")
    whole = pd.crosstab(pairs["cluster_a"], pairs["cluster_b"], margins=True, margins_name="all")
    counts = whole.to_numpy()[:-1, :-1]
    value = association(counts, method="cramer") if min(counts.shape) > 1 else float("nan")
    header = [f"{a.name} \\ {b.name}", *map(str, whole.columns)]
    lines = [markdown(header, [[str(name), *map(str, row)] for name, row in zip(whole.index, whole.to_numpy())]), ""]
    for path, table, other in ((a, left, right), (b, right, left)):
        alone = int((~table[on].isin(other[on])).sum())
        lines.append(f"{len(table) - alone} of {len(table)} rows of {path} found a partner by {on}")
    lines.append(f"Cramér's V {value:.3f}")
    return whole, "\n".join(lines)


def _labels(path: Path, on: str) -> pd.DataFrame:
    file = path / "labels.csv" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"{path} has no labels.csv; give a finished run's folder or a CSV")
    table = pd.read_csv(file, dtype={on: str}, keep_default_na=False)  # ids such as 0012 or NA stay as they are
    for column in (on, "cluster"):
        if column not in table:
            raise UserError(f"{file} has no column {column!r}; it has {', '.join(table.columns)}")
    return table[[on, "cluster"]]
