"""How every figure looks: colours, markers, and files of it. Figures are made without pyplot and its global state."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

# Ten colours that differ for normal and colour-blind eyes (CIE76 distance of at least 16 under simulated protanopia,
# deuteranopia and tritanopia, noise included): eight of M. Petroff, "Accessible Color Sequences for Data
# Visualization", arXiv:2107.02270, table 3, with dark green and dark blue for its two greys.
PALETTE = ("#3f90da", "#ffa90e", "#bd1f01", "#14532d", "#832db6", "#92dadd", "#a96b59", "#e76300", "#1e1b6b", "#b9ac70")
NOISE, MISSING, REST = "#8f8f8f", "#cccccc", "#bbbbbb"  # rows of no cluster, without a value, of other clusters
TRAINING, VALIDATION = "#1f6fb4", "#bd1f01"
MARKERS, HATCHES = "o^sDvP", ("", "///", "...", "xxx", "\\\\\\", "+++")
SEQUENTIAL = "cividis"
DIVERGING = LinearSegmentedColormap.from_list("dec", ("#1e4b8f", "#8fb8de", "#f7f7f7", "#f0a868", "#a33c00"))

STYLE = {
    "font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 10, "axes.labelsize": 9, "legend.fontsize": 8,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#555555", "axes.titleweight": "bold",
    "text.color": "#1a1a1a", "axes.labelcolor": "#1a1a1a", "xtick.color": "#333333", "ytick.color": "#333333",
    "legend.frameon": False, "figure.facecolor": "white", "savefig.facecolor": "white", "figure.dpi": 100,
    "text.parse_math": False,  # names with dollar signs are no formulas
    "svg.hashsalt": "dec", "pdf.fonttype": 42, "image.interpolation": "none",
}


def colour(cluster: int) -> str:
    """Return the colour of a cluster, the same in all figures: that of its number modulo ten, grey for noise (-1)."""
    return NOISE if cluster < 0 else PALETTE[cluster % len(PALETTE)]


def turn(cluster: int) -> int:
    """Return how often the colors have been used up before this cluster, which decides on marker and hatching."""
    return 0 if cluster < 0 else cluster // len(PALETTE) % len(MARKERS)


def cluster_name(cluster: int) -> str:
    """Return the name of a cluster."""
    return "noise" if cluster < 0 else str(cluster)


def short(text: str, most: int = 28) -> str:
    """Return a name as a label: on one line, cut off, without control characters, which SVG does not allow."""
    text = "".join(c for c in " ".join(str(text).split()) if c.isprintable())
    return text if len(text) <= most else text[:most - 1] + "…"


def styled(make: Callable[..., Figure]) -> Callable[..., Figure]:
    """Return a function that makes a figure, in the style of this package whatever the user's own settings."""
    @functools.wraps(make)
    def wrapped(*args, **options):
        with mpl.rc_context(STYLE):
            return make(*args, **options)

    return wrapped


def grid_of(panels: int, width: float = 3.6, height: float = 2.9, columns: int = 3) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels in rows of `columns`; `width` and `height` are those of a panel in inches."""
    columns = min(columns, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[panels:]:
        unused.remove()
    return figure, list(axes[:panels])


def log_scale(axis: Axis) -> None:
    """Make an axis logarithmic, with plain numbers at it."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def positive(values: np.ndarray) -> bool:
    """Return whether a logarithmic scale can show all values and helps: they span more than a factor of 3."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    return len(values) > 0 and values.min() > 0 and values.max() > 3 * values.min()


def rendered(figure: Figure, kind: str) -> bytes:
    """Return a figure as a file of the kind png, svg or pdf at publication size; the same bytes for the same figure."""
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
    dpi = 200 if kind == "svg" else 300  # of what is pixels; the SVG is also in the page
    stream = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(stream, format=kind, dpi=dpi, metadata=metadata)
    return stream.getvalue()
