"""The report of a table of runs: one table of scores, paired differences over seeds, failures, time against quality."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dec.io import write
from dec.report import figures
from dec.report.page import Block, Page, digits, table
from dec.runs.folder import RunFolder
from dec.runs.results import (
    EXTERNAL,
    SECONDS,
    by_seed,
    failures,
    holm,
    lines,
    mean_sd,
    notes,
    paired,
    percent,
    results,
    scores,
)

LABEL = {"ari": "ARI", "agreement": "agreement between seeds (ARI)"}


def comparison_report(folder: Path, formats: Sequence[str]) -> Path:
    """Write report.html, figures/ and table.md, .csv and .tex into the folder of a table; returns the page's path."""
    run = RunFolder(folder)
    cells, planned = run.results(), list(run.read_plan())
    environment = run.cell(next(iter(cells))).read_environment()
    page, one = Page(folder, formats), next(iter(cells.values()))
    score = "ari" if any(scores(metrics, "ari") for metrics in cells.values()) else "agreement"
    frame = scores_frame(cells, score)
    write(folder / "table.md", (results(cells) + "\n").encode())
    frame.to_csv(folder / "table.csv", index=False)
    (folder / "table.tex").write_text(latex(frame))
    shown = {name: scores(metrics, score) for name, metrics in cells.items()}
    seconds = {name: sum(metrics["seconds"][part] for part in SECONDS[1:]) for name, metrics in cells.items()}
    told = ("Mean ± standard deviation over the seeds that did not fail, in per cent; improvements, where there "
            "are some, are (new - old) / old of the means.")
    sections = {
        "Scores": [
            table(*lines(cells, ("kmeans", "ae+kmeans"), ("ami", "ari")), told),
            *(Block("text", text=f"{note}.") for note in notes(cells)),
            Block("text", text="The same as files: table.md, table.csv, table.tex.")],
        "Over seeds": [
            page.figure("scores", figures.boxes(shown, LABEL[score]), "Each point is a seed."),
            page.figure("time", figures.time_and_quality(seconds, shown, LABEL[score]),
                        "Mean and standard deviation over seeds; seconds without compilation.")],
        "Paired differences": differences(cells) if score == "ari" else [],
        "The runs": [Block("links", rows=[
            (name, f"{path.name}/report.html") if (path / "report.html").is_file() else (f"dec report {path}", "")
            for name, path in ((name, run.cell(name).path) for name in cells)])],
    }
    what = "methods" if len({metrics["method"] for metrics in cells.values()}) == len(cells) else "runs"
    absent = [name for name in planned if name not in cells]
    warnings = [f"{line}." for line in failures(cells)]
    if absent:
        warnings.append(f"Not finished, and in no figure: {', '.join(absent)}; go on with dec train --resume {folder}.")
    return page.write(
        title=f"{len(cells)} {what} on {one['data']}", sentence=sentence(cells, score), warnings=warnings,
        facts=[("data", one["source"]), ("digest", environment["data"]["digest"]),
               ("clusters", ", ".join(dict.fromkeys(str(metrics["n_clusters"]) for metrics in cells.values()))),
               ("seeds", ", ".join(str(row["seed"]) for row in one["seeds"])), *made_with(environment)],
        command=environment["command"], sections=sections)


def made_with(environment: dict[str, Any]) -> list[tuple[str, str]]:
    """Return versions, machine and date, for the header of a page."""
    versions = {"python": environment["python"], **environment["versions"]}
    return [("versions", ", ".join(f"{name} {value}" for name, value in versions.items())),
            ("machine", f"{environment['machine']}, {environment['device']}"), ("date", environment["date"])]


def sentence(cells: dict[str, dict], score: str) -> str:
    """Return the result in one sentence; no more is said than the seeds allow."""
    found = {name: scores(metrics, score) for name, metrics in cells.items() if scores(metrics, score)}
    if not found:
        return "No seed of any method gave a score."
    means = {name: round(1000 * mean_sd(values)[0]) for name, values in found.items()}  # as they are written
    best = [name for name in found if means[name] == max(means.values())]
    stable = "" if score == "ari" else " That tells how stable it is, not how good."
    others = [f"{name} {means[name] / 10:.1f}" for name in found if name not in best]
    many = len(found[best[0]])
    return (f"{', '.join(best)} {'have' if best[1:] else 'has'} the highest mean {LABEL[score]}, "
            f"{percent(found[best[0]])} % over {many} seed{'s' * (many > 1)}"
            + (f"; the others: {', '.join(others)}." if others else ".") + stable)


def scores_frame(cells: dict[str, dict], score: str) -> pd.DataFrame:
    """Return a row for each cell: mean, standard deviation of each score, seeds, failures and seconds, as numbers."""
    rows = []
    for name, metrics in cells.items():
        failed = sum(row["status"] != "ok" for row in metrics["seeds"])
        row: dict[str, Any] = {"method": name, "seeds": len(metrics["seeds"]), "failed": failed}
        for kind in EXTERNAL if score == "ari" else (score,):
            row[kind], row[f"{kind}_sd"] = mean_sd(scores(metrics, kind))
        rows.append(row | {f"{part}_s": metrics["seconds"][part] for part in SECONDS})
    return pd.DataFrame(rows)


def latex(frame: pd.DataFrame) -> str:
    """Return the scores as a LaTeX table (booktabs), mean ± standard deviation in per cent, the best mean bold."""
    out = frame[["method"]].rename(columns={"method": "Method"})
    for kind in (name for name in frame if f"{name}_sd" in frame):
        cells = [digits(mean, 100, "--") + ("" if pd.isna(sd) else rf" $\pm$ {100 * sd:.1f}")
                 for mean, sd in zip(frame[kind], frame[f"{kind}_sd"])]
        out[kind.upper() if len(kind) == 3 else kind] = [
            rf"\textbf{{{cell}}}" if mean == frame[kind].max() else cell for cell, mean in zip(cells, frame[kind])]
    out["Seeds"] = [f"{n - failed}/{n}" for n, failed in zip(frame["seeds"], frame["failed"])]
    styler = out.style.hide().format(escape="latex", subset=["Method"])
    return styler.to_latex(hrules=True, column_format="l" + "r" * (out.shape[1] - 1))


def differences(cells: dict[str, dict]) -> list[Block]:
    """Return every pair of methods on the seeds that both have, tested, with p values corrected over all pairs."""
    pairs = list(itertools.combinations(cells, 2))
    found = [paired(by_seed(cells[a], "ari"), by_seed(cells[b], "ari")) for a, b in pairs]
    corrected = holm(np.array([result.p for result in found]))
    rows = []
    for i in np.argsort(-np.abs([np.nan_to_num(result.difference) for result in found]), kind="stable"):
        (a, b), result = pairs[i], found[i]
        sign = -1 if result.difference < 0 else 1
        rows.append([f"{a} − {b}" if sign > 0 else f"{b} − {a}", str(result.n), digits(sign * result.difference, 100),
                     digits(result.sd, 100), result.test, float(f"{result.p:.3g}"), float(f"{corrected[i]:.3g}")])
    about = ("Differences of ARI in percentage points on the same seeds. Wilcoxon's signed-rank test from six seeds "
             "on, the paired t-test below; Holm's correction over all pairs. A few seeds seldom suffice for p < 0.05.")
    return [table(["difference", "n", "mean", "sd", "test", "p", "p (Holm)"], rows, about)] if rows else []
