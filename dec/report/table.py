"""Results as one table: a row per method or setting, mean ± standard deviation over the seeds that did not fail."""

from __future__ import annotations

import math
from typing import Any

EXTERNAL = ("acc", "nmi", "ari", "ami")
SECONDS = ("compile", "pretrain", "cluster")


def mean_sd(values: list[float]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation; None where there are too few values."""
    if not values:
        return None, None
    mean = sum(values) / len(values)
    if len(values) == 1:
        return mean, None
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))


def scores(metrics: dict[str, Any], name: str) -> list[float]:
    """A score of every seed that did not fail."""
    return [row[name] for row in metrics["seeds"] if row["status"] == "ok" and row.get(name) is not None]


def percent(values: list[float]) -> str:
    """Mean ± sd of fractions, in per cent."""
    mean, sd = mean_sd(values)
    if mean is None:
        return "–"
    return f"{100 * mean:.1f}" if sd is None else f"{100 * mean:.1f} ± {100 * sd:.1f}"


def improvement(metrics: dict[str, Any], baseline: dict[str, Any] | None, score: str) -> str:
    """(new - old) / old of the mean score, in per cent of k-means on the input."""
    new = mean_sd(scores(metrics, score))[0]
    old = mean_sd(scores(baseline, score))[0] if baseline else None
    return "–" if new is None or not old or metrics is baseline else f"{100 * (new - old) / abs(old):+.1f} %"


def results(cells: dict[str, dict[str, Any]]) -> str:
    """The Markdown table of named cells' metrics."""
    labelled = any(scores(metrics, "acc") for metrics in cells.values())
    shown = EXTERNAL if labelled else ("agreement",)

    def same(metrics: dict[str, Any]) -> tuple:
        return metrics["data"], metrics["n"], metrics["n_clusters"]

    baselines = {same(m): m for m in reversed(cells.values()) if m["method"] == "kmeans"}
    header = ["method", "seeds", *(name.upper() if labelled else name for name in shown)]
    compared = labelled and bool(baselines) and len(cells) > 1
    header += ["ARI over k-means"] if compared else [] if labelled else ["silhouette (input)"]
    header += [f"{part} s" for part in SECONDS]
    rows = []
    for name, metrics in cells.items():
        ok = sum(row["status"] == "ok" for row in metrics["seeds"])
        row = [name, f"{ok}/{len(metrics['seeds'])} ok", *(percent(scores(metrics, score)) for score in shown)]
        if compared:
            row.append(improvement(metrics, baselines.get(same(metrics)), "ari"))
        if not labelled:
            silhouette = metrics["internal"].get("input", {}).get("silhouette")
            row.append("–" if silhouette is None else f"{silhouette:.3f}")
        reused = metrics.get("reused", 0) and metrics["seconds"]["pretrain"]
        row += [f"{metrics['seconds'][part]:.1f}" + ("*" if part == "pretrain" and reused else "") for part in SECONDS]
        rows.append(row)
    table = markdown(header, rows)
    notes = ["* a pretrained network was reused; the seconds are those of its training"]
    notes = notes if any(metrics.get("reused") for metrics in cells.values()) else []
    notes += [f"{name} was trained on augmented rows: " + ", ".join(f"{what} {value:g}" for what, value in used.items())
              for name, metrics in cells.items() if (used := metrics.get("augmentation"))]
    notes += [f"{name}, the number of clusters: {choice['reason']}"
              for name, metrics in cells.items() if (choice := metrics.get("choice"))]
    return "\n\n".join([table, *notes])


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table whose columns line up as plain text too."""
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]

    def line(cells: list[str]) -> str:
        padded = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths))]
        return "| " + " | ".join(padded) + " |"

    rule = [":" + "-" * (w - 1) if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join([line(header), line(rule), *map(line, rows)])


def failures(cells: dict[str, dict[str, Any]]) -> list[str]:
    """A line per seed that failed or whose clusters are not all occupied."""
    return [
        f"{name}, seed {row['seed']}: {row['status']}, {row['reason']}"
        for name, metrics in cells.items()
        for row in metrics["seeds"]
        if row["status"] != "ok" or row["occupied"] < metrics["n_clusters"]
    ]
