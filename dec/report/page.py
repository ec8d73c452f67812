"""A report as one HTML file that needs nothing else: blocks of text, tables and figures through a template."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from dec.io import write
from dec.report.style import rendered, short

NUMBER = re.compile(r"[–+-]?\d[\d.,]*( ?%| ± [\d.]+)?|–")
SHOWN_WIDTH = 96  # CSS pixels to the inch of a figure
LEAST_WIDTH = 58  # the same at least, in a narrow window: figures scroll rather than shrink to nothing


@dataclass
class Block:
    """A piece of a report; the template shows it by its kind. All strings in it are text, never HTML."""

    kind: str  # text, table, items, links, figure, card
    text: str = ""
    caption: str = ""
    header: list[str] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)
    uri: str = ""
    size: str = ""
    pixels: bool = False
    name: str = ""
    colour: str = ""
    blocks: list[Block] = field(default_factory=list)


@dataclass
class Page:
    """A report in the making.

    Attributes:
      folder: where report.html and figures/ go.
      formats: of the files in figures/.
    """

    folder: Path
    formats: Sequence[str]

    def figure(self, name: str, figure: Figure, caption: str) -> Block:
        """Add a figure to the page, and write it as files of its own."""
        files = {kind: rendered(figure, kind) for kind in {*self.formats, "svg"}}
        for kind in self.formats:
            write(self.folder / "figures" / f"{name}.{kind}", files[kind])
        width = figure.get_figwidth()
        size = f"width: {width * SHOWN_WIDTH:.0f}px; min-width: {width * LEAST_WIDTH:.0f}px; max-width: 100%"
        uri = f"data:image/svg+xml;base64,{base64.b64encode(files['svg']).decode()}"
        return Block("figure", caption=caption, uri=uri, size=size)

    def write(self, **content: Any) -> Path:
        """Fill the template: title, sentence, warnings, facts, command, {headline: blocks}. Returns the page's path."""
        environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True,
                                  undefined=StrictUndefined)
        environment.filters["is_number"] = lambda cell: bool(NUMBER.fullmatch(str(cell)))
        path, sections = self.folder / "report.html", content["sections"].items()
        content["sections"] = [(title, blocks) for title, blocks in sections if blocks]
        write(path, environment.get_template("page.html").render(content).encode())
        return path


def table(header: list[str], rows: list[list[Any]], caption: str = "") -> Block:
    """Return a table in which cells that read like numbers are aligned as numbers."""
    return Block("table", caption=caption, header=header, rows=[[_cell(cell) for cell in row] for row in rows])


def digits(value: float | None, factor: float = 1, nothing: str = "–") -> str:
    """Return a score times `factor` to one place; NaN and None are nothing."""
    return nothing if value is None or value != value else f"{factor * value:.1f}"


def row_cells(row: Iterable[Any]) -> list[Any]:
    """Return a row of the user's data as cells of a table: numbers stay numbers, long texts are cut off."""
    return [None if pd.isna(value) else value if isinstance(value, float) else short(value, 60) for value in row]


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "–"
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
