"""Progress while a fit runs: a bar on a terminal, a line now and then in a pipe."""

from __future__ import annotations

import sys
import time
from typing import Any

LINE_SECONDS = 10.0  # between two lines of one phase in a pipe


class Progress:
    """Called by a session between chunks; use it as a context manager.

    Args:
      prefix: shown before the phase's name, such as the method of a comparison.
      heading: a line shown first, such as the name of the data.
    """

    def __init__(self, prefix: str = "", heading: str = "") -> None:
        self.prefix, self.heading = prefix, heading
        self._bars: dict[str, Any] = {}
        self._rich: Any = None
        self._said = 0.0

    def __enter__(self) -> Progress:
        if self.heading:
            print(self.heading, file=sys.stderr)
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description:<24}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
                       TextColumn("{task.fields[terms]}"), TimeElapsedColumn(), TimeRemainingColumn())
            self._rich = Progress(*columns, console=Console(stderr=True))
            self._rich.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._rich:
            self._rich.stop()

    def __call__(self, phase: str, done: int, total: int, record: dict[str, Any]) -> None:
        """Show that `done` of `total` periods are behind us, with the last record's terms."""
        shown = ("loss", "validation_loss", "change", "occupied", "seeds_done")
        found = {name.replace("_", " "): record[name] for name in shown if record.get(name) is not None}
        terms = "  ".join(f"{name} {value:.4g}" for name, value in found.items())
        title = f"{self.prefix}{phase}"
        if self._rich:
            if title not in self._bars:
                self._bars[title] = self._rich.add_task(title, total=total, terms="")
            self._rich.update(self._bars[title], completed=done, terms=terms)
        elif done == total or time.monotonic() - self._said > LINE_SECONDS:
            print(f"{title}: {done}/{total}  {terms}", file=sys.stderr, flush=True)
            self._said = time.monotonic()
