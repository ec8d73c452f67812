"""Results as one table: a row per method or setting, mean ± standard deviation over the seeds that did not fail.

And what of it is by chance: intervals, paired tests over seeds, and their correction.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dec.io import markdown

EXTERNAL = ("acc", "nmi", "ari", "ami")
SECONDS = ("compile", "pretrain", "cluster")
SIGNED_RANK = 6  # with fewer pairs, Wilcoxon's test cannot give p < 0.05


def mean_sd(values: list[float]) -> tuple[float | None, float | None]:
    """Return the mean and sample standard deviation; None where there are too few values."""
    return (statistics.fmean(values) if values else None, statistics.stdev(values) if len(values) > 1 else None)


def interval(values: list[float]) -> tuple[float | None, float | None]:
    """Return the ends of the 95 % interval of the mean, by Student's t; None below three values."""
    from scipy import stats

    mean, sd = mean_sd(values)
    if len(values) < 3:
        return None, None
    half = float(stats.t.ppf(0.975, len(values) - 1)) * sd / len(values) ** 0.5
    return mean - half, mean + half


def by_seed(metrics: dict[str, Any], name: str) -> dict[int, float]:
    """Return {seed: score} of the seeds that did not fail."""
    return {row["seed"]: row[name] for row in metrics["seeds"] if row["status"] == "ok" and row.get(name) is not None}


def scores(metrics: dict[str, Any], name: str) -> list[float]:
    """Return a score of every seed that did not fail."""
    return list(by_seed(metrics, name).values())


def percent(values: list[float]) -> str:
    """Return the mean ± sd of fractions, in per cent."""
    mean, sd = mean_sd(values)
    if mean is None:
        return "–"
    return f"{100 * mean:.1f}" if sd is None else f"{100 * mean:.1f} ± {100 * sd:.1f}"


def improvement(metrics: dict[str, Any], baseline: dict[str, Any] | None, score: str) -> str:
    """Return (new - old) / old of the mean score, in per cent of a baseline's."""
    new = mean_sd(scores(metrics, score))[0]
    old = mean_sd(scores(baseline, score))[0] if baseline else None
    return "–" if new is None or not old or metrics is baseline else f"{100 * (new - old) / abs(old):+.1f} %"


def lines(
    cells: dict[str, dict[str, Any]], baselines: Sequence[str] = ("kmeans",), improved: Sequence[str] = ("ari",)
) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the table of named cells' metrics.

    Args:
      baselines: methods over which each cell's improvement is told, where they are among the cells with the same rows
        and as many clusters.
      improved: the scores of which it is told.
    """
    labelled = any(scores(metrics, "acc") for metrics in cells.values())
    shown = EXTERNAL if labelled else ("agreement",)

    def same(metrics: dict[str, Any], method: str) -> tuple:
        return method, metrics["data"], metrics["n"], metrics["n_clusters"]

    of = {same(metrics, metrics["method"]): metrics for metrics in reversed(cells.values())}
    over = [(base, score) for base in baselines for score in improved
            if labelled and len(cells) > 1 and any(method == base for method, *_ in of)]
    header = ["method", "seeds", *(name.upper() if labelled else name for name in shown),
              *(f"{score.upper()} over {base.replace('kmeans', 'k-means')}" for base, score in over),
              *([] if labelled else ["silhouette (input)"]), *(f"{part} s" for part in SECONDS)]
    rows = []
    for name, metrics in cells.items():
        ok = sum(row["status"] == "ok" for row in metrics["seeds"])
        row = [name, f"{ok}/{len(metrics['seeds'])} ok", *(percent(scores(metrics, score)) for score in shown),
               *(improvement(metrics, of.get(same(metrics, base)), score) for base, score in over)]
        if not labelled:
            silhouette = metrics["internal"].get("input", {}).get("silhouette")
            row.append("–" if silhouette is None else f"{silhouette:.3f}")
        reused = metrics.get("reused", 0) and metrics["seconds"]["pretrain"]
        row += [f"{metrics['seconds'][part]:.1f}" + ("*" if part == "pretrain" and reused else "") for part in SECONDS]
        rows.append(row)
    return header, rows


def notes(cells: dict[str, dict[str, Any]]) -> list[str]:
    """Return remarks on some of the cells beside their numbers."""
    reused = any(metrics.get("reused") for metrics in cells.values())
    return [
        *(["* a pretrained network was reused; the seconds are those of its training"] if reused else []),
        *(f"{name} was trained on augmented rows: " + ", ".join(f"{what} {value:g}" for what, value in used.items())
          for name, metrics in cells.items() if (used := metrics.get("augmentation"))),
        *(f"{name}: {' to '.join(map(str, sorted({min(noise), max(noise)})))} of {metrics['n']} rows are noise: wrong "
          "for ACC, one more cluster for NMI, ARI, AMI"
          for name, metrics in cells.items() if any(noise := scores(metrics, "noise"))),
        *(f"{name}: the clusters are those of a uniform sample of {looked[0]} of the {metrics['n']} rows"
          for name, metrics in cells.items() if (looked := scores(metrics, "looked_at")) and looked[0] < metrics["n"]),
        *(f"{name}, the number of clusters: {choice['reason']}"
          for name, metrics in cells.items() if (choice := metrics.get("choice")))]


def results(cells: dict[str, dict[str, Any]]) -> str:
    """Return the Markdown table of named cells' metrics, and the notes under it."""
    return "\n\n".join([markdown(*lines(cells)), *notes(cells)])


def failures(cells: dict[str, dict[str, Any]]) -> list[str]:
    """Return a line per seed that failed or whose clusters are not all occupied."""
    return [
        f"{name}, seed {row['seed']}: {row['status']}, {row['reason']}"
        for name, metrics in cells.items()
        for row in metrics["seeds"]
        if row["status"] != "ok" or row["occupied"] < metrics["n_clusters"]
    ]


class Paired(NamedTuple):
    """One method against another on the same seeds."""

    n: int  # seeds that did not fail for either
    difference: float  # the mean of first - second
    sd: float
    test: str
    p: float  # NaN where nothing can be tested


def paired(first: dict[int, float], second: dict[int, float]) -> Paired:
    """Compare scores by seed: Wilcoxon's signed-rank test from six pairs on, the paired t-test below.

    Args:
      first, second: {seed: score}; seeds that only one of them has are left out.

    References: Demšar 2006, Statistical Comparisons of Classifiers over Multiple Data Sets, section 3.1.
    """
    from scipy import stats

    differences = np.array([first[seed] - second[seed] for seed in first if seed in second])
    n = len(differences)
    mean, sd = float(differences.mean()) if n else np.nan, float(differences.std(ddof=1)) if n > 1 else np.nan
    if n < 2 or np.allclose(differences, differences[0]):  # equal differences have no spread to judge their mean by
        return Paired(n, mean, sd, "none", np.nan)
    if n < SIGNED_RANK:
        return Paired(n, mean, sd, "paired t", float(stats.ttest_1samp(differences, 0).pvalue))
    return Paired(n, mean, sd, "Wilcoxon", float(stats.wilcoxon(differences).pvalue))


def holm(p: np.ndarray) -> np.ndarray:
    """Return p values [t] corrected for t tests; NaN is no test and stays.

        p'_(i) = max over j <= i of min(1, (t - j + 1) p_(j))

    References: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    corrected = np.array(p, float)
    order = np.argsort(corrected, kind="stable")[:np.count_nonzero(~np.isnan(corrected))]  # NaN comes last
    corrected[order] = np.maximum.accumulate(np.minimum(1, (len(order) - np.arange(len(order))) * corrected[order]))
    return corrected
