"""The report of a run as Markdown, made from the files of its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dec.folders import CONFIG, ENVIRONMENT, PLAN, read_json, read_results, slug
from dec.report.table import markdown
from dec.runs import show
from dec.training.checkpoint import write


def write_report(folder: Path) -> Path:
    """Write report.md into a run folder or a table's folder, and say where.

    Raises:
      FileNotFoundError: when nothing in it is finished.
    """
    cells = read_results(folder)
    inner = {name: folder / slug(name) if (folder / PLAN).is_file() else folder for name in cells}
    first = read_json(next(iter(inner.values())) / ENVIRONMENT)
    one = next(iter(cells.values()))
    parts = [
        f"# {one['data']}: {one['n']} rows, {one['n_clusters']} clusters",
        f"{one['source']}. {first['device']}, jax {first['versions']['jax']}, {first['date']}.",
        f"    {first['command']}",
        "## Scores",
        "Mean ± standard deviation over the seeds that did not fail, in per cent.",
        show(cells),
        "## Seeds",
        *(_seeds(name, metrics) for name, metrics in cells.items()),
        *(["## Classes and clusters of the kept seeds"] if one.get("confusion") else []),
        *(_confusion(name, m["confusion"]) for name, m in cells.items() if m.get("confusion")),
        "## Settings",
        *(f"- {name}: `{path / CONFIG}`" for name, path in inner.items()),
    ]
    path = folder / "report.md"
    write(path, ("\n\n".join(parts) + "\n").encode())
    return path


def _confusion(name: str, confusion: dict[str, Any]) -> str:
    rows = [[label, *map(str, counts)] for label, counts in zip(confusion["classes"], confusion["counts"])]
    return f"**{name}**\n\n{markdown(['class', *map(str, confusion['clusters'])], rows)}"


def _seeds(name: str, metrics: dict[str, Any]) -> str:
    shown = ("seed", "status", "reason", "loss", "agreement", "acc", "nmi", "ari", "smallest", "largest")
    header = [column for column in shown if any(row.get(column) is not None for row in metrics["seeds"])]

    def cell(row: dict[str, Any], column: str) -> str:
        value = row.get(column)
        text = "–" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
        return f"{text} (kept)" if column == "seed" and value == metrics["kept_seed"] else text

    rows = [[cell(row, column) for column in header] for row in metrics["seeds"]]
    return f"**{name}**\n\n{markdown(header, rows)}"
