"""The clusters of a run beside each other and one card for each: who is in it, what sets it apart."""

from __future__ import annotations

import numpy as np

from dec.data.views import Cells, Curves, Images, Numbers, Texts
from dec.report import figures, pictures
from dec.report.clusters import Measured, describe, effects, neighbour, phrases, top
from dec.report.material import RunData, sampled
from dec.report.page import Block, Page, row_cells, table
from dec.report.style import colour, short
from dec.runs.folder import slug

MOST_CARDS = 40  # of more clusters, the largest ones have a card
SHOWN = 10  # members in a row
IMAGE = 44  # CSS pixels that an image of a card is wide, about
FEATURES = 30  # rows of the heatmap
SMALL = 0.2  # effects at least as large (Cohen: small) are drawn


def overview(run: RunData, page: Page) -> list[Block]:
    """Return all clusters beside each other: sizes, a grid of images or mean curves, a heatmap."""
    labels, there = run.labels["cluster"].to_numpy(), sorted(run.largest[:MOST_CARDS])
    counts, noise = np.bincount(labels[labels >= 0], minlength=run.k), int((labels < 0).sum())
    blocks = [page.figure("sizes", figures.sizes(counts, noise), "Rows in each cluster.")]
    if isinstance(run.view, Images) and there:
        grid = [run.view.decode(run.x(run.members[cluster].nearest[:SHOWN])) for cluster in there]
        decoded = run.view.decode(run.model.inverse_transform(run.centres[there]))
        blocks.append(page.figure("members", pictures.image_grid(grid, there, decoded), "The mean code of each cluster,"
                                  " decoded, and the members nearest to it; one row a cluster."))
    if isinstance(run.view, Curves) and there:
        spread = run.effects.size[there].std(axis=0)
        channel = next(int(name.rpartition(" ")[2]) for f in np.argsort(-spread)
                       if "channel" in (name := run.measured.names[f]))
        panels = [curves_of(run, cluster, channel, f"cluster {cluster}") for cluster in there]
        blocks.append(page.figure("mean_curves", pictures.mean_curves(panels, f"channel {channel}", share=True),
                                  f"Mean of channel {channel}, in which the clusters differ most, with a band of one "
                                  "standard deviation and the three most typical members."))
    return blocks + (heat(run, page, there) if there else [])


def in_clusters(run: RunData, page: Page, columns: dict[str, np.ndarray]) -> list[Block]:
    """Return columns [m] in each cluster against all other rows."""
    there, blocks = sorted(run.largest[:MOST_CARDS]), []
    for name, values in columns.items() if there else ():
        panels = [against(run, cluster, values, f"cluster {cluster}", run.logarithmic(name)) for cluster in there]
        blocks.append(page.figure(slug(f"column_{name}"), figures.against_the_rest(panels),
                                  f"{name} in each cluster, in its colour, and in all other rows, in grey."))
    return blocks


def against(run: RunData, cluster: int, values: np.ndarray, title: str, logarithmic: bool) -> figures.Against:
    """Return a column [m] in a cluster and in the rest."""
    inside = run.clusters == cluster
    return figures.Against(title, cluster, values[inside], values[~inside], logarithmic)


def curves_of(run: RunData, cluster: int, channel: int, title: str) -> pictures.Curves:
    """Return one channel of up to 1000 members, drawn uniformly, and of the three most typical ones."""
    own = run.members[cluster].nearest
    curves, typical = (run.view.decode(run.x(at))[..., channel] for at in (sampled(own, 1000), own[:3]))
    return pictures.Curves(title, cluster, curves, typical)


