"""The report of a run: what was done, how well, what the clusters are, what to be careful about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dec.folders import CONFIG, LABELS, PLAN, read_results
from dec.report import figures
from dec.report.cards import cards, in_clusters, overview, shown
from dec.report.clusters import matched
from dec.report.comparison import comparison_report
from dec.report.maps import codes_map
from dec.report.material import Material, gather, index_columns
from dec.report.methods import own
from dec.report.page import Block, Page, Section, table, text
from dec.report.reconstruction import reconstruction
from dec.report.statistics import summary
from dec.report.style import cluster_name
from dec.report.table import percent, scores

FORMATS = ("png", "svg", "pdf")
UNSTABLE = 0.6  # mean ARI between seeds below which a report warns
DOMINANT = 0.5  # part of the rows in one cluster, likewise, where it is also three times the even share
SCORES = ("acc", "nmi", "ari", "ami", "purity", "agreement")  # shown in per cent
ODD = 20  # rows in the table of outliers


def write_report(
    folder: Path, formats: Sequence[str] = FORMATS, maps: Sequence[str] = (), colour: Sequence[str] = (),
    elbow: int | None = None,
) -> Path:
    """Write report.html and figures/ into the folder of a run or of a table, and say where the page is.

    Args:
      formats: of the files in figures/, of `FORMATS`.
      maps: of a run, ways to show its codes: in the plane by pca, tsne (both are the default) or umap; in space by
        interactive (a page; needs plotly) or gif (it turns).
      colour: of a run, columns of its data or of labels.csv to colour further maps by and to show in each cluster; or
        folders of other runs on the same rows, whose clusters colour a map.
      elbow: of a run, the largest k of the elbow of its codes.

    Raises:
      FileNotFoundError, ValueError: nothing is finished, a damaged file, an unknown column, or options for single runs
        and a table.
    """
    if (folder / PLAN).is_file():
        if maps or colour or elbow:
            raise ValueError("--map, --colour and --elbow are for single runs, but "
                             f"{folder} is a table; name one of its runs")
        return comparison_report(folder, formats)
    if elbow is not None and elbow < 3:
        raise ValueError(f"--elbow {elbow} must be at least 3: a knee needs numbers of clusters on both sides")
    read_results(folder)  # says how to go on where nothing is finished
    run, page = gather(folder), Page(folder, formats)
    columns = {name: run.column(name) for name in colour if not (Path(name) / LABELS).is_file()}  # told at once
    sections = [Section("Scores", seeds(run))]
    if len(run.labels):
        sections += [Section("Clusters", overview(run, page) + in_clusters(run, page, columns)
                             + cards(run, page)),
                     Section("Map of the codes", codes_map(run, page, maps or ("pca", "tsne"), colour))]
    sections += [Section("Of this method", own(run, page, elbow)), Section("Training", training(run, page))]
    if run.metrics["confusion"]:
        sections.append(Section("Clusters and classes", classes(run, page)))
    if len(run.labels):
        if run.model.fit_.nets is not None and run.prepared:
            sections.append(Section("Reconstruction", reconstruction(run, page)))
        sections.append(Section("Outliers", outliers(run)))
    return page.write(title=run.title, sentence=sentence(run), warnings=cautions(run), facts=facts(run),
                      command=run.environment["command"], sections=[part for part in sections if part.blocks])


def sentence(run: Material) -> str:
    """The result in one sentence."""
    metrics = run.metrics
    ok = sum(row["status"] == "ok" for row in metrics["seeds"])
    if not ok:
        return f"{run.title}: there is no clustering, because no seed ended well."
    occupied = next(row["occupied"] for row in metrics["seeds"] if row["seed"] == metrics["kept_seed"])
    many = f"{run.k}" if occupied == run.k else f"{occupied} of {run.k} possible"
    begin = f"{Path(metrics['method']).stem} put {metrics['n']:,} rows of {metrics['data']} into {many} clusters"
    many = f"over {ok} seeds" if ok > 1 else "for one seed"
    if scores(metrics, "acc"):
        found = [f"{name.upper()} {percent(scores(metrics, name))} %" for name in ("acc", "nmi", "ari")]
        begin += f"; against the known classes, {many}: {', '.join(found)}"
    else:
        silhouette = (metrics["internal"].get("codes") or metrics["internal"].get("input", {})).get("silhouette")
        begin += "" if silhouette is None else f" with a silhouette of {silhouette:.2f}"
    agreement = summary(scores(metrics, "agreement")).mean
    return begin + ("." if ok < 2 else f"; its seeds agree with an ARI of {agreement:.2f} on average.")


def cautions(run: Material) -> list[str]:
    """What whoever uses this clustering should know first."""
    metrics, found = run.metrics, []
    seeds, k = metrics["seeds"], run.k
    failed = [row for row in seeds if row["status"] != "ok"]
    if failed:
        found.append(f"{len(failed)} of {len(seeds)} seeds failed, and are in no mean: "
                     + "; ".join(f"seed {row['seed']} ({row['reason']})" for row in failed) + ".")
    found += [f"Seed {row['seed']}: {row['reason']}." for row in seeds
              if row["status"] == "ok" and (row["occupied"] < k or row["noise"] or "stalled" in row["reason"])]
    agreement = scores(metrics, "agreement")
    if agreement and np.mean(agreement) < UNSTABLE:
        found.append(f"The assignments are unstable: from seed to seed they agree with an ARI of only "
                     f"{np.mean(agreement):.2f} on average. Take single clusters with care.")
    if len(seeds) == 1 and not failed:
        found.append("There is one seed only: nothing is known of how stable the clusters are; --seeds 5 would tell.")
    if len(run.labels):
        counts = np.bincount(run.labels["cluster"][run.labels["cluster"] >= 0], minlength=k)
        part = counts.max() / len(run.labels)
        if part > max(DOMINANT, min(3 / k, 0.99)):
            found.append(f"Cluster {counts.argmax()} holds {part:.0%} of all rows.")
    if run.metrics["interrupted"]:
        found.append("The run was interrupted; go on with: dec train --resume.")
    if run.gone:
        found.append(f"The data could not be read again ({run.gone}), so members, reconstructions and what sets the "
                     "clusters apart are not shown.")
    elif len(run.rows) < len(run.labels):
        found.append(f"What is said of rows beyond counts and scores is from a uniform sample of {len(run.rows):,} of "
                     f"{len(run.labels):,}.")
    return found


def facts(run: Material) -> list[tuple[str, str]]:
    """The header."""
    environment, metrics = run.environment, run.metrics
    shape = " x ".join(f"{side:,}" for side in environment["data"]["shape"])
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in metrics["seconds"].items())
    return [
        ("data", f"{metrics['source']}; as numbers {shape} {environment['data']['dtype']}"),
        ("digest", environment["data"]["digest"]),
        ("method", metrics["method"] + "".join(f", {name} {value}" for name, value in run.run.options.items())),
        ("clusters", f"{run.k}" + (f"; {choice['reason']}" if (choice := metrics.get("choice")) else "")),
        ("seeds", ", ".join(str(row["seed"]) for row in metrics["seeds"]) + "; kept is the one that agrees best with "
                  "the others, without labels"),
        ("time", seconds + (" (a pretrained network was reused)" if metrics["reused"] else "")),
        ("versions", ", ".join(f"{name} {value}" for name, value in
                               {"python": environment["python"], **environment["versions"]}.items())),
        ("machine", f"{environment['machine']}, {environment['device']}"),
        ("date", environment["date"]),
        ("settings", f"all in {CONFIG} beside this file; the command that made it:"),
    ]


def seeds(run: Material) -> list[Block]:
    """Scores of each seed, their mean, standard deviation and interval."""
    rows = run.metrics["seeds"]
    names = [name for name in SCORES if any(row.get(name) is not None for row in rows)]
    others = [name for name in ("loss", "steps", "occupied", "smallest", "largest", "noise") if
              any(row.get(name) for row in rows)]

    def cell(row: dict, name: str) -> str | None:
        return None if row.get(name) is None else f"{100 * row[name]:.1f}"

    lines = [[f"{row['seed']}{' (kept)' if row['seed'] == run.metrics['kept_seed'] else ''}", row["status"],
              *(cell(row, name) for name in names), *(row.get(name) for name in others), row["reason"]] for row in rows]
    found = [summary(scores(run.metrics, name)) for name in names]
    if len(rows) > 1 and names:
        ok, blank = f"{sum(row['status'] == 'ok' for row in rows)} ok", [""] * (len(others) + 1)
        lines += [["mean", ok, *(_percent(s.mean) for s in found), *blank],
                  ["sd", "", *("" if name == "agreement" else _percent(s.sd) for name, s in zip(names, found)), *blank],
                  ["95 % interval", "", *("" if name == "agreement" else f"{_percent(s.low)} to {_percent(s.high)}"
                                          for name, s in zip(names, found)), *blank]]
    blocks = [table(["seed", "status", *names, *others, "what ended it"], lines,
                    "Scores in per cent; the interval is that of the mean, by Student's t, from three seeds on. "
                    "Agreement is the mean ARI with the other seeds, so its values are not independent.")]
    inner = {space: values for space, values in run.metrics["internal"].items() if values}
    if inner:
        kinds = ("silhouette", "davies_bouldin", "calinski_harabasz")
        blocks.append(table(["space", *(kind.replace("_", "-") for kind in kinds), "rows"], [
            [space, *(values[kind] for kind in kinds), f"{values['sample']:,}"] for space, values in inner.items()],
            "The kept clustering by itself, among the codes and in the scaled input."))
    return blocks


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def training(run: Material, page: Page) -> list[Block]:
    """Curves of losses and of what each refresh saw."""
    if not len(run.history):
        return [text("Nothing was trained: the method ends with its start.")]
    history = run.history.dropna(subset="loss")  # of a seed that diverged, what came before
    if not len(history):
        return [text("No loss was finite.")]
    seeds, kept = run.history["seed"].nunique(), run.metrics["kept_seed"]
    thick = f"; thick: the kept seed {kept}" if seeds > 1 and kept is not None else ""
    blocks = [page.figure("losses", figures.losses(history, kept), f"Losses{thick}.")]
    if (run.history["phase"] == "cluster").any():
        blocks.append(page.figure("refinement", figures.refinement(run.history, kept),
                                  f"What was seen at each refresh{thick}."))
    return blocks


def classes(run: Material, page: Page) -> list[Block]:
    """The confusion after matching, the recall of each class and the most confused pairs."""
    confusion = run.metrics["confusion"]
    counts, match = np.array(confusion["counts"]), matched(confusion)
    of_class = {label: cluster for cluster, label in match.items()}
    blocks = [page.figure("confusion", figures.confusion(counts, confusion["classes"], confusion["clusters"]),
                          "Rows of each class in each cluster; clusters in the order of the classes matched to them.")]
    totals = counts.sum(axis=1)  # of the rows that are in a cluster
    if run.prepared:
        y = run.prepared.dataset.y
        totals = np.array([(y == run.prepared.dataset.classes.index(name)).sum() for name in confusion["classes"]])
    rows, pairs = [], []
    for i, name in enumerate(confusion["classes"]):
        cluster = of_class.get(name)
        hit = 0 if cluster is None else counts[i, confusion["clusters"].index(cluster)]
        rows.append([name, "none" if cluster is None else cluster_name(cluster), f"{totals[i]:,}",
                     f"{100 * hit / totals[i]:.1f}"])
        pairs += [(counts[i, j], name, other, counts[i, j] / totals[i]) for j, other in enumerate(confusion["clusters"])
                  if other != cluster and counts[i, j]]
    blocks.append(table(["class", "cluster", "rows", "recall"], rows, "Recall in per cent, of the matched cluster."))
    pairs = sorted(pairs, key=lambda pair: -pair[0])[:5]
    if pairs:
        blocks.append(table(["class", "is found in cluster", "of class", "rows", "part of the class"], [
            [name, cluster_name(other), match.get(other, "none"), f"{count:,}", f"{100 * part:.1f} %"]
            for count, name, other, part in pairs], "The pairs that are most confused."))
    for _, name, other, _ in pairs[:3] if run.y is not None else ():
        label = run.prepared.dataset.classes.index(name)
        at = np.flatnonzero((run.y == label) & (run.clusters == other))[:10]
        blocks += shown(run, at, f"Class {name} in cluster {cluster_name(other)}")
    return blocks


def outliers(run: Material) -> list[Block]:
    """The rows with the highest anomaly score, of all there are."""
    columns = index_columns(run.labels)
    top = run.labels.nlargest(ODD, "anomaly")
    rows = [[*row[columns], cluster_name(row["cluster"]), f"{row['confidence']:.3f}", f"{row['anomaly']:.2f}"]
            for _, row in top.iterrows()]
    blocks = [table([*columns, "cluster", "confidence", "anomaly"], rows,
                    "The score is about 1 for a usual row: the mean of its distance to the nearest cluster and of its "
                    "reconstruction loss, each relative to what is usual.")]
    at = np.flatnonzero(np.isin(run.rows, top.index[:10]))
    at = at[np.argsort(-run.labels["anomaly"].to_numpy()[run.rows[at]], kind="stable")]
    which = "The first ten of them" if len(run.rows) == len(run.labels) else "Those of the first ten in the sample"
    return blocks + shown(run, at, which)
