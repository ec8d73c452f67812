"""Figures of curves, maps, counts and scores: plain arrays in, a matplotlib `Figure` out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.patheffects as effects
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dec.report.style import (
    DIVERGING,
    HATCHES,
    MARKERS,
    MISSING,
    REST,
    SEQUENTIAL,
    TRAINING,
    VALIDATION,
    cluster_name,
    colour,
    grid_of,
    log_scale,
    positive,
    short,
    styled,
    turn,
)
from dec.runs.results import mean_sd

DRAWN = 1000  # of more points, a map holds pixels instead
REFINEMENT = {"change": "rows that changed cluster", "occupied": "clusters with rows", "smallest": "smallest cluster",
              "largest": "largest cluster", "entropy": "entropy of the assignments", "learning_rate": "learning rate"}
NO_TERMS = ("phase", "seed", "period", "loss", "validation_loss", "accuracy", "validation_accuracy",
            *REFINEMENT)  # of a history; all else are terms
LINES = ("-", "--", ":", "-.")


@styled
def losses(history: pd.DataFrame, kept: int | None = None) -> Figure:
    """Draw the loss and its terms in each phase of training, thin for every seed and thick for the one that is kept.

    Args:
      history: a row per phase, seed and period, with a finite `loss`, terms, and in places `validation_loss` and both
        for the accuracy, which has a panel of its own.
      kept: the seed to draw thick.
    """
    parts = {phase: part.dropna(axis=1, how="all") for phase, part in history.groupby("phase", sort=False)}
    panels = [(what, phase, part) for phase, part in parts.items() for what in ("loss", "accuracy") if what in part]
    figure, axes = grid_of(len(panels), width=4.2)
    for ax, (what, phase, part) in zip(axes, panels):
        terms = [name for name in part if name not in NO_TERMS and what == "loss"]
        names = [what, f"validation_{what}", *(terms if len(terms) > 1 else ())]
        names = [name for name in names if name in part]
        for name in names:
            tone = VALIDATION if name == f"validation_{what}" else TRAINING
            style = LINES[(terms.index(name) + 1) % len(LINES)] if name in terms else LINES[0]
            _per_seed(ax, part, name, kept, color=tone, linestyle=style,
                      label={what: "training", f"validation_{what}": "validation"}.get(name, name))
        if what == "accuracy":
            ax.set_ylim(0, 1)
        elif positive(part[names].to_numpy()):
            log_scale(ax.yaxis)
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        ax.set(title=phase, xlabel="refresh" if phase == "cluster" else "epoch", ylabel=what)
        ax.legend()
    return figure


@styled
def refinement(history: pd.DataFrame, kept: int | None = None) -> Figure:
    """Draw the record of each refresh of the clustering phase: label change, occupied clusters, learning rate."""
    part = history[history["phase"] == "cluster"]
    names = [name for name in REFINEMENT if name in part and part[name].notna().any()]
    figure, axes = grid_of(len(names))
    for ax, name in zip(axes, names):
        # The first refresh has nothing to compare with.
        shown = part[part[name] > 0] if name == "change" and part[name].any() else part
        _per_seed(ax, shown, name, kept, color=TRAINING)
        if name == "change" and positive(shown[name].to_numpy()):
            log_scale(ax.yaxis)
        else:
            ax.set_ylim(0, 1.1 * part[name].max() or 1)
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        ax.set(xlabel="refresh", title=REFINEMENT[name])
    return figure


def _per_seed(ax: Axes, part: pd.DataFrame, name: str, kept: int | None, label: str | None = None, **style) -> None:
    seeds = list(dict.fromkeys(part["seed"]))
    for seed in seeds:
        thick = seed == kept or len(seeds) == 1
        own = part[part["seed"] == seed]
        ax.plot(own["period"] + 1, own[name], linewidth=1.8 if thick else 0.8, alpha=1 if thick else 0.45,
                marker="o" if len(own) == 1 else None, label=label if seed == (kept if kept in seeds else seeds[0])
                else None, **style)


@styled
def scatter(points: np.ndarray, panels: dict[str, tuple[str, Sequence]], axes_name: str) -> Figure:
    """Draw the same points of the plane in panels, each coloured by something else.

    Args:
      points: [m, 2], or [panels, m, 2].
      panels: {title: (how, values [m])}; how is `clusters` (integers, -1 for noise), `classes` (a pair of the
        colour number and the name of each row), or `values` (floats, NaN in grey).
      axes_name: what the axes are, such as "PCA".
    """
    figure, axes = grid_of(len(panels), width=4.4, height=3.9, columns=2)
    count = points.shape[-2]
    style = {"s": np.clip(6000 / count, 1.5, 16), "linewidths": 0, "alpha": 0.8, "rasterized": count > DRAWN}
    several = np.broadcast_to(points, (len(panels), count, 2))
    for ax, points, (title, (how, values)) in zip(axes, several, panels.items()):
        if how == "values":
            values = np.asarray(values, float)
            known = np.isfinite(values)
            ax.scatter(*points[~known].T, color=MISSING, **style)
            drawn = ax.scatter(*points[known].T, c=values[known], cmap=SEQUENTIAL, **style)
            figure.colorbar(drawn, ax=ax, shrink=0.8)
        else:
            numbers, names = values if how == "classes" else (values, list(map(cluster_name, values)))
            _groups(ax, points, np.asarray(numbers), np.asarray(names, object), style, centred=how == "clusters")
        ax.set(title=title, xlabel=f"{axes_name} 1", ylabel=f"{axes_name} 2", xticks=[], yticks=[])
    return figure


def _groups(ax: Axes, points: np.ndarray, numbers: np.ndarray, names: np.ndarray, style: dict, centred: bool) -> None:
    """Draw points in the color and marker of their group, with a legend or the group's number at its median."""
    order = np.random.default_rng(0).permutation(len(points))  # no group lies on top of all others
    points, numbers, names = points[order], numbers[order], names[order]
    groups = np.unique(numbers)
    for shape in np.unique([turn(group) for group in groups]):
        there = np.array([turn(number) == shape for number in numbers])
        ax.scatter(*points[there].T, c=[colour(number) for number in numbers[there]], marker=MARKERS[shape], **style)
    for group in groups if centred else ():
        ax.annotate(cluster_name(group), np.median(points[numbers == group], axis=0), ha="center", va="center",
                    fontsize=10, fontweight="bold", path_effects=[effects.withStroke(linewidth=3, foreground="white")])
    if not centred:
        of_name = dict(sorted({names[numbers == group][0]: group for group in groups}.items()))
        handles = [ax.plot([], [], MARKERS[turn(group)], color=colour(group))[0] for group in of_name.values()]
        ax.legend(handles, map(short, of_name), loc="center left", bbox_to_anchor=(1, 0.5),
                  ncols=-(-len(groups) // 16))


@styled
def sizes(counts: Sequence[int], noise: int = 0) -> Figure:
    """Draw the number of rows of each cluster, `counts` [k]; a last bar for noise where there is some."""
    numbers = [*range(len(counts)), *([-1] if noise else [])]
    figure, (ax,) = grid_of(1, width=max(4.0, 0.32 * len(numbers)), height=2.6)
    bars = ax.bar(range(len(numbers)), [*counts, noise][:len(numbers)], color=list(map(colour, numbers)),
                  hatch=[HATCHES[turn(number)] for number in numbers], edgecolor="white", linewidth=0)
    ax.bar_label(bars, fmt="{:,.0f}", fontsize=7)
    ax.margins(x=0.01)
    ax.set_xticks(range(len(numbers)), map(cluster_name, numbers))
    ax.set(xlabel="cluster", ylabel="rows")
    return figure


@styled
def confusion(counts: np.ndarray, classes: Sequence[str], clusters: Sequence[int]) -> Figure:
    """Draw rows of each class [c] in each cluster [k], as fractions of the class; clusters ordered by class."""
    counts = np.asarray(counts)
    width, height = 1.8 + 0.42 * counts.shape[1], 1.4 + 0.36 * counts.shape[0]
    figure, (ax,) = grid_of(1, width=max(width, 3.6), height=max(height, 2.6))
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    drawn = ax.imshow(parts, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        if count and counts.size <= 900:
            ax.annotate(str(count), (column, row), ha="center", va="center", fontsize=7,
                        color="white" if parts[row, column] > 0.55 else "#1a1a1a")
    _ticks(ax, [cluster_name(cluster) for cluster in clusters], [short(name) for name in classes])
    ax.set(xlabel="cluster", ylabel="class")
    figure.colorbar(drawn, ax=ax, label="part of the class")
    return figure


@styled
def heatmap(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], label: str) -> Figure:
    """Draw values [r, c] around 0 as colours, clusters as columns: blue below the mean of all rows, orange above."""
    values = np.asarray(values, float)
    figure, (ax,) = grid_of(1, width=2.8 + 0.4 * len(columns), height=1.2 + 0.22 * len(rows))
    most = np.abs(values).max(where=np.isfinite(values), initial=1e-12)
    drawn = ax.imshow(values, cmap=DIVERGING, vmin=-most, vmax=most, aspect="auto")
    _ticks(ax, columns, [short(name) for name in rows])
    ax.set(xlabel="cluster")
    figure.colorbar(drawn, ax=ax, label=label)
    return figure


def _ticks(ax: Axes, columns: Sequence[str], rows: Sequence[str]) -> None:
    ax.set_xticks(range(len(columns)), columns, rotation=90 if max(map(len, columns), default=0) > 3 else 0)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


class Against(NamedTuple):
    """One panel of `against_the_rest`."""

    title: str
    cluster: int
    inside: np.ndarray  # values in the cluster: numbers, or objects for categories
    rest: np.ndarray  # likewise, of all other rows
    logarithmic: bool  # whether the axis may be


@styled
def against_the_rest(panels: list[Against]) -> Figure:
    """Draw histograms of columns in clusters, coloured, against all other rows, in grey; both as parts of their rows.

    Of categories, the five most frequent of the cluster are shown, and up to eight with those of the rest.
    """
    figure, axes = grid_of(len(panels), width=2.9, height=2.2)
    for ax, (title, cluster, inside, rest, logarithmic) in zip(axes, panels):
        if inside.dtype == object:
            parts = [pd.Series(values, dtype=object).value_counts(normalize=True) for values in (inside, rest)]
            names = list(dict.fromkeys([*parts[0].index[:5], *parts[1].index[:8]]))[:8]
            at = np.arange(len(names))
            for part, shift, tone in zip(parts, (-0.2, 0.2), (colour(cluster), REST)):
                ax.barh(at + shift, part.reindex(names, fill_value=0), 0.4, color=tone)
            ax.set_yticks(at, [short(name, 18) for name in names])
            ax.set(xlabel="part of rows")
            ax.invert_yaxis()
        else:
            _histograms(ax, inside[np.isfinite(inside)], rest[np.isfinite(rest)], colour(cluster), logarithmic)
        ax.set_title(short(title))
    return figure


def _histograms(ax: Axes, inside: np.ndarray, rest: np.ndarray, tone: str, logarithmic: bool) -> None:
    every = np.concatenate([inside, rest])
    low, high = np.quantile(every, [0.005, 0.995]) if len(every) else (0, 1)
    low, high = (low, high) if high > low else (low - 0.5, low + 0.5)
    logarithmic = logarithmic and low > 0 and high > 10 * low
    bins = np.geomspace(low, high, 25) if logarithmic else np.linspace(low, high, 25)
    for values, style in ((rest, {"color": REST}), (inside, {"color": tone, "alpha": 0.75})):
        ax.hist(np.clip(values, low, high), bins, weights=np.full(len(values), 1 / max(1, len(values))), **style)
    if logarithmic:
        log_scale(ax.xaxis)
    ax.set_ylabel("part of rows")


@styled
def boxes(scores: dict[str, Sequence[float]], label: str) -> Figure:
    """Draw the scores of every seed by method: a box where there are three or more, and each seed as a point."""
    figure, (ax,) = grid_of(1, width=max(4.5, 1.5 + 0.6 * len(scores)), height=3.2)
    for at, values in enumerate(scores.values()):
        if len(values) >= 3:
            ax.boxplot(values, positions=[at], widths=0.55, showfliers=False, medianprops={"color": "#1a1a1a"})
        ax.scatter(at + np.linspace(-0.15, 0.15, len(values)) * (len(values) > 1), values, s=22, color=colour(at),
                   marker=MARKERS[turn(at)], zorder=3)
    ax.set_xticks(range(len(scores)), map(short, scores), rotation=90 if len(scores) > 6 else 0)
    ax.set(ylabel=label)
    return figure


@styled
def time_and_quality(seconds: dict[str, float], scores: dict[str, Sequence[float]], label: str) -> Figure:
    """Draw mean score, with its standard deviation, against the seconds of a method; colours as in `boxes`."""
    figure, (ax,) = grid_of(1, width=5.2, height=3.4)
    for at, (name, values) in enumerate(scores.items()):
        if not values:
            continue
        mean, sd = mean_sd(values)
        ax.errorbar(seconds[name], mean, yerr=sd or 0, color=colour(at), marker=MARKERS[turn(at)], capsize=3)
        ax.annotate(short(name), (seconds[name], mean), xytext=(6, 4), textcoords="offset points", fontsize=8)
    if positive(list(seconds.values())):
        log_scale(ax.xaxis)
    ax.margins(x=0.18)
    ax.set(xlabel="seconds (training and clustering, all seeds)", ylabel=label)
    return figure
