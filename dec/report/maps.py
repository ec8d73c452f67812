"""Maps: codes in the plane or in space, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import orthogonal_procrustes

from dec.data.views import Cells, Images, Texts
from dec.errors import UserError
from dec.io import write
from dec.metrics import matching
from dec.report import figures, pictures, space
from dec.report.material import RunData, sampled
from dec.report.page import Block, Page
from dec.report.style import cluster_name, short
from dec.runs.folder import RunFolder, slug

MOST = {"pca": 20_000, "tsne": 5_000, "umap": 10_000}  # rows; of more, a uniform sample is shown
PICTURED = 5000  # rows that have a picture on the page to turn
PICTURE = 48  # pixels of its longer side at most


def project(codes: np.ndarray, how: str, dimensions: int = 2) -> tuple[np.ndarray, np.ndarray, str, str]:
    """Return codes [m, c] in a few dimensions; by PCA where they are too few or too alike for another way.

    Args:
      how: pca, tsne or umap.
      dimensions: 2 or 3.

    Returns:
      the places [s] of the rows that are shown, their coordinates [s, dimensions], what the map is, and its axes' name.

    Raises:
      ValueError: umap where umap-learn is not installed.
    """
    at = sampled(np.arange(len(codes)), MOST[how])
    x = np.asarray(codes[at], np.float64)
    apart = "of the codes: who is near whom counts, distances between groups and their sizes do not."
    if how == "pca" or len(x) < 5 or not np.ptp(x, axis=0).any():  # t-SNE of equal rows ends the process
        from sklearn.decomposition import PCA

        x = x - x.mean(axis=0)
        with np.errstate(invalid="ignore"):
            pca = PCA(min(dimensions, *x.shape), random_state=0).fit(x)
        points, part = pca.transform(x), (pca.singular_values_**2).sum() / max((x**2).sum(), 1e-300)
        points = np.pad(points, ((0, 0), (0, dimensions - points.shape[1])))
        return at, points, f"The first principal components of the codes, with {part:.0%} of their variance.", "PCA"
    if how == "tsne":
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

        perplexity = min(30, (len(x) - 1) / 3)
        start = "pca" if x.shape[1] >= dimensions else "random"
        with threadpool_limits(1):  # its threads wait for each other: on a busy machine two take four times as long
            points = TSNE(dimensions, perplexity=perplexity, init=start, random_state=0).fit_transform(x)
        return at, points, f"t-SNE (perplexity {perplexity:.0f}) {apart}", "t-SNE"
    try:
        from umap import UMAP
    except ImportError as error:
        raise UserError("--map umap needs umap-learn: pip install 'dec[umap]'") from error
    points = UMAP(n_components=dimensions, random_state=0, n_jobs=1).fit_transform(x)
    return at, points, f"UMAP {apart}", "UMAP"


def codes_map(run: RunData, page: Page, maps: Sequence[str], colour: Sequence[str]) -> list[Block]:
    """Return maps of the codes in the plane or in space, colored by columns, and before and after refinement."""
    if not run.codes.shape[1]:
        return [Block("text", text="The method works on the input, of which no codes were kept: no map without data.")]
    blocks, refined = [], []
    for how in maps:
        if how in ("interactive", "gif"):
            blocks.append(in_space(run, page, how, colour))
            continue
        at, points, told, axes = project(run.codes, how)
        panels: dict[str, tuple[str, Any]] = {"cluster": ("clusters", run.clusters[at])}
        if run.y is not None:
            numbers, names = class_numbers(run)
            panels["class, in the colour of its cluster"] = ("classes", (numbers[at], names[at]))
        if np.ptp(run.confidence[at]) > 0:
            panels["confidence"] = ("values", run.confidence[at])
        panels |= {name: _colouring(run, name, at) for name in colour}
        sampled = "" if len(at) == len(run.labels) else f" A uniform sample of {len(at):,} of {len(run.labels):,} rows."
        pixels = " Points are drawn as pixels." if len(at) > figures.DRAWN else ""
        figure = figures.scatter(points, panels, axes)
        blocks.append(page.figure(f"map_{how}", figure, f"{told}{sampled}{pixels}"))
        if run.first is not None:
            refined.append(before_and_after(run, page, how, at, points))
    return blocks + refined


def before_and_after(run: RunData, page: Page, how: str, at: np.ndarray, points: np.ndarray) -> Block:
    """Return the codes before and after refinement (`at` and `points` of `project`) of rows with both."""
    rows, first = run.first
    shown, before, _, axes = project(first, how)
    rows = rows[shown]
    after = points if np.array_equal(rows, at) else project(run.codes[rows], how)[1]
    before, after = before - before.mean(axis=0), after - after.mean(axis=0)
    before = before @ orthogonal_procrustes(before, after)[0]  # a map has no up or down: turned alike
    panels: dict[str, tuple[str, Any]] = {
        f"{when} refinement, by cluster": ("clusters", run.clusters[rows]) for when in ("before", "after")}
    if run.y is not None:
        classes = tuple(part[rows] for part in class_numbers(run))
        panels |= {f"{when} refinement, by class": ("classes", classes) for when in ("before", "after")}
    figure = figures.scatter(np.stack([before, after] * (len(panels) // 2)), panels, axes)
    return page.figure(f"refined_{how}", figure, f"The same {len(rows):,} rows in the same colours: their codes by the "
                       f"pretrained network, and by the refined one; each by {axes} of its own.")


def in_space(run: RunData, page: Page, how: str, colour: Sequence[str]) -> Block:
    """Return files of the codes in space, coloured by cluster and by each column; links to them."""
    at, points, told, _ = project(run.codes, "pca", 3)
    links, pictured = [], None
    if how == "interactive" and isinstance(run.view, Images):
        pictured = np.full(len(at), "", object)
        some = sampled(np.arange(len(at)), PICTURED)
        pictured[some] = [pictures.png(image, PICTURE) for image in run.view.decode(run.x(at[some]))]
    for name in ("cluster", *colour):
        kind, found = _colouring(run, name, at) if name != "cluster" else ("clusters", run.clusters[at])
        groups = found[0] if kind == "classes" else found if kind == "clusters" else run.clusters[at]
        legend = found[1] if kind == "classes" else [f"cluster {cluster_name(c)}" for c in groups]
        values = found if kind == "values" else None
        title = f"{run.title}: codes by {name}"
        if how == "gif":
            kind, made, does = "gif", space.turning(points, groups, legend, title, values), "a picture that turns"
        else:
            made = space.interactive(points, groups, legend, _details(run, at), title, values, pictured).encode()
            kind, does = "html", "to turn, zoom and point at"
        file = f"figures/{slug(f'codes_3d_{name}')}.{kind}"
        write(run.folder / file, made)
        links.append((f"{title} ({does})", file))
    return Block("links", caption=told, rows=links)


def _details(run: RunData, at: np.ndarray) -> list[str]:
    """Return the name of each row, and what it holds: its first columns, or the beginning of its text."""
    if isinstance(run.view, Cells):
        frame = run.frame.iloc[at].iloc[:, :8]
        rows = ["\n".join(f"{name}: {short(value, 60)}" for name, value in zip(frame, row))
                for row in frame.itertuples(index=False)]
    else:
        rows = [short(run.texts[i], 200) for i in at] if isinstance(run.view, Texts) else [""] * len(at)
    return [f"{run.names[i]}\n{row}".strip() for i, row in zip(at, rows)]


def _colouring(run: RunData, name: str, at: np.ndarray) -> tuple[str, Any]:
    """Return a panel of `figures.scatter`: rows by a column, or by their clusters in another run."""
    if RunFolder(name).labels.is_file():
        return "clusters", run.elsewhere(Path(name))[at]
    values = run.column(name)[at]
    if values.dtype != object:
        return "values", values
    most = pd.Series(values).value_counts().index[:9]  # in the order of their numbers; all others together in grey
    numbers = most.get_indexer(values)
    return "classes", (numbers, np.array([*map(str, most), "others"], object)[numbers])


def class_numbers(run: RunData) -> tuple[np.ndarray, np.ndarray]:
    """Return the color number of each row's class, that of its matched cluster if there is one, and its name."""
    classes = run.prepared.dataset.classes
    match = {label: cluster for cluster, label in matching(run.confusion).items()}
    free = iter(range(run.k, run.k + len(classes)))
    number = np.array([match[name] if name in match else next(free) for name in classes])
    return number[run.y], np.array(classes, object)[run.y]
