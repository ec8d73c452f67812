"""Figures of the rows themselves: grids of images, reconstructions, mean curves."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from dec.report.style import VALIDATION, cluster_name, colour, grid_of, styled

GAP = 1  # white pixels between images


def mosaic(images: np.ndarray, columns: int) -> np.ndarray:
    """Return images [m, h, w] or [m, h, w, 3] in rows of `columns` with white gaps, uint8 [.., .., 3]."""
    m, h, w = images.shape[:3]
    rows = -(-m // columns)
    sheet = np.full((rows * (h + GAP) - GAP, columns * (w + GAP) - GAP, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (h + GAP), i % columns * (w + GAP)
        sheet[top:top + h, left:left + w] = image[..., None] if image.ndim == 2 else image
    return sheet


def png(image: np.ndarray, most: int | None = None) -> str:
    """Return an uint8 image as a PNG in base64, made smaller where a side has more pixels than `most`."""
    picture, stream = Image.fromarray(image), io.BytesIO()
    picture.thumbnail((most or picture.width, most or picture.height))
    picture.save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


@styled
def image_grid(
    members: list[np.ndarray], clusters: Sequence[int], centres: np.ndarray | None, told: str = "members"
) -> Figure:
    """Draw one row a cluster: its decoded centre, apart at the left, and its members.

    Args:
      members: for each cluster uint8 [m, h, w(, 3)], m up to the same for all.
      clusters: their numbers.
      centres: uint8 [clusters, h, w(, 3)], or None.
      told: what the members are called.
    """
    most = max(map(len, members))
    blank = np.full((1, *members[0].shape[1:]), 255, np.uint8)
    lead = 2 if centres is not None else 0  # the centre and a gap
    cells = []
    for i, own in enumerate(members):
        start = [centres[i:i + 1], blank] if lead else []
        cells.append(np.concatenate([*start, own, *[blank] * (most - len(own))]))
    h, w = blank.shape[1] + GAP, blank.shape[2] + GAP
    figure, (ax,) = grid_of(1, width=0.55 * (most + lead) + 0.6, height=max(1.2, 0.55 * h / w * len(members) + 0.5))
    ax.imshow(mosaic(np.concatenate(cells), most + lead))
    ax.set_yticks([h * i + h / 2 for i in range(len(members))], map(cluster_name, clusters))
    for tick, cluster in zip(ax.get_yticklabels(), clusters):
        tick.set(color="white", fontweight="bold",
                 bbox={"facecolor": colour(cluster), "edgecolor": "none", "boxstyle": "round"})
    ax.set_xticks([w / 2, lead * w + most * w / 2] if lead else [most * w / 2],
                  ["centre", told] if lead else [told])
    ax.set(ylabel="cluster")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return figure


@styled
def reconstructed_images(groups: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Figure:
    """Draw input, output and absolute difference, one under the other, of some images.

    Args:
      groups: {title: (input, output, difference)}, each uint8 [m, h, w(, 3)].
    """
    figure, axes = grid_of(len(groups), width=0.5 * max(len(g[0]) for g in groups.values()) + 1, height=2.1, columns=1)
    for ax, (title, parts) in zip(axes, groups.items()):
        ax.imshow(mosaic(np.concatenate(parts), len(parts[0])))
        h = parts[0].shape[1] + GAP
        ax.set_yticks([h * (i + 0.5) for i in range(3)], ["input", "output", "difference"])
        ax.set(xticks=[], title=title)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    return figure


@styled
def reconstructed_curves(groups: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw input and output of some recordings.

    Args:
      groups: {title: (input, output)}, each [m, t], NaN where there is no step.
    """
    pairs = [(title, given, out) for title, parts in groups.items() for given, out in zip(*parts)]
    figure, axes = grid_of(len(pairs), width=2.4, height=1.7, columns=4)
    for ax, (title, given, out) in zip(axes, pairs):
        ax.plot(given, color="#555555", linewidth=1.2, label="input")
        ax.plot(out, color=VALIDATION, linewidth=1, linestyle="--", label="output")
        ax.set_title(title)
    axes[0].legend()
    return figure


class Curves(NamedTuple):
    """One panel of `mean_curves`."""

    title: str
    cluster: int
    curves: np.ndarray  # [m, t], NaN where there is no step
    examples: np.ndarray  # [e, t], drawn as they are


@styled
def mean_curves(panels: list[Curves], label: str, share: bool) -> Figure:
    """Draw means over time with a band of one standard deviation, in the cluster's colour, and some members thin.

    Args:
      label: of the vertical axis.
      share: one vertical scale for all panels.
    """
    figure, axes = grid_of(len(panels), width=3, height=2.1)
    for ax, (title, cluster, curves, examples) in zip(axes, panels):
        steps = pd.DataFrame(curves)
        mean, spread = steps.mean(), steps.std(ddof=0)
        ax.plot(examples.T, color="#888888", linewidth=0.5)
        ax.fill_between(np.arange(len(mean)), mean - spread, mean + spread, color=colour(cluster), alpha=0.3, lw=0)
        ax.plot(mean, color=colour(cluster), linewidth=1.8)
        if share:
            ax.sharey(axes[0])
        ax.set(title=title, xlabel="step", ylabel=label)
    return figure
