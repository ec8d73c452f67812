"""What only some methods have: a map of units, rows that a model makes up, a tree of merges, a choice of k."""

from __future__ import annotations

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dec.methods import factory
from dec.methods.base import labels_of
from dec.methods.som import Units
from dec.report import pictures
from dec.report.clusters import top
from dec.report.material import Material, sampled
from dec.report.page import Block, Page, table
from dec.report.style import SEQUENTIAL, VALIDATION, cluster_name, colour, grid_of, log_scale, short, styled
from dec.shallow.choose_k import ROWS, knee, vote
from dec.shallow.distances import squared_distances
from dec.shallow.som import map_distances

MERGED = 2000  # rows of a tree
LEAVES = 30  # groups of rows from which a tree is drawn
PLANES = 6  # columns whose means are drawn on a map of units
CRITERIA = {"elbow": "inertia", "silhouette": "silhouette", "gap": "gap", "bic": "bic", "stability": "stability"}


def own(run: Material, page: Page, ks: int | None = None) -> list[Block]:
    """The figures that this method, or a choice of k, asks for; with `ks`, the elbow of the codes for k = 1 .. ks."""
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
    method = run.model.fit_.method
    head = jax.tree.map(lambda leaf: leaf[0], run.model.fit_.heads)
    if isinstance(head.state, Units):
        blocks += units(run, page, np.asarray(head.params), np.asarray(labels_of(method.assign(head, head.params))))
    if method.sample:
        blocks += made_up(run, page)
    if "linkage" in inspect.signature(factory(run.run.method)).parameters:
        blocks.append(tree(run, page))
    return blocks


def _option(run: Material, name: str) -> object:
    """An option of the run's method, or its default."""
    return run.run.options.get(name, inspect.signature(factory(run.run.method)).parameters[name].default)


# Maps of units.

def units(run: Material, page: Page, prototypes: np.ndarray, clusters: np.ndarray) -> list[Block]:
    """The units of a self-organising map on their grid: prototypes, distances, rows, clusters, means of columns."""
    shape = int(_option(run, "height")), int(_option(run, "width"))
    at = np.asarray(squared_distances(jnp.asarray(run.codes), jnp.asarray(prototypes))).argmin(axis=1)
    hits = np.bincount(at, minlength=len(prototypes))
    about = "the sample's rows" if len(run.rows) < len(run.labels) else "rows"
    blocks = [page.figure("units", unit_maps(shape, apart(prototypes, shape), hits, clusters),
                          "The units of the map on their grid: the mean distance to the prototypes of the neighbouring "
                          f"units, the number of {about} that are nearest to each, and the cluster it is put in.")]
    if run.kind in ("image", "sequence"):
        made = run.model.inverse_transform(prototypes)
        if run.kind == "image":
            figure = image_map(run.images(made), shape, clusters)
        else:
            figure = curve_map(run.curves(made)[..., 0], shape, clusters)
        blocks.append(page.figure("prototypes", figure, "The prototype of each unit, in the frame of its cluster" + (
            ", the first channel." if run.kind == "sequence" else ".")))
    elif run.measured is not None:
        chosen = np.argsort(-np.abs(run.effects.size).max(axis=0), kind="stable")[:PLANES]
        planes = {run.measured.names[f]: means(run.measured.values[:, f], at, len(prototypes)) for f in chosen}
        blocks.append(page.figure("planes", plane_maps(shape, planes), "Means of the rows of each unit, of what tells "
                                  "the clusters apart most; white: no rows."))
    return blocks


