"""What only some methods have: a map of units, rows that a model makes up, a tree of merges, a choice of k."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from scipy.cluster import hierarchy
from sklearn.metrics import pairwise_distances, pairwise_distances_argmin

from dec.data.views import Cells, Curves, Images
from dec.methods.base import Tree, UnitMap
from dec.report import pictures
from dec.report.clusters import top
from dec.report.material import RunData, sampled
from dec.report.page import Block, Page, row_cells, table
from dec.report.style import SEQUENTIAL, VALIDATION, cluster_name, colour, grid_of, log_scale, short, styled
from dec.selection.choose_k import ROWS, knee, vote
from dec.shallow.som import map_distances

LEAVES = 30  # groups of rows from which a tree is drawn
PLANES = 6  # columns whose means are drawn on a map of units


def own(run: RunData, page: Page, ks: int | None = None) -> list[Block]:
    """Return the figures of this method and of a choice of k; with `ks`, the elbow of the codes for k = 1 .. ks."""
    blocks, choice = [], run.metrics.get("choice")
    if choice and choice["table"]:
        found = pd.DataFrame(choice["table"], dtype=float)
        blocks.append(page.figure("choice", criteria(found, vote(found)),
                                  f"The number of clusters: {choice['reason']}. Bars are standard errors."))
    if not len(run.labels) or not run.codes.shape[1]:
        return blocks
    if ks:
        found, k = elbow(run.codes[sampled(np.arange(len(run.rows)), ROWS)], ks)
        blocks.append(page.figure("elbow", criteria(found, {"elbow": k}), "The inertia of k-means on the codes, and "
                                  "where its logarithm is farthest below the chord."))
    state = run.model.fit_
    for artifact in state.method.artifacts(state.head, run.codes) if state.method.artifacts else ():
        blocks += units(run, page, artifact) if isinstance(artifact, UnitMap) else [merged(run, page, artifact)]
    if state.method.sample:
        blocks += generated(run, page)
    return blocks


# Maps of units.

def units(run: RunData, page: Page, found: UnitMap) -> list[Block]:
    """Return figures of a self-organising map: prototypes, distances, rows, clusters, means of columns."""
    shape, prototypes, clusters = (found.height, found.width), found.prototypes, found.clusters
    at = pairwise_distances_argmin(run.codes, prototypes)
    hits = np.bincount(at, minlength=len(prototypes))
    about = "the sample's rows" if len(run.rows) < len(run.labels) else "rows"
    maps = {"distance to neighbours": u_matrix(prototypes, shape), "rows": hits}
    blocks = [page.figure("units", unit_maps(shape, maps, clusters),
                          "The units of the map on their grid: the mean distance to the prototypes of the neighbouring "
                          f"units, the number of {about} that are nearest to each, and the cluster it is put in.")]
    if isinstance(run.view, Images | Curves):
        made = run.view.decode(run.model.inverse_transform(prototypes))
        figure = prototype_map(made if isinstance(run.view, Images) else made[..., 0], shape, clusters)
        blocks.append(page.figure("prototypes", figure, "The prototype of each unit, in the frame of its cluster" + (
            ", the first channel." if isinstance(run.view, Curves) else ".")))
    elif run.measured is not None:
        chosen = np.argsort(-np.abs(run.effects.size).max(axis=0), kind="stable")[:PLANES]
        means = pd.DataFrame(run.measured.values[:, chosen]).groupby(at).mean().reindex(range(len(prototypes)))
        planes = dict(zip((run.measured.names[f] for f in chosen), means.to_numpy().T))
        blocks.append(page.figure("planes", unit_maps(shape, planes), "Means of the rows of each unit, of what tells "
                                  "the clusters apart most; white: no rows."))
    return blocks


def u_matrix(prototypes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the U-matrix [u]: each unit's mean distance to the prototypes of its neighbours on the map."""
    beside = map_distances(*shape) == 1
    return (beside * pairwise_distances(prototypes)).sum(axis=1) / np.maximum(beside.sum(axis=1), 1)