def heat(run: RunData, page: Page, there: list[int]) -> list[Block]:
    """Return clusters by what is measured of them, or by words: means, in standard deviations from that of all rows."""
    names, found = [], run.effects
    if found is not None:
        names = run.measured.names
    elif run.words is not None:
        few = max(2, FEATURES // len(there))
        chosen = np.unique([word for cluster in there for word in run.distinctive_words[cluster][:few]]).astype(int)
        names, none = list(run.words[0][chosen]), np.zeros(len(chosen), bool)
        found = effects(Measured(names, names, none, run.words[1][:, chosen].toarray()), run.clusters, run.k)
    if not names:
        return []
    order = np.sort(np.argsort(-found.scaled[there].std(axis=0), kind="stable")[:FEATURES])
    more = f"; the {FEATURES} of {len(names)} in which they differ most" if len(names) > FEATURES else ""
    figure = figures.heatmap(found.scaled[np.ix_(there, order)].T, [names[i] for i in order], [str(c) for c in there],
                             "standard deviations")
    what = "Mean tf-idf of words" if run.measured is None else "Means"
    return [page.figure("heatmap", figure, f"{what} in each cluster, in standard deviations from all rows{more}.")]


def cards(run: RunData, page: Page) -> list[Block]:
    """Return a card for each cluster that has rows: a description, a figure of its kind, members."""
    counts, blocks = run.labels["cluster"].value_counts(), []
    soft = len(np.unique(run.confidence[run.clusters >= 0])) > 1
    for cluster in sorted(run.largest[:MOST_CARDS]):
        own, size = run.members[cluster], int(counts[cluster])
        apart = phrases(run.measured, run.effects, run.clusters, cluster) if run.measured is not None else []
        inner, columns = [], []
        if run.words is not None and len(run.distinctive_words[cluster]):
            words = run.words[0][run.distinctive_words[cluster]]
            apart.insert(0, "the words " + ", ".join(words[:6]))
            told = "Words that it has more of than the others"
            inner.append(Block("items", caption=told, rows=[", ".join(words[:15])]))
        if isinstance(run.view, Curves):
            most = min(6, run.view.channels)
            panels = [curves_of(run, cluster, channel, f"channel {channel}") for channel in range(most)]
            inner.append(page.figure(f"cluster_{cluster}", pictures.mean_curves(panels, "value", share=False),
                                     "Mean, one standard deviation around it, and the three most typical members."))
        if isinstance(run.view, Cells | Numbers) and run.measured is not None:
            chosen = top(run.effects.size[cluster], run.measured.columns, 6, SMALL)
            if isinstance(run.view, Cells):
                columns = list(dict.fromkeys([*run.text_columns, *(run.measured.columns[f] for f in chosen)]))
            inner += histograms(run, page, cluster, chosen)
        ends = {"Most typical": own.nearest, "Farthest from the centre": own.nearest[::-1]}
        if soft:
            ends |= {"Most confident": own.doubtful[::-1], "Most doubtful": own.doubtful}
        for caption, at in ends.items():
            inner += rows_shown(run, at[:SHOWN if isinstance(run.view, Images) else 5], caption, columns)
        other = neighbour(run.centres, cluster)
        near = "" if other is None else f" Its nearest neighbour is cluster {other}."
        measured = apart if run.view is not None else None
        blocks.append(Block(
            "card", name=str(cluster), colour=colour(cluster), blocks=inner,
            caption=f"Cluster {cluster} · {size:,} row{'s' * (size > 1)}" + (
                f" · mean confidence {run.confidence[own.nearest].mean():.2f}" if soft else ""),
            text=describe(cluster, size, len(run.labels), measured, class_parts(run, cluster)) + near))
    left = len(run.largest) - len(blocks)
    return blocks + ([Block("text", text=f"{left} smaller clusters have no card.")] if left else [])


def class_parts(run: RunData, cluster: int) -> list[tuple[str, float]]:
    """Return the up to two most frequent classes of a cluster and their fractions of it, at least a tenth each."""
    if run.confusion is None or cluster not in run.confusion:
        return []
    parts = (run.confusion[cluster] / run.confusion[cluster].sum()).nlargest(2)
    return list(parts[parts >= 0.1].items())


def histograms(run: RunData, page: Page, cluster: int, chosen: list[int]) -> list[Block]:
    """Compare a cluster with all other rows in the columns that set it apart."""
    panels = []
    for f in chosen:
        name, kind = run.measured.columns[f], "h" if run.measured.binary[f] else "d"
        title = f"{short(run.measured.names[f], 18)}, {kind} {run.effects.size[cluster, f]:+.1f}"
        panels.append(against(run, cluster, run.column(name), title, run.logarithmic(name)))
    return [page.figure(f"cluster_{cluster}", figures.against_the_rest(panels),
                        "The columns that set it apart: the cluster in its colour, all other rows in grey. Effect "
                        "sizes are Cohen's d of numbers and h of parts; 0.2 is small, 0.8 large.")] if panels else []


def rows_shown(run: RunData, at: np.ndarray, caption: str, columns: list[str] | None = None) -> list[Block]:
    """Return rows at places of the sample as people see them: images, texts, values of columns, else names."""
    if not len(at) or run.view is None:
        return []
    if isinstance(run.view, Images):
        images = run.view.decode(run.x(at))
        width = images.shape[2] * max(1, round(IMAGE / images.shape[2])) * len(at)
        uri = f"data:image/png;base64,{pictures.png(pictures.mosaic(images, len(at)))}"
        return [Block("figure", caption=caption, uri=uri, size=f"width: {width}px", pixels=True)]
    names = [run.names[i] for i in at]
    if isinstance(run.view, Texts):
        lines = [f"{name}: {short(run.texts[i], 280)}" for name, i in zip(names, at)]
        return [Block("items", caption=caption, rows=lines)]
    if isinstance(run.view, Cells):
        chosen = (columns or [name for name, kind in run.view.kinds.items() if kind != "drop"])[:6]
        rows = [[name, *row_cells(row)] for name, row in zip(names, run.frame.iloc[at][chosen].itertuples(index=False))]
        return [table(["row", *chosen], rows, caption)]
    return [Block("text", text=f"{caption}: {', '.join(names)}.")]
