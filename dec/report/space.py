"""Codes in three dimensions: a page to turn by hand, and a picture that turns by itself."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from dec.errors import UserError
from dec.report.style import MARKERS, MISSING, SEQUENTIAL, STYLE, colour, short, turn

HOVER = """
const plot = document.getElementById("{plot_id}"), picture = document.body.appendChild(new Image());
picture.style = "position: fixed; right: 1rem; bottom: 1rem; height: 8rem; image-rendering: pixelated";
plot.on("plotly_hover", event => {
  const png = event.points[0].customdata;
  picture.hidden = !png;
  picture.src = "data:image/png;base64," + png;
});
plot.on("plotly_unhover", () => { picture.hidden = true; });
"""  # shows the picture of the row under the pointer
STEP, FRAMES_A_SECOND = 3, 12  # degrees from a frame to the next
SYMBOLS = ("circle", "diamond", "square", "cross", "x", "circle-open")  # plotly's, for `turn`


def turning(points: np.ndarray, groups: np.ndarray, legend: Sequence[str], title: str,
            values: np.ndarray | None = None) -> bytes:
    """Return a GIF of points in space that turns around once.

    Args:
      points: [m, 3].
      groups: int [m], clusters or others.
      legend: [m] what the group of each row is called.
      values: [m] numbers to colour by, in place of the groups; grey where they are missing.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.4, 4.2), dpi=90)
        canvas, ax = FigureCanvasAgg(figure), figure.add_subplot(projection="3d", position=(0, 0, 0.8, 0.93))
        for group in np.unique(groups) if values is None else ():
            there = groups == group
            ax.scatter(*points[there].T, color=colour(group), marker=MARKERS[turn(group)], s=6, linewidths=0,
                       label=short(np.asarray(legend)[there][0], 16))
        if values is None:
            figure.legend(loc="center right", markerscale=2, ncols=-(-len(np.unique(groups)) // 20))
        else:
            known = np.isfinite(values)
            if not known.all():  # no points at all would spoil the limits
                ax.scatter(*points[~known].T, color=MISSING, s=6, linewidths=0)
            drawn = ax.scatter(*points[known].T, c=values[known], cmap=SEQUENTIAL, s=6, linewidths=0)
            figure.colorbar(drawn, cax=figure.add_axes((0.85, 0.2, 0.03, 0.6)))
        ax.set_box_aspect(None, zoom=1.15)
        ax.set(xticklabels=[], yticklabels=[], zticklabels=[])
        figure.suptitle(title, fontsize=10, fontweight="bold")
        frames = []
        for angle in range(0, 360, STEP):
            ax.view_init(elev=20, azim=angle)
            canvas.draw()
            frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]))
    palette = frames[0].quantize(256, Image.Quantize.MAXCOVERAGE)  # the others forget the colours of few pixels
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=1000 // FRAMES_A_SECOND, loop=0)
    return stream.getvalue()


def interactive(points: np.ndarray, groups: np.ndarray, legend: Sequence[str], names: Sequence[str], title: str,
                values: np.ndarray | None = None, pictures: np.ndarray | None = None) -> str:
    """Return a page with points in space to turn and zoom; a click in the legend isolates a group, two hide it.

    Args:
      points, groups, legend, values: as of `turning`.
      names: [m] shown on hover, in lines.
      pictures: [m] PNGs as base64 that are shown on hover, "" for none.
    """
    try:
        from plotly import graph_objects
    except ImportError as error:
        raise UserError("--map interactive needs plotly: pip install 'dec[plot]'") from error
    import html

    traces, known = [], np.ones(len(points), bool) if values is None else np.isfinite(values)
    escaped = ([html.escape(text).replace("\n", "<br>") for text in texts] for texts in (names, legend))
    names, legend = (np.array(texts, object) for texts in escaped)
    for there in filter(np.any, [*((groups == group) & known for group in np.unique(groups)), ~known]):
        group, there_known = groups[there][0], known[there][0]
        tone = {"color": colour(group) if there_known else MISSING}
        if values is not None and there_known:
            tone = {"color": values[there], "coloraxis": "coloraxis"}
        x, y, z = points[there].T.astype(np.float32)
        traces.append(graph_objects.Scatter3d(
            x=x, y=y, z=z, mode="markers", name=legend[there][0] if there_known else "missing", text=names[there],
            hoverinfo="text+name", customdata=None if pictures is None else pictures[there],
            marker={"size": 3, "symbol": SYMBOLS[turn(group)], **tone}))
    figure = graph_objects.Figure(traces)
    figure.update_layout(
        title=html.escape(title), margin={"l": 0, "r": 0, "b": 0},
        coloraxis={"colorscale": SEQUENTIAL, "colorbar": {"x": 0}},
        legend={"itemsizing": "constant", "itemclick": "toggleothers", "itemdoubleclick": "toggle"})
    # Without its button that uploads the chart: nothing of the data leaves this machine.
    local = {"displaylogo": False, "modeBarButtonsToRemove": ["sendChartToCloud"]}
    script = None if pictures is None else HOVER
    return figure.to_html(include_plotlyjs=True, config=local, div_id="codes", post_script=script)
