"""A drawing of the steps from data to clusters, of `dec describe`."""

from __future__ import annotations

import itertools
import textwrap

from matplotlib.figure import Figure

from dec.report.style import PALETTE, styled
from dec.runs.describe import Description

CHARACTERS = 13  # to the inch of a drawing


@styled
def drawn(found: Description) -> Figure:
    """Draw the steps as boxes with arrows from each to the next."""
    most = max(map(len, found.steps))
    width = max(5.0, 2.3 * most)
    figure = Figure(figsize=(width, 0.95 * len(found.steps)))
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, 1), ylim=(len(found.steps), 0))
    ax.axis("off")
    for level, step in enumerate(found.steps):
        tone = PALETTE[0] if "parameters" in step[0] else "#777777"
        for i, words in enumerate(step):
            lines = textwrap.fill(words, int(CHARACTERS * width / len(step)))
            ax.annotate(lines, ((i + 0.5) / len(step), level + 0.5), ha="center", va="center", fontsize=8,
                        bbox={"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": tone})
        before = len(found.steps[level - 1]) if level else 0
        for start, end in itertools.product(range(before), range(len(step))):
            ax.annotate("", ((end + 0.5) / len(step), level + 0.25), ((start + 0.5) / before, level - 0.25),
                        arrowprops={"arrowstyle": "->", "color": "#777777"})
    return figure
