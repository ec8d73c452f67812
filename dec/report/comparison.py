"""The report of a table of runs: one table of scores, paired differences over seeds, failures, time against quality."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dec.folders import ENVIRONMENT, read_json, read_plan, read_results, slug
from dec.report import figures
from dec.report.page import Block, Page, Section, table, text
from dec.report.statistics import holm, paired, summary
from dec.report.table import EXTERNAL, SECONDS, failures, improvement, results
from dec.training.checkpoint import write

LABEL = {"ari": "ARI", "agreement": "agreement between seeds (ARI)"}


def comparison_report(folder: Path, formats: Sequence[str]) -> Path:
    """Write report.html, figures/ and table.md, .csv and .tex into the folder of a table; returns the page's path.

    Raises:
      FileNotFoundError, ValueError: nothing is finished, or a file is damaged.
    """
    cells, planned = read_results(folder), list(read_plan(folder))
    inner = {name: folder / slug(name) for name in cells}
    environment = read_json(next(iter(inner.values())) / ENVIRONMENT)
    page, one = Page(folder, formats), next(iter(cells.values()))
    score = "ari" if any(by_seed(metrics, "ari") for metrics in cells.values()) else "agreement"
    frame = scores_frame(cells, score)
    write(folder / "table.md", (results(cells) + "\n").encode())
    frame.to_csv(folder / "table.csv", index=False)
    (folder / "table.tex").write_text(latex(frame))
    shown = {name: list(by_seed(metrics, score).values()) for name, metrics in cells.items()}
    seconds = {name: sum(metrics["seconds"][part] for part in SECONDS[1:]) for name, metrics in cells.items()}
    sections = [
        Section("Scores", [_table(cells, frame, score), text("The same as files: table.md, table.csv, table.tex.")]),
        Section("Over seeds", [
            page.figure("scores", figures.boxes(shown, LABEL[score]), "Each point is a seed."),
            page.figure("time", figures.time_and_quality(seconds, shown, LABEL[score]),
                        "Mean and standard deviation over seeds; seconds without compilation.")]),
        Section("Paired differences", differences(cells) if score == "ari" else []),
        Section("The runs", [Block("links", rows=[
            (name, f"{path.name}/report.html") if (path / "report.html").is_file() else (f"dec report {path}", "")
            for name, path in inner.items()])]),
    ]
    absent = [name for name in planned if name not in cells]
    warnings = [f"{line}." for line in failures(cells)]
    if absent:
        warnings.append(f"Not finished, and in no figure: {', '.join(absent)}; go on with dec train --resume {folder}.")
    versions = {"python": environment["python"], **environment["versions"]}
    return page.write(
        title=f"{len(cells)} methods on {one['data']}", sentence=sentence(cells, score), warnings=warnings,
        facts=[("data", one["source"]), ("digest", environment["data"]["digest"]),
               ("clusters", ", ".join(dict.fromkeys(str(metrics["n_clusters"]) for metrics in cells.values()))),
               ("seeds", ", ".join(str(row["seed"]) for row in one["seeds"])),
               ("versions", ", ".join(f"{name} {value}" for name, value in versions.items())),
               ("machine", f"{environment['machine']}, {environment['device']}"), ("date", environment["date"])],
        command=environment["command"], sections=[section for section in sections if section.blocks])


def by_seed(metrics: dict[str, Any], score: str) -> dict[int, float]:
    """{seed: score} of the seeds that did not fail."""
    return {row["seed"]: row[score] for row in metrics["seeds"] if row["status"] == "ok" and row.get(score) is not None}


def sentence(cells: dict[str, dict], score: str) -> str:
    """The result in one sentence; no more is said than the seeds allow."""
    means = {name: summary(list(by_seed(metrics, score).values())) for name, metrics in cells.items()}
    means = {name: found for name, found in means.items() if found.n}
    if not means:
        return "No seed of any method gave a score."
    best = max(means, key=lambda name: means[name].mean)
    spread = "" if math.isnan(means[best].sd) else f" ± {100 * means[best].sd:.1f}"
    stable = "" if score == "ari" else " That tells how stable it is, not how good."
    others = [f"{name} {100 * found.mean:.1f}" for name, found in means.items() if name != best]
    return (f"{best} has the highest mean {LABEL[score]}, {100 * means[best].mean:.1f}{spread} % over {means[best].n} "
            f"seed{'s' * (means[best].n > 1)}" + (f"; the others: {', '.join(others)}." if others else ".") + stable)


def scores_frame(cells: dict[str, dict], score: str) -> pd.DataFrame:
    """A row for each cell: mean, standard deviation of each score, seeds, failures and seconds, as numbers."""
    rows = []
    for name, metrics in cells.items():
        ok = sum(row["status"] == "ok" for row in metrics["seeds"])
        row: dict[str, Any] = {"method": name, "seeds": len(metrics["seeds"]), "failed": len(metrics["seeds"]) - ok}
        for kind in EXTERNAL if score == "ari" else (score,):
            found = summary(list(by_seed(metrics, kind).values()))
            row |= {kind: found.mean, f"{kind}_sd": found.sd}
        rows.append(row | {f"{part}_s": metrics["seconds"][part] for part in SECONDS})
    return pd.DataFrame(rows)


def latex(frame: pd.DataFrame) -> str:
    """The scores as a LaTeX table (package booktabs), mean ± standard deviation in per cent, the best mean bold."""
    kinds = [name for name in frame if f"{name}_sd" in frame]
    out = pd.DataFrame({"Method": frame["method"].map(_escaped)})
    for kind in kinds:
        cells = [f"{100 * mean:.1f}" + ("" if math.isnan(sd) else rf" $\pm$ {100 * sd:.1f}") if mean == mean else "--"
                 for mean, sd in zip(frame[kind], frame[f"{kind}_sd"])]
        best = frame[kind].max()
        out[kind.upper() if len(kind) == 3 else kind] = [
            rf"\textbf{{{cell}}}" if mean == best else cell for cell, mean in zip(cells, frame[kind])]
    out["Seeds"] = [f"{n - failed}/{n}" for n, failed in zip(frame["seeds"], frame["failed"])]
    return out.to_latex(index=False, escape=False, column_format="l" + "r" * (out.shape[1] - 1))


def _escaped(name: str) -> str:
    marks = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(marks.get(c, "\\" + c if c in "&%$#_{}" else c) for c in name)


def _table(cells: dict[str, dict], frame: pd.DataFrame, score: str) -> Block:
    kinds = [name for name in frame if f"{name}_sd" in frame]
    baselines = {metrics["method"]: metrics for metrics in reversed(cells.values())}
    shown = [name for name in ("kmeans", "ae+kmeans") if name in baselines and score == "ari" and len(cells) > 1]
    rows = []
    for (name, metrics), row in zip(cells.items(), frame.itertuples()):
        means = [f"{100 * getattr(row, kind):.1f}" + ("" if math.isnan(sd := getattr(row, f"{kind}_sd")) else
                                                     f" ± {100 * sd:.1f}") for kind in kinds]
        means = ["–" if mean.startswith("nan") else mean for mean in means]
        over = [improvement(metrics, baselines[base], kind) for base in shown for kind in ("ami", "ari")]
        rows.append([name, f"{row.seeds - row.failed} of {row.seeds}", *means, *over,
                     *(f"{metrics['seconds'][part]:.1f}" for part in SECONDS[1:])])
    header = ["method", "seeds ok", *(kind.upper() if len(kind) == 3 else kind for kind in kinds),
              *(f"{kind} over {base}" for base in shown for kind in ("AMI", "ARI")),
              *(f"{part} s" for part in SECONDS[1:])]
    told = "Mean ± standard deviation over the seeds that did not fail, in per cent"
    told += "; improvements are (new - old) / old of the means" if shown else ""
    return table(header, rows, told + ". Methods with a network share the pretrained ones of their seeds."
                 if any(metrics.get("reused") for metrics in cells.values()) else told + ".")


def differences(cells: dict[str, dict]) -> list[Block]:
    """Every pair of methods on the seeds that both have, tested, with p values corrected over all pairs."""
    pairs = list(itertools.combinations(cells, 2))
    found = [paired(by_seed(cells[a], "ari"), by_seed(cells[b], "ari")) for a, b in pairs]
    corrected = holm(np.array([result.p for result in found]))
    order = np.argsort(-np.abs([np.nan_to_num(result.difference) for result in found]), kind="stable")
    rows = []
    for i in order:
        (a, b), result = pairs[i], found[i]
        sign = -1 if result.difference < 0 else 1
        p = [f"{value:.3g}" if value == value else "–" for value in (result.p, corrected[i])]
        mean, sd = (f"{100 * value:.1f}" if value == value else "–" for value in (sign * result.difference, result.sd))
        rows.append([f"{a} − {b}" if sign > 0 else f"{b} − {a}", str(result.n), mean, sd, result.test, *p])
    about = ("Differences of ARI in percentage points on the same seeds. Wilcoxon's signed-rank test from six seeds "
             "on, the paired t-test below; Holm's correction over all pairs. A few seeds seldom suffice for p < 0.05.")
    return [table(["difference", "n", "mean", "sd", "test", "p", "p (Holm)"], rows, about)] if rows else []
