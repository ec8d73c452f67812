"""What sets a cluster apart: its members by their place among the codes, effect sizes, words, and plain sentences."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dec.report.measures import Measured
from dec.report.style import cluster_name

CLEAR, STRONG = 0.5, 1.2  # effect sizes that are told, and that are called much (Cohen: 0.5 medium, 0.8 large)

MOST = 100.0  # the largest effect size: of a column that is constant in the cluster and, otherwise, in the rest


class Effects(NamedTuple):
    """How each cluster differs from all other rows."""

    size: np.ndarray  # [k, f] effect sizes, 0 where there is nothing to compare
    inside: np.ndarray  # [k, f] means in the cluster
    rest: np.ndarray  # [k, f] means of all other rows
    scaled: np.ndarray  # [k, f] means in the cluster, in standard deviations from that of all rows


class Members(NamedTuple):
    """The rows of a cluster, as places in the sample, by how typical they are."""

    nearest: np.ndarray  # to the mean of the cluster's codes, the nearest first
    farthest: np.ndarray
    doubtful: np.ndarray  # of the lowest confidence


def effects(measured: Measured, clusters: np.ndarray, k: int) -> Effects:
    """Effect sizes of every number in every cluster, against all other rows.

        d = (mean - mean of the rest) / pooled standard deviation       of numbers
        h = 2 asin √part - 2 asin √part of the rest                     of what is 0 or 1

    Args:
      measured: of m rows; missing values are left out.
      clusters: int [m]; -1 is no cluster, but belongs to the rest of each.
      k: number of clusters.

    References: Cohen 1988, Statistical Power Analysis, sections 2.2 and 6.2.
    """
    first = measured.values[:10_000].astype(np.float64)
    shift = np.where(np.isfinite(first), first, 0).sum(axis=0) / np.maximum(np.isfinite(first).sum(axis=0), 1)
    count, total, square = np.zeros((3, k + 1, len(shift)))
    for at in np.array_split(np.arange(len(clusters)), -(-measured.values.size // 2**22)):  # not all as float64 at once
        own = (clusters[at, None] == np.arange(-1, k)).astype(np.float64)
        there = np.isfinite(measured.values[at])
        values = np.where(there, measured.values[at] - shift, 0)  # near 0, so that the squares keep their digits
        count, total, square = count + own.T @ there, total + own.T @ values, square + own.T @ values**2
    n, sums, squares = (part.sum(axis=0) for part in (count, total, square))
    count, total, square = count[1:], total[1:], square[1:]  # without noise
    inside, rest = total / np.maximum(count, 1), (sums - total) / np.maximum(n - count, 1)
    within = np.maximum(square - count * inside**2, 0) + np.maximum(squares - square - (n - count) * rest**2, 0)
    deviation, apart = np.sqrt(within / np.maximum(n - 2, 1)), np.abs(inside - rest)
    tiny = 1e-9 * np.abs(shift) + 1e-12  # rounding
    d = np.divide(inside - rest, np.maximum(deviation, apart / MOST), out=np.zeros_like(rest), where=apart > tiny)
    every = sums / np.maximum(n, 1)
    spread = np.sqrt(np.maximum(squares / np.maximum(n, 1) - every**2, 0))
    scaled = np.where((spread > tiny) & (count > 0), (inside - every) / np.maximum(spread, tiny), 0)
    inside, rest = inside + shift, rest + shift
    h = 2 * np.arcsin(np.sqrt(np.clip(inside, 0, 1))) - 2 * np.arcsin(np.sqrt(np.clip(rest, 0, 1)))
    compared = (count > 0) & (n > count)
    return Effects(np.where(compared, np.where(measured.binary, h, d), 0), inside, rest, scaled)


def top(size: np.ndarray, columns: list[str], most: int, least: float = CLEAR) -> list[int]:
    """The numbers with the largest effects [f] of at least `least`, one of a column at most."""
    order = sorted(np.flatnonzero(np.abs(size) >= least).tolist(), key=lambda f: (-abs(size[f]).round(6), -size[f]))
    first = {columns[f]: f for f in reversed(order)}
    return [f for f in order if first[columns[f]] == f][:most]


def phrases(measured: Measured, found: Effects, clusters: np.ndarray, cluster: int, most: int = 3) -> list[str]:
    """What sets a cluster apart, a phrase for each of the largest effects."""
    inside, lines = clusters == cluster, []
    for f in top(found.size[cluster], measured.columns, most):
        size, name = found.size[cluster, f], measured.names[f]
        if measured.binary[f]:
            lines.append(f"{name} in {found.inside[cluster, f]:.0%} (elsewhere {found.rest[cluster, f]:.0%})")
            continue
        much, way = "much " if abs(size) >= STRONG else "", "higher" if size > 0 else "lower"
        here, there = (_number(np.nanmedian(measured.values[part, f]), measured.columns[f] in measured.dates)
                       for part in (inside, ~inside))
        if here == there:  # the middles are alike though the means are not
            here, there = (_number(means[cluster, f], measured.columns[f] in measured.dates)
                           for means in (found.inside, found.rest))
            lines.append(f"{name} {much}{way} ({here} on average, elsewhere {there})")
        else:
            lines.append(f"{name} {much}{way} ({here} in the median, elsewhere {there})")
    return lines


def _number(value: float, date: bool) -> str:
    if date:
        return str(np.datetime64(round(float(value)), "D"))
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def telling(rows: Any, clusters: np.ndarray, k: int) -> list[np.ndarray]:
    """For each cluster the columns of which it has more than the others, the most telling first.

    They are ordered by the mean tf-idf in the cluster less that of all other texts.

    Args:
      rows: CSR [m, W], the tf-idf of each text.
      clusters: int [m].
    """
    own = (clusters[:, None] == np.arange(k)).astype(np.float32)
    inside, every, count = (rows.T @ own).T, np.asarray(rows.sum(axis=0)).ravel(), own.sum(axis=0)[:, None]
    more = inside / np.maximum(count, 1) - (every - inside) / np.maximum(len(clusters) - count, 1)
    return [order[line[order] > 0] for line, order in zip(more, np.argsort(-more, axis=1, kind="stable"))]


def members(
    codes: np.ndarray, clusters: np.ndarray, confidence: np.ndarray, k: int
) -> tuple[np.ndarray, list[Members]]:
    """The mean code of each cluster [k, c], NaN where it is empty, and its members in order.

    Without codes (c = 0) the order is that of the confidence.
    """
    centres, ordered = np.full((k, codes.shape[1]), np.nan, np.float32), []
    for cluster in range(k):
        own = np.flatnonzero(clusters == cluster)
        if len(own):
            centres[cluster] = codes[own].mean(axis=0)
        distance = ((codes[own] - centres[cluster]) ** 2).sum(axis=1) if codes.shape[1] else 1 - confidence[own]
        order = own[np.argsort(distance, kind="stable")]
        ordered.append(Members(order, order[::-1], own[np.argsort(confidence[own], kind="stable")]))
    return centres, ordered


def neighbour(centres: np.ndarray, cluster: int) -> int | None:
    """The cluster whose mean code is the nearest, None where there is no other."""
    distance = ((centres - centres[cluster]) ** 2).sum(axis=1)
    distance[cluster] = np.nan
    return None if np.isnan(distance).all() or not centres.shape[1] else int(np.nanargmin(distance))


def matched(confusion: dict) -> dict[int, str]:
    """{cluster: class} of the best one-to-one matching."""
    from scipy.optimize import linear_sum_assignment

    pairs = zip(*linear_sum_assignment(np.array(confusion["counts"]), maximize=True))
    return {confusion["clusters"][column]: confusion["classes"][row] for row, column in pairs}


def listed(parts: list[str]) -> str:
    """'a, b and c'."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def describe(cluster: int, size: int, n: int, apart: list[str], classes: list[tuple[str, float]]) -> str:
    """One or two plain sentences about a cluster.

    Args:
      size, n: rows in it and in all.
      apart: what sets it apart, as phrases.
      classes: (name, part of its rows) of its most frequent classes, where they are known.
    """
    text = f"Cluster {cluster_name(cluster)} has {size:,} of {n:,} rows ({size / n:.1%})"
    if classes:
        text += ", of which " + listed([f"{part:.0%} are {name}" for name, part in classes])
    return text + ". " + (f"Set apart by: {'; '.join(apart)}." if apart else "No measure sets it clearly apart.")
