"""The report of a run: what was done, how well, what the clusters are, what to be careful about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dec.errors import UserError
from dec.metrics import external, matching
from dec.report import figures
from dec.report.cards import cards, in_clusters, overview, rows_shown
from dec.report.comparison import comparison_report, made_with
from dec.report.maps import codes_map
from dec.report.material import RunData, index_columns, read_run, sampled
from dec.report.methods import own
from dec.report.page import Block, Page, digits, table
from dec.report.reconstruction import reconstruction
from dec.report.style import cluster_name
from dec.runs.folder import RunFolder
from dec.runs.results import EXTERNAL, interval, mean_sd, percent, scores

UNSTABLE = 0.6  # mean ARI between seeds below which a report warns
DOMINANT = 0.5  # part of the rows in one cluster, likewise, where it is also three times the even share
SCORES = ("acc", "nmi", "ari", "ami", "purity", "agreement")  # shown in per cent
ODD = 20  # rows in the table of outliers
COMPARED = 5000  # rows on which baselines are computed, at most


def write_report(
    folder: Path, formats: Sequence[str] = (), maps: Sequence[str] = (), colour: Sequence[str] = (),
    elbow: int | None = None,
) -> Path:
    """Write report.html and figures/ into the folder of a run or of a table, and say where the page is.

    Args:
      formats: of the files in figures/, of png, svg and pdf.
      maps: of a run, ways to show its codes: in the plane by pca, tsne (both are the default) or umap; in space by
        interactive (a page; needs plotly) or gif (it turns).
      colour: of a run, columns of its data or of labels.csv to colour further maps by and to show in each cluster; or
        folders of other runs on the same rows, whose clusters colour a map.
      elbow: of a run, the largest k of the elbow of its codes.

    Raises:
      FileNotFoundError, ValueError: nothing is finished, a damaged file, an unknown column, or options for single runs
        and a table.
    """
    if RunFolder(folder).is_table:
        if maps or colour or elbow:
            raise UserError("--map, --colour and --elbow are for single runs, but "
                            f"{folder} is a table; name one of its runs")
        return comparison_report(folder, formats)
    if elbow is not None and elbow < 3:
        raise UserError(f"--elbow {elbow} must be at least 3: a knee needs numbers of clusters on both sides")
    RunFolder(folder).results()  # says how to go on where nothing is finished
    run, page = read_run(folder), Page(folder, formats)
    columns = {name: run.column(name) for name in colour if not RunFolder(name).labels.is_file()}  # told at once
    sections = {"Scores": seeds(run) + baselines(run)}
    if len(run.labels):
        sections["Clusters"] = overview(run, page) + in_clusters(run, page, columns) + cards(run, page)
        sections["Map of the codes"] = codes_map(run, page, maps or ("pca", "tsne"), colour)
    sections |= {"Of this method": own(run, page, elbow), "Training": training(run, page)}
    if run.confusion is not None:
        sections["Clusters and classes"] = classes(run, page)
    if len(run.labels):
        if run.model.fit_.nets is not None and run.prepared:
            sections["Reconstruction"] = reconstruction(run, page)
        sections["Outliers"] = outliers(run)
    return page.write(title=run.title, sentence=sentence(run), warnings=cautions(run), facts=facts(run),
                      command=run.environment["command"], sections=sections)


def sentence(run: RunData) -> str:
    """Return the result in one sentence."""
    metrics = run.metrics
    ok = ended_well(run)
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
        silhouette = metrics["internal"].get("input", {}).get("silhouette")  # among its codes a method inflates it
        begin += "" if silhouette is None else f" with a silhouette of {silhouette:.2f} in the input"
    agreement = mean_sd(scores(metrics, "agreement"))[0]
    return begin + ("." if ok < 2 else f"; its seeds agree with an ARI of {agreement:.2f} on average.")


def cautions(run: RunData) -> list[str]:
    """Return warnings that a user of this clustering should read first."""
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
        found.append(f"The run was interrupted; go on with: dec train --resume {run.folder}.")
    if run.gone:
        found.append(f"The data could not be read again ({run.gone}), so members, reconstructions and what sets the "
                     "clusters apart are not shown.")
    elif len(run.rows) < len(run.labels):
        found.append(f"What is said of rows beyond counts and scores is from a uniform sample of {len(run.rows):,} of "
                     f"{len(run.labels):,}.")
    return found


def facts(run: RunData) -> list[tuple[str, str]]:
    """Return the header."""
    environment, metrics = run.environment, run.metrics
    shape = " x ".join(f"{side:,}" for side in environment["data"]["shape"])
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in metrics["seconds"].items())
    kept = f"; kept is {metrics['kept_seed']}, which agrees best with the others" if len(metrics["seeds"]) > 1 else ""
    return [
        ("data", f"{metrics['source']}; as numbers {shape} {environment['data']['dtype']}"),
        ("digest", environment["data"]["digest"]),
        ("method", metrics["method"] + "".join(f", {name} {value}" for name, value in run.run.options.items())),
        ("clusters", f"{run.k}" + (f"; {choice['reason']}" if (choice := metrics.get("choice")) else "")),
        ("seeds", ", ".join(str(row["seed"]) for row in metrics["seeds"]) + (kept if ended_well(run) else "")),
        ("time", seconds + (" (a pretrained network was reused)" if metrics["reused"] else "")),
        *made_with(environment),
        ("settings", "all in config.json beside this file; the command that made it:"),
    ]


def ended_well(run: RunData) -> int:
    """Return the number of seeds that did not fail."""
    return sum(row["status"] == "ok" for row in run.metrics["seeds"])


def seeds(run: RunData) -> list[Block]:
    """Return scores of each seed, their mean, standard deviation and interval; the kept clustering by itself."""
    rows, kept = run.metrics["seeds"], run.metrics["kept_seed"]
    names = [name for name in SCORES if any(row.get(name) is not None for row in rows)]
    others = [name for name in ("loss", "steps", "occupied", "smallest", "largest", "noise") if
              any(row.get(name) for row in rows)]
    lines = [[f"{row['seed']}{' (kept)' if row['seed'] == kept and row['status'] == 'ok' else ''}", row["status"],
              *(digits(row.get(name), 100) for name in names), *(row.get(name) for name in others), row["reason"]]
             for row in rows]
    if len(rows) > 1 and names:
        lines += [["mean", f"{ended_well(run)} ok"], ["sd", ""], ["95 % interval", ""]]
        for name in names:
            values = scores(run.metrics, name)
            (mean, sd), (low, high) = mean_sd(values), interval(values)
            sd, low = (None, None) if name == "agreement" else (sd, low)
            ends = "–" if low is None else f"{100 * low:.1f} to {100 * high:.1f}"
            for line, cell in zip(lines[-3:], (digits(mean, 100), digits(sd, 100), ends)):
                line.append(cell)
        for line in lines[-3:]:
            line += [""] * (len(others) + 1)
    blocks = [table(["seed", "status", *names, *others, "what ended it"], lines,
                    "Scores in per cent; the interval is that of the mean, by Student's t, from three seeds on. "
                    "Agreement is the mean ARI with the other seeds, so its values are not independent.")]
    inner = {space: values for space, values in run.metrics["internal"].items() if values and values["sample"]}
    if inner:
        kinds = ("silhouette", "davies_bouldin", "calinski_harabasz")
        blocks.append(table(["space", *(kind.replace("_", "-") for kind in kinds), "rows"], [
            [space, *(values[kind] for kind in kinds), f"{values['sample']:,}"] for space, values in inner.items()],
            "The kept clustering by itself, among the codes and in the scaled input."))
    return blocks


def baselines(run: RunData) -> list[Block]:
    """Return the kept clustering against k-means on the same rows: their input, and their codes before refinement."""
    if run.y is None or run.first is None:
        return []
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    at = sampled(run.first[0], COMPARED)
    spaces = {"k-means on the scaled input": run.model.fit_.scaling.apply(run.x(at)),
              "k-means on the codes before refinement": sampled(run.first[1], COMPARED)}
    with threadpool_limits(1):
        found = {name: external(run.y[at], KMeans(run.k, n_init=5, random_state=0).fit_predict(x))
                 for name, x in spaces.items()}
    own = external(run.y[at], run.clusters[at])
    rows = [[name, *(digits(values[score], 100) for score in EXTERNAL),
             *(f"{100 * (own[score] - values[score]) / abs(values[score]):+.1f} %" if values[score] else "–"
               for score in ("ami", "ari"))] for name, values in found.items()]
    rows.append([f"the run, seed {run.metrics['kept_seed']}", *(digits(own[name], 100) for name in EXTERNAL), "", ""])
    return [table(["clustering", *map(str.upper, EXTERNAL), "AMI of the run over it", "ARI of the run over it"], rows,
                  f"Beside baselines that share the data and the pretrained network, on the same {len(at):,} rows, in "
                  "per cent; the improvement is (new - old) / old. By one seed only; dec compare does it for several.")]


def training(run: RunData, page: Page) -> list[Block]:
    """Return curves of losses and of what each refresh saw."""
    if not len(run.history):
        return [Block("text", text="Nothing was trained: the method ends with its start.")]
    history = run.history.dropna(subset="loss")  # of a seed that diverged, what came before
    if not len(history):
        return [Block("text", text="No loss was finite.")]
    seeds, kept = run.history["seed"].nunique(), run.metrics["kept_seed"]
    thick = f"; thick: the kept seed {kept}" if seeds > 1 and kept is not None else ""
    blocks = [page.figure("losses", figures.losses(history, kept), f"Losses{thick}.")]
    if (run.history["phase"] == "cluster").any():
        blocks.append(page.figure("refinement", figures.refinement(run.history, kept),
                                  f"What was seen at each refresh{thick}."))
    return blocks


def classes(run: RunData, page: Page) -> list[Block]:
    """Return the confusion after matching, the recall of each class and the most confused pairs."""
    counts, match = run.confusion, matching(run.confusion)
    of_class, totals = {label: cluster for cluster, label in match.items()}, counts.sum(axis=1)  # without noise
    if run.prepared:
        names = np.array(run.prepared.dataset.classes, object)
        totals = pd.Series(names[run.prepared.dataset.y]).value_counts()
    found = {name: (of_class[name], counts.at[name, of_class[name]]) if name in of_class else (None, 0)
             for name in counts.index}
    blocks = [
        page.figure("confusion", figures.confusion(counts.to_numpy(), counts.index, counts.columns),
                    "Rows of each class in each cluster; clusters in the order of the classes matched to them."),
        table(["class", "cluster", "rows", "recall"], [
            [name, "none" if cluster is None else cluster_name(cluster), f"{totals[name]:,}",
             digits(hit / totals[name], 100)] for name, (cluster, hit) in found.items()],
            "Recall in per cent, of the matched cluster.")]
    pairs = counts.stack().sort_values(ascending=False, kind="stable")
    pairs = [(*pair, count) for pair, count in pairs.items() if count and of_class.get(pair[0]) != pair[1]][:5]
    if pairs:
        blocks.append(table(["class", "is found in cluster", "of class", "rows", "part of the class"], [
            [name, cluster_name(other), match.get(other, "none"), f"{count:,}", f"{100 * count / totals[name]:.1f} %"]
            for name, other, count in pairs], "The pairs that are most confused."))
    for name, other, _ in pairs[:3] if run.y is not None else ():
        label = run.prepared.dataset.classes.index(name)
        at = np.flatnonzero((run.y == label) & (run.clusters == other))[:10]
        blocks += rows_shown(run, at, f"Class {name} in cluster {cluster_name(other)}")
    return blocks


def outliers(run: RunData) -> list[Block]:
    """Return the rows with the highest anomaly score, of all there are."""
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
    return blocks + rows_shown(run, at, which)
