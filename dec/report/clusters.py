"""What sets a cluster apart: its members, measures of rows of any kind, effect sizes, words, plain sentences."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dec.report.style import cluster_name

CLEAR, STRONG = 0.5, 1.2  # effect sizes that are told, and that are called much (Cohen: 0.5 medium, 0.8 large)
CATEGORIES = 12  # of a column, the most frequent ones are measured
MOST = 100.0  # the largest effect size: of a column that is constant in the cluster and, otherwise, in the rest


class Measured(NamedTuple):
    """Numbers with names that are known of each row."""

    names: list[str]  # [f] such as 'price', 'brand = Nokia'
    columns: list[str]  # [f] the column that each is from
    binary: np.ndarray  # [f] whether it is 0 or 1
    values: np.ndarray  # float32 [m, f], NaN where missing
    dates: frozenset[str] = frozenset()  # columns that are days since 1970


def measured_columns(columns: dict[str, np.ndarray], dates: frozenset[str]) -> Measured | None:
    """Measure the columns of a table: numbers and booleans as they are, 0 or 1 for each frequent category.

    A category of one row, or of less than one in 200, tells nothing of a cluster. None where there is nothing to tell.
    """
    found: list[tuple[str, str, bool, np.ndarray]] = []
    for name, values in columns.items():
        if values.dtype != object:
            found.append((name, name, bool(np.isin(values[np.isfinite(values)], (0, 1)).all()), values))
            continue
        counts = pd.Series(values).value_counts()
        for value in counts.index[counts > max(1, len(values) / 200)][:CATEGORIES]:
            found.append((f"{name} = {value}", name, True, np.where(pd.isna(values), np.nan, values == value)))
    if not found:
        return None
    names, origins, binary, values = zip(*found)
    return Measured(list(names), list(origins), np.array(binary), np.stack(values, 1).astype(np.float32), dates)


def measured_images(images: np.ndarray) -> Measured:
    """Measure images: brightness, contrast, and the position and extent of their light in pixels.

    Where most of the picture is bright, the dark is taken for what is drawn on it.
    """
    grey = images.mean(axis=3) if images.ndim == 4 else images
    bright = grey.reshape(len(grey), -1).mean(axis=1, dtype=np.float64)
    spread = grey.reshape(len(grey), -1).std(axis=1, dtype=np.float64)
    ink = grey.astype(np.float32) if np.median(bright) < 127.5 else 255 - grey.astype(np.float32)
    total = np.maximum(ink.sum(axis=(1, 2)), 1e-6)
    named = {"brightness": bright / 255, "contrast": spread / 255}
    for axis, (place, extent) in ((2, ("position from the left", "width")), (1, ("position from the top", "height"))):
        along = ink.sum(axis=3 - axis)
        at = np.arange(along.shape[1])
        centre = along @ at / total
        named[place] = centre
        named[extent] = 2 * np.sqrt(np.maximum(along @ at**2 / total - centre**2, 0))
    names = list(named)
    return Measured(names, names, np.zeros(len(names), bool), np.stack(list(named.values()), 1).astype(np.float32))


def measured_curves(curves: np.ndarray) -> Measured:
    """Measure recordings [m, t, c]: the level of each channel, its variation, and the step of its peak."""
    there = np.isfinite(curves)
    steps = pd.DataFrame(curves.transpose(0, 2, 1).reshape(-1, curves.shape[1]))  # a row for each channel of each
    what = {"level": steps.mean(axis=1), "variation": steps.std(axis=1, ddof=0),
            "peak step": np.where(there, curves, -np.inf).argmax(axis=1)}
    names = [f"{name} of channel {c}" for name in what for c in range(curves.shape[2])]
    parts = [np.reshape(part, (len(curves), -1)) for part in what.values()]
    if not there.all():
        names, parts = [*names, "length"], [*parts, there[..., :1].sum(axis=1)]
    return Measured(names, names, np.zeros(len(names), bool), np.concatenate(parts, axis=1).astype(np.float32))


class Effects(NamedTuple):
    """How each cluster differs from all other rows."""

    size: np.ndarray  # [k, f] effect sizes, 0 where there is nothing to compare
    inside: np.ndarray  # [k, f] means in the cluster
    rest: np.ndarray  # [k, f] means of all other rows
    scaled: np.ndarray  # [k, f] means in the cluster, in standard deviations from that of all rows


class Members(NamedTuple):
    """The rows of a cluster, as places in the sample, by how typical they are."""

    nearest: np.ndarray  # to the mean of the cluster's codes, the nearest first
    doubtful: np.ndarray  # of the lowest confidence


def effects(measured: Measured, clusters: np.ndarray, k: int) -> Effects:
    """Return effect sizes of every number in every cluster, against all other rows.

        d = (mean - mean of the rest) / pooled standard deviation       of numbers
        h = 2 asin √part - 2 asin √part of the rest                     of what is 0 or 1

    Args:
      measured: of m rows; missing values are left out.
      clusters: int [m]; -1 is no cluster, but belongs to the rest of each.
      k: number of clusters.

    References: Cohen 1988, Statistical Power Analysis, sections 2.2 and 6.2.
    """
    parts = []
    for values in np.array_split(measured.values, -(-measured.values.size // 2**22), axis=1):  # never all as float64
        groups = pd.DataFrame(np.where(np.isfinite(values), values, np.nan), dtype=np.float64).groupby(clusters)
        parts.append([part.reindex(range(-1, k)).fillna(0).to_numpy()
                      for part in (groups.count(), groups.mean(), groups.var(ddof=0))])
    count, mean, variance = (np.concatenate(part, axis=1) for part in zip(*parts))
    n, every = count.sum(axis=0), (count * mean).sum(axis=0) / np.maximum(count.sum(axis=0), 1)
    square = count * (variance + (mean - every) ** 2)  # about the mean of all, so that the digits are kept
    total = square.sum(axis=0)
    count, inside, variance = count[1:], mean[1:], variance[1:]  # without noise, which is of the rest
    others = n - count
    rest = every + count * (every - inside) / np.maximum(others, 1)
    within = total - count * (inside - every) ** 2 - others * (rest - every) ** 2
    deviation, apart = np.sqrt(np.maximum(within, 0) / np.maximum(n - 2, 1)), np.abs(inside - rest)
    tiny = 1e-9 * np.abs(every) + 1e-12  # rounding
    d = np.divide(inside - rest, np.maximum(deviation, apart / MOST), out=np.zeros_like(rest), where=apart > tiny)
    spread = np.sqrt(total / np.maximum(n, 1))
    scaled = np.where((spread > tiny) & (count > 0), (inside - every) / np.maximum(spread, tiny), 0)
    h = 2 * np.arcsin(np.sqrt(np.clip(inside, 0, 1))) - 2 * np.arcsin(np.sqrt(np.clip(rest, 0, 1)))
    compared = (count > 0) & (others > 0)
    return Effects(np.where(compared, np.where(measured.binary, h, d), 0), inside, rest, scaled)


def top(size: np.ndarray, columns: list[str], most: int, least: float = CLEAR) -> list[int]:
    """Return the numbers with the largest effects [f] of at least `least`, one of a column at most."""
    order = sorted(np.flatnonzero(np.abs(size) >= least).tolist(), key=lambda f: (-abs(size[f]).round(6), -size[f]))
    first = {columns[f]: f for f in reversed(order)}
    return [f for f in order if first[columns[f]] == f][:most]


def phrases(measured: Measured, found: Effects, clusters: np.ndarray, cluster: int, most: int = 3) -> list[str]:
    """Return a phrase for each of the largest effects that set a cluster apart."""
    inside, lines = clusters == cluster, []
    for f in top(found.size[cluster], measured.columns, most):
        size, name = found.size[cluster, f], measured.names[f]
        if measured.binary[f]:
            lines.append(f"{name} in {found.inside[cluster, f]:.0%} (elsewhere {found.rest[cluster, f]:.0%})")
            continue
        much, way = "much " if abs(size) >= STRONG else "", "higher" if size > 0 else "lower"
        date, how = measured.columns[f] in measured.dates, "in the median"
        here, there = (np.nanmedian(measured.values[part, f]) for part in (inside, ~inside))
        if (here - there) * size <= 0 or _number(here, date) == _number(there, date):  # the means tell more
            here, there, how = found.inside[cluster, f], found.rest[cluster, f], "on average"
        lines.append(f"{name} {much}{way} ({_number(here, date)} {how}, elsewhere {_number(there, date)})")
    return lines


def _number(value: float, date: bool) -> str:
    if date:
        return str(np.datetime64(round(float(value)), "D"))
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def distinctive(rows: Any, clusters: np.ndarray, k: int) -> list[np.ndarray]:
    """Return for each cluster the columns of which it has more than the others, the most telling first.

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
    codes: np.ndarray, clusters: np.ndarray, confidence: np.ndarray, centres: np.ndarray
) -> list[Members]:
    """Return the members of each cluster in order; without codes (c = 0), in that of the confidence.

    Args:
      codes, clusters, confidence: [m, c], [m] and [m].
      centres: [k, c] the mean code of each cluster.
    """
    distance = ((codes - centres[clusters]) ** 2).sum(axis=1) if codes.shape[1] else 1 - confidence
    near, sure = (np.argsort(by, kind="stable") for by in (distance, confidence))
    return [Members(*(order[clusters[order] == cluster] for order in (near, sure))) for cluster in range(len(centres))]


def neighbour(centres: np.ndarray, cluster: int) -> int | None:
    """Return the cluster whose mean code is the nearest, None where there is no other."""
    distance = ((centres - centres[cluster]) ** 2).sum(axis=1)
    distance[cluster] = np.nan
    return None if np.isnan(distance).all() or not centres.shape[1] else int(np.nanargmin(distance))


def describe(cluster: int, size: int, n: int, apart: list[str] | None, classes: list[tuple[str, float]]) -> str:
    """Return one or two plain sentences about a cluster.

    Args:
      size, n: rows in it and in all.
      apart: what sets it apart, as phrases; None where nothing could be measured.
      classes: (name, part of its rows) of its one or two most frequent classes, where they are known.
    """
    text = f"Cluster {cluster_name(cluster)} has {size:,} of {n:,} rows ({size / n:.1%})"
    if classes:
        text += ", of which " + " and ".join(f"{part:.0%} are {name}" for name, part in classes)
    if apart is None:
        return f"{text}."
    return text + ". " + (f"Set apart by: {'; '.join(apart)}." if apart else "No measure sets it clearly apart.")