def apart(prototypes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The U-matrix [u]: each unit's mean distance to the prototypes of its neighbours on the map."""
    beside = map_distances(*shape) == 1
    distances = np.sqrt(np.asarray(squared_distances(jnp.asarray(prototypes), jnp.asarray(prototypes))))
    return np.where(beside, distances, 0).sum(axis=1) / np.maximum(beside.sum(axis=1), 1)


def means(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """The mean of what is there of each group's values, NaN where there is nothing."""
    there = np.isfinite(values)
    total = np.bincount(groups[there], values[there], minlength=count)
    rows = np.bincount(groups[there], minlength=count)
    return np.where(rows > 0, total / np.maximum(rows, 1), np.nan)


@styled
def unit_maps(shape: tuple[int, int], distances: np.ndarray, hits: np.ndarray, clusters: np.ndarray) -> Figure:
    """Distances, rows and clusters of the units [u], each on the grid; numbers where there is room."""
    figure, axes = grid_of(3, width=0.34 * shape[1] + 1.4, height=0.34 * shape[0] + 0.6)
    for ax, title, values in zip(axes, ("distance to neighbours", "rows", "cluster"), (distances, hits, clusters)):
        _grid(ax, values, shape, title, clusters if title == "cluster" else None)
        if title != "distance to neighbours" and len(values) <= 400:
            for (row, column), value in np.ndenumerate(values.reshape(shape)):
                ax.annotate(f"{value:,}", (column, row), ha="center", va="center", fontsize=6, bbox={
                    "facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.75})
    return figure


@styled
def plane_maps(shape: tuple[int, int], planes: dict[str, np.ndarray]) -> Figure:
    """Values of the units [u] on the grid, a panel for each name."""
    figure, axes = grid_of(len(planes), width=0.3 * shape[1] + 1.4, height=0.3 * shape[0] + 0.6)
    for ax, (name, values) in zip(axes, planes.items()):
        _grid(ax, values, shape, short(name))
    return figure


def _grid(
    ax: Axes, values: np.ndarray, shape: tuple[int, int], title: str, clusters: np.ndarray | None = None
) -> None:
    if clusters is None:
        drawn = ax.imshow(values.reshape(shape), cmap=SEQUENTIAL)
        ax.figure.colorbar(drawn, ax=ax, shrink=0.8)
    else:
        found, codes = np.unique(clusters, return_inverse=True)
        ax.imshow(codes.reshape(shape), cmap=ListedColormap([colour(c) for c in found]))
    ax.set(title=title, xticks=[], yticks=[])


@styled
def image_map(images: np.ndarray, shape: tuple[int, int], clusters: np.ndarray) -> Figure:
    """Prototypes as uint8 images [u, h, w(, 3)] on the grid, each framed in the colour of its cluster."""
    figure, (ax,) = grid_of(1, width=0.55 * shape[1], height=0.55 * shape[0] * images.shape[1] / images.shape[2])
    ax.imshow(pictures.mosaic(images, shape[1]))
    h, w = images.shape[1] + pictures.GAP, images.shape[2] + pictures.GAP
    for unit, cluster in enumerate(clusters):
        row, column = divmod(unit, shape[1])
        ax.add_patch(_frame((column * w - 0.5, row * h - 0.5), w - 1, h - 1, cluster))
    ax.axis("off")
    return figure


@styled
def curve_map(curves: np.ndarray, shape: tuple[int, int], clusters: np.ndarray) -> Figure:
    """Prototypes as curves [u, t] on the grid, on one scale, each in the colour of its cluster."""
    figure, (ax,) = grid_of(1, width=0.8 * shape[1], height=0.6 * shape[0])
    low, high = np.nanmin(curves), np.nanmax(curves)
    across = 0.08 + 0.84 * np.arange(curves.shape[1]) / max(curves.shape[1] - 1, 1)
    for unit, (curve, cluster) in enumerate(zip(curves, clusters)):
        row, column = divmod(unit, shape[1])
        ax.add_patch(_frame((column + 0.03, row + 0.03), 0.94, 0.94, cluster))
        ax.plot(column + across, row + 0.92 - 0.84 * (curve - low) / max(high - low, 1e-12), color=colour(cluster))
    ax.set(xlim=(0, shape[1]), ylim=(shape[0], 0))
    ax.axis("off")
    return figure


def _frame(corner: tuple[float, float], width: float, height: float, cluster: int) -> Rectangle:
    return Rectangle(corner, width, height, fill=False, edgecolor=colour(cluster), linewidth=2)


# Rows that are made up.

def made_up(run: Material, page: Page) -> list[Block]:
    """Rows that the model draws from each cluster, the largest ones first where they are many."""
    there = sorted(run.largest[:40])
    if run.kind == "image":
        rows = [run.images(run.model.sample(10, cluster)) for cluster in there]
        return [page.figure("made_up", pictures.image_grid(rows, there, None, "made up"),
                            "Rows that the model makes up; one row a cluster.")]
    if run.kind == "sequence":
        curves = [run.curves(run.model.sample(50, cluster))[..., 0] for cluster in there]
        panels = [pictures.Curves(f"cluster {c}", c, rows, rows[:3]) for c, rows in zip(there, curves)]
        return [page.figure("made_up", pictures.mean_curves(panels, "channel 0", share=True), "Rows that the model "
                            "makes up: mean, one standard deviation around it, and three of them.")]
    if run.kind != "table" or run.measured is None:
        return []
    chosen = top(np.abs(run.effects.size).max(axis=0), run.measured.columns, 8, 0)
    lines, names = [], [run.measured.columns[f] for f in chosen]
    for cluster in there:
        frame = run.prepared.features.inverse_transform(run.model.sample(3, cluster))[names]
        lines += [[cluster_name(cluster), *(v if isinstance(v, float) else short(v, 60) for v in row)]
                  for row in frame.itertuples(index=False)]
    return [table(["cluster", *names], lines, "Rows that the model makes up, three of each cluster.")]


# The tree of merges.

def tree(run: Material, page: Page) -> Block:
    """The last merges of agglomerative clustering, done again on at most `MERGED` rows."""
    at = sampled(np.arange(len(run.rows)), MERGED)
    codes, linkage = run.codes[at].astype(np.float64), str(_option(run, "linkage"))
    if _option(run, "metric") == "cosine":
        codes = codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-12)
    again = "" if len(at) == len(run.labels) else f", done again on a uniform sample of {len(at):,} rows"
    return page.figure("tree", dendrogram(codes, linkage, run.clusters[at]),
                       f"The last merges, from {LEAVES} groups on ({linkage} linkage{again}): how far apart the two "
                       "were; below, the rows of each group. In colour: all of one cluster, whose number is given.")


@styled
def dendrogram(codes: np.ndarray, linkage: str, clusters: np.ndarray) -> Figure:
    """The last merges of rows [m, c], in the colour of the cluster [m] that all rows below are of, else grey."""
    from scipy.cluster import hierarchy

    merges = hierarchy.linkage(codes, linkage)
    m = len(codes)
    pure = np.concatenate([clusters, np.zeros(m - 1, int)])  # the one cluster of all rows below a node, -1: several
    for i, (a, b) in enumerate(merges[:, :2].astype(int)):
        pure[m + i] = pure[a] if pure[a] == pure[b] else -1

    def name(node: int) -> str:
        rows = 1 if node < m else int(merges[node - m, 3])
        return f"{rows:,}" + ("" if pure[node] < 0 else f"  [{pure[node]}]")

    figure, (ax,) = grid_of(1, width=8, height=3.6)
    hierarchy.dendrogram(merges, LEAVES, "lastp", ax=ax, leaf_label_func=name, leaf_rotation=90, leaf_font_size=8,
                         link_color_func=lambda node: colour(pure[node]))
    ax.set(ylabel="distance", xlabel="rows [cluster]")
    return figure


# The choice of k.

@styled
def criteria(found: pd.DataFrame, votes: dict[str, int | None]) -> Figure:
    """Criteria over k, with what each recommends; the knee of the elbow with its chord."""
    k, shown = found["k"].to_numpy(int), {name: column for name, column in CRITERIA.items() if name in votes}
    figure, axes = grid_of(len(shown), width=3.4, height=2.5)
    for ax, (name, column) in zip(axes, shown.items()):
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
    """The inertia of k-means for k = 1 .. most on codes [m, c], and the knee of its logarithm."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    ks = np.arange(1, min(most, len(codes) - 1) + 1)
    with threadpool_limits(1):
        inertia = [KMeans(k, n_init=5, random_state=0).fit(codes).inertia_ for k in ks]
    return pd.DataFrame({"k": ks, "inertia": inertia}), int(ks[knee(ks, np.log(np.maximum(inertia, 1e-12)))])
