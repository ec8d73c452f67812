"""Maps: codes in the plane or in space, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dec.folders import slug
from dec.report import figures, space
from dec.report.clusters import matched
from dec.report.material import Material, sampled
from dec.report.page import Block, Page, text
from dec.report.style import cluster_name
from dec.training.checkpoint import write

MOST = {"pca": 20_000, "tsne": 5_000, "umap": 10_000}  # rows; of more, a uniform sample is shown


def project(codes: np.ndarray, how: str, dimensions: int = 2) -> tuple[np.ndarray, np.ndarray, str]:
    """Codes [m, c] in a few dimensions.

    Args:
      how: pca, tsne or umap.
      dimensions: 2 or 3.

    Returns:
      the places [s] of the rows that are shown, their coordinates [s, dimensions], and what the map is.

    Raises:
      ValueError: umap where umap-learn is not installed.
    """
    at = sampled(np.arange(len(codes)), MOST[how])
    x = np.asarray(codes[at], np.float64)
    if how == "pca" or len(x) < 5:
        x = x - x.mean(axis=0)
        _, values, axes = np.linalg.svd(x, full_matrices=False)
        part = (values[:dimensions] ** 2).sum() / max((values**2).sum(), 1e-300)
        points = x @ axes[:dimensions].T
        points = np.pad(points, ((0, 0), (0, dimensions - points.shape[1])))
        return at, points, f"The first principal components of the codes, with {part:.0%} of their variance."
    if how == "tsne":
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

        perplexity = min(30, (len(x) - 1) / 3)
        start = "pca" if x.shape[1] >= dimensions else "random"
        with threadpool_limits(1):  # its threads wait for each other: on a busy machine two take four times as long
            points = TSNE(dimensions, perplexity=perplexity, init=start, random_state=0).fit_transform(x)
        return at, points, (f"t-SNE of the codes (perplexity {perplexity:.0f}): who is near whom counts, distances "
                            "between groups and their sizes do not.")
    try:
        from umap import UMAP
    except ImportError as error:
        raise ValueError("--map umap needs umap-learn: pip install 'dec[umap]'") from error
    points = UMAP(n_components=dimensions, random_state=0, n_jobs=1).fit_transform(x)
    return at, points, "UMAP of the codes: who is near whom counts, distances between groups and their sizes do not."


def codes_map(run: Material, page: Page, maps: Sequence[str], colour: Sequence[str]) -> list[Block]:
    """The codes in the plane, coloured by what is known of the rows."""
    if not run.codes.shape[1]:
        return [text("The method works on the input itself, which is too large for its codes to be kept: no map.")]
    blocks = []
    for how in maps:
        if how in ("interactive", "gif"):
            blocks.append(in_space(run, page, how, colour))
            continue
        at, points, told = project(run.codes, how)
        panels: dict[str, tuple[str, Any]] = {"cluster": ("clusters", run.clusters[at])}
        if run.y is not None:
            numbers, names = class_numbers(run)
            panels["class, in the colour of its cluster"] = ("classes", (numbers[at], names[at]))
        panels["confidence"] = ("values", run.confidence[at])
        for name in colour:
            values = run.column(name)[at]
            panels[name] = ("values", values) if values.dtype != object else ("classes", _as_classes(values))
        sampled = "" if len(at) == len(run.labels) else f" A uniform sample of {len(at):,} of {len(run.labels):,} rows."
        pixels = " Points are drawn as pixels." if len(at) > figures.DRAWN else ""
        name = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}[how]
        blocks.append(page.figure(f"map_{how}", figures.scatter(points, panels, name), f"{told}{sampled}{pixels}"))
    return blocks


def in_space(run: Material, page: Page, how: str, colour: Sequence[str]) -> Block:
    """Files of the codes in space, coloured by cluster and by each column; links to them."""
    at, points, told = project(run.codes, "pca", 3)
    links = []
    for name in ("cluster", *colour):
        groups, legend, values = run.clusters[at], [f"cluster {cluster_name(c)}" for c in run.clusters[at]], None
        if name != "cluster" and (column := run.column(name)[at]).dtype == object:
            groups, legend = _as_classes(column)
        elif name != "cluster":
            values = column
        title = f"{run.title}: codes by {name}"
        if how == "gif":
            kind, made, does = "gif", space.turning(points, groups, title, values), "a picture that turns"
        else:
            names = [run.names[i] for i in at]
            made = space.interactive(points, groups, legend, names, title, values).encode()
            kind, does = "html", "to turn, zoom and point at"
        file = f"figures/{slug(f'codes_3d_{name}')}.{kind}"
        write(run.folder / file, made)
        links.append((f"{title} ({does})", file))
    return Block("links", caption=told, rows=links)


def _as_classes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Categories as numbers, the most frequent first, those behind the ninth together in grey."""
    names = [str(name) for name in pd.Series(values).value_counts().index[:9]]
    numbers = np.array([names.index(str(value)) if str(value) in names else -1 for value in values])
    return numbers, np.array([*names, "others"], object)[numbers]


def class_numbers(run: Material) -> tuple[np.ndarray, np.ndarray]:
    """The colour number of each row's class, that of the cluster matched to it where there is one, and its name."""
    classes = run.prepared.dataset.classes
    match = {label: cluster for cluster, label in matched(run.metrics["confusion"]).items()}
    free = iter(range(run.k, run.k + len(classes)))
    number = np.array([match[name] if name in match else next(free) for name in classes])
    return number[run.y], np.array(classes, object)[run.y]
