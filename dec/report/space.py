"""Codes in three dimensions: a page to turn by hand, and a picture that turns by itself."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from dec.report.style import MARKERS, SEQUENTIAL, STYLE, colour, turn

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


def turning(points: np.ndarray, groups: np.ndarray, title: str, values: np.ndarray | None = None) -> bytes:
    """A GIF of points in space that turns around once.

    Args:
      points: [m, 3].
      groups: int [m], clusters or others.
      values: [m] numbers to colour by, in place of the groups.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    shapes = np.array([MARKERS[turn(group)] for group in groups])
    tones = np.array([colour(group) for group in groups]) if values is None else values
    scale = {} if values is None else {"cmap": SEQUENTIAL, "vmin": np.nanmin(values), "vmax": np.nanmax(values)}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.5, 4.2), dpi=90)
        canvas, ax = FigureCanvasAgg(figure), figure.add_subplot(projection="3d", position=(0, 0, 1, 0.93))
        for shape in np.unique(shapes):
            ax.scatter(*points[shapes == shape].T, c=tones[shapes == shape], marker=shape, s=6, linewidths=0, **scale)
        ax.set_box_aspect(None, zoom=1.15)
        ax.set(title=title, xticklabels=[], yticklabels=[], zticklabels=[])
        frames = []
        for angle in range(0, 360, STEP):
            ax.view_init(elev=20, azim=angle)
            canvas.draw()
            frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]))
    palette = frames[0].quantize(128)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=1000 // FRAMES_A_SECOND, loop=0)
    return stream.getvalue()


def interactive(points: np.ndarray, groups: np.ndarray, legend: Sequence[str], names: Sequence[str], title: str,
                values: np.ndarray | None = None, pictures: np.ndarray | None = None) -> str:
    """A page with points in space to turn, zoom and point at; a click in the legend hides a group, two isolate it.

    Args:
      points: [m, 3].
      groups: int [m], clusters or others.
      legend: [m] what the group of each row is called.
      names: [m] shown on hover, in lines.
      values: [m] numbers to colour by, in place of the groups.
      pictures: [m] PNGs as base64 that are shown on hover, "" for none.

    Raises:
      ValueError: when plotly is not installed.
    """
    try:
        from plotly import graph_objects
    except ImportError as error:
        raise ValueError("--map interactive needs plotly: pip install 'dec[plot]'") from error
    import html

    traces = []
    escaped = ([html.escape(text).replace("\n", "<br>") for text in texts] for texts in (names, legend))
    names, legend = (np.array(texts, object) for texts in escaped)
    for group in np.unique(groups):
        there = groups == group
        tone = {"color": colour(group)} if values is None else {
            "color": values[there], "colorscale": SEQUENTIAL, "cmin": np.nanmin(values), "cmax": np.nanmax(values)}
        x, y, z = points[there].T.astype(np.float32)
        traces.append(graph_objects.Scatter3d(
            x=x, y=y, z=z, mode="markers", name=legend[there][0], text=names[there], hoverinfo="text+name",
            customdata=None if pictures is None else pictures[there],
            marker={"size": 3, "symbol": SYMBOLS[turn(group)], **tone}))
    figure = graph_objects.Figure(traces)
    figure.update_layout(title=html.escape(title), legend={"itemsizing": "constant"}, margin={"l": 0, "r": 0, "b": 0})
    # Without its button that uploads the chart: nothing of the data leaves this machine.
    local = {"displaylogo": False, "modeBarButtonsToRemove": ["sendChartToCloud"]}
    script = None if pictures is None else HOVER
    return figure.to_html(include_plotlyjs=True, config=local, div_id="codes", post_script=script)