@styled
def unit_maps(shape: tuple[int, int], maps: dict[str, np.ndarray], clusters: np.ndarray | None = None) -> Figure:
    """Draw values, and clusters, of the units [u] on the grid; whole numbers are written where there is room."""
    panels = [*maps.items(), *([] if clusters is None else [("cluster", clusters)])]
    figure, axes = grid_of(len(panels), width=0.34 * shape[1] + 1.4, height=0.34 * shape[0] + 0.6)
    for ax, (name, values) in zip(axes, panels):
        if values is clusters:
            ax.imshow(np.reshape([to_rgb(colour(c)) for c in clusters], (*shape, 3)))
        else:
            figure.colorbar(ax.imshow(values.reshape(shape), cmap=SEQUENTIAL), ax=ax, shrink=0.8)
        for (row, column), value in np.ndenumerate(values.reshape(shape)):
            if values.dtype.kind == "i" and len(values) <= 400:
                ax.annotate(f"{value:,}", (column, row), ha="center", va="center", fontsize=6, bbox={
                    "facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.75})
        ax.set(title=short(name), xticks=[], yticks=[])
    return figure


@styled
def prototype_map(prototypes: np.ndarray, shape: tuple[int, int], clusters: np.ndarray) -> Figure:
    """Draw prototypes on the grid, each in the frame of its cluster: uint8 images [u, h, w(, 3)], or curves [u, t]."""
    figure = Figure(figsize=(0.6 * shape[1], 0.6 * shape[0]))
    edges = {"left": 0.01, "right": 0.99, "bottom": 0.01, "top": 0.99, "wspace": 0.1, "hspace": 0.1}
    axes = figure.subplots(*shape, squeeze=False, sharey=True, gridspec_kw=edges)
    for ax, prototype, cluster in zip(axes.ravel(), prototypes, clusters):
        if prototypes.ndim == 2:
            ax.plot(prototype, color=colour(cluster))
        else:
            ax.imshow(prototype, cmap="gray", vmin=0, vmax=255)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, edgecolor=colour(cluster), linewidth=2)
    return figure


# Rows that are made up.

def generated(run: RunData, page: Page) -> list[Block]:
    """Return rows that the model draws from each cluster, the largest ones first where they are many."""
    there = sorted(run.largest[:40])
    if isinstance(run.view, Images):
        rows = [run.view.decode(run.model.sample(10, cluster)) for cluster in there]
        return [page.figure("made_up", pictures.image_grid(rows, there, None, "made up"),
                            "Rows that the model makes up; one row a cluster.")]
    if isinstance(run.view, Curves):
        curves = [run.view.decode(run.model.sample(50, cluster))[..., 0] for cluster in there]
        panels = [pictures.Curves(f"cluster {c}", c, rows, rows[:3]) for c, rows in zip(there, curves)]
        return [page.figure("made_up", pictures.mean_curves(panels, "channel 0", share=True), "Rows that the model "
                            "makes up: mean, one standard deviation around it, and three of them.")]
    if not isinstance(run.view, Cells) or run.measured is None:
        return []
    chosen = top(np.abs(run.effects.size).max(axis=0), run.measured.columns, 8, 0)
    lines, names = [], [run.measured.columns[f] for f in chosen]
    for cluster in there:
        frame = run.prepared.features.inverse_transform(run.model.sample(3, cluster))[names]
        lines += [[cluster_name(cluster), *row_cells(row)]
                  for row in frame.itertuples(index=False)]
    return [table(["cluster", *names], lines, "Rows that the model makes up, three of each cluster.")]


# Trees.

def merged(run: RunData, page: Page, tree: Tree) -> Block:
    """Return the last merges of a tree."""
    m = len(tree.rows)
    again = "" if m == len(run.labels) else f", done again on a uniform sample of {m:,} rows"
    return page.figure("tree", dendrogram(tree.merges, run.clusters[tree.rows], np.ones(m, int)),
                       f"The last merges, from {LEAVES} groups on ({tree.about}{again}): how far apart the two "
                       "were; below, the rows of each group. In colour: all of one cluster, whose number is given.")


@styled
def dendrogram(merges: np.ndarray, clusters: np.ndarray, rows: np.ndarray) -> Figure:
    """Draw the last merges, in the colour of the cluster that all leaves below are of, else grey.

    Args:
      merges: [m - 1, 4] as of `scipy.cluster.hierarchy.linkage`.
      clusters, rows: int [m] of the leaves.
    """
    m = len(clusters)
    pure, count = np.pad(np.array([clusters, rows]), ((0, 0), (0, m - 1)))  # of each node; pure is -1 for several
    for i, (a, b) in enumerate(merges[:, :2].astype(int), m):
        pure[i], count[i] = pure[a] if pure[a] == pure[b] else -1, count[a] + count[b]

    def name(node: int) -> str:
        return f"{count[node]:,}" + ("" if pure[node] < 0 else f"  [{pure[node]}]")

    figure, (ax,) = grid_of(1, width=8, height=3.6)
    hierarchy.dendrogram(merges, LEAVES, "lastp", ax=ax, leaf_label_func=name, leaf_rotation=90, leaf_font_size=8,
                         link_color_func=lambda node: colour(pure[node]))
    ax.set(ylabel="distance", xlabel="rows [cluster]")
    return figure


# The choice of k.

@styled
def criteria(found: pd.DataFrame, votes: dict[str, int | None]) -> Figure:
    """Draw criteria over k, with what each recommends; the knee of the elbow with its chord."""
    k = found["k"].to_numpy(int)
    figure, axes = grid_of(len(votes), width=3.4, height=2.5)
    for ax, name in zip(axes, votes):
        column = "inertia" if name == "elbow" else name
        values = found[column].to_numpy(float)
        if name == "elbow":
            ax.plot(k[[0, -1]], values[[0, -1]], color="#999999", linewidth=0.8, linestyle="--")
            log_scale(ax.yaxis)
        error = found[f"{column}_error"].to_numpy(float) if f"{column}_error" in found else None
        ax.errorbar(k, values, yerr=error, marker="o", markersize=3, linewidth=1, capsize=2)
        if votes[name]:
            ax.axvline(votes[name], color=VALIDATION, linewidth=1)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set(title=f"{name}: {votes[name] or 'still better at the end'}", xlabel="clusters", ylabel=column)
    return figure


def elbow(codes: np.ndarray, most: int) -> tuple[pd.DataFrame, int]:
    """Return the inertia of k-means for k = 1 .. most on codes [m, c], and the knee of its logarithm."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    ks = np.arange(1, min(most, len(codes) - 1) + 1)
    with threadpool_limits(1):
        inertia = [KMeans(k, n_init=5, random_state=0).fit(codes).inertia_ for k in ks]
    return pd.DataFrame({"k": ks, "inertia": inertia}), int(ks[knee(ks, np.log(np.maximum(inertia, 1e-12)))])
