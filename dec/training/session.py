"""What the host does between chunks: history, progress, callback, checkpoints, interruption, and a clock."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dec.io import write
from dec.training.checkpoint import Checkpoints
from dec.training.engine import RUNNING, Phase, Visit, run
from dec.training.mesh import any_process, first_process, gather


class CompileClock:
    """Seconds JAX has spent tracing and compiling in this process.

    JAX reports each piece when it ends; pieces nest, so their union is taken.
    """

    def __init__(self) -> None:
        self._intervals: list[tuple[float, float]] = []
        jax.monitoring.register_event_duration_secs_listener(self._listen)  # type: ignore[arg-type]

    def _listen(self, event: str, seconds: float, /, **_: Any) -> None:
        if event.startswith("/jax/core/compile/"):
            end = time.perf_counter()
            while self._intervals and self._intervals[-1][0] >= end - seconds:
                self._intervals.pop()
            self._intervals.append((end - seconds, end))

    def seconds(self) -> float:
        """Return the total so far."""
        return sum(end - start for start, end in self._intervals)


COMPILING = CompileClock()


class Session:
    """One fit as the host sees it.

    Args:
      seeds: the seeds being trained, for the history.
      progress: called as progress(phase name, periods done, periods, last record) between chunks.
      callback: the user's, called with this session between chunks; it may read `phase`, `step`, `running`
        (the seeds this phase trains), `terms` (each an array over them), and call `codes()`: [seeds, n, c].
      checkpoints: where to save, or None.
      log: a file that each line of the history is added to as it comes.
    """

    def __init__(
        self,
        seeds: list[int],
        progress: Callable[[str, int, int, dict], None] | None = None,
        callback: Callable[[Session], None] | None = None,
        checkpoints: Checkpoints | None = None,
        log: Path | None = None,
    ) -> None:
        self.seeds, self.progress, self.callback, self.checkpoints = seeds, progress, callback, checkpoints
        self.log = log
        self.history: list[dict[str, Any]] = []
        self.seconds = {"compile": 0.0, "pretrain": 0.0, "cluster": 0.0}
        self.interrupted = False  # the same in all processes
        self.signal = 0  # that asked this one to stop
        self.choice: dict[str, Any] | None = None  # of k, where it was left to the data
        self.reused = 0  # seeds whose pretrained network came from a cache
        self.phase, self.step, self.running = "", 0, list(seeds)
        self.terms: dict[str, np.ndarray] = {}
        self.codes: Callable[[], np.ndarray] | None = None
        self._saved = time.perf_counter()

    @contextmanager
    def clock(self, part: str) -> Iterator[None]:
        """Add the time inside to `seconds[part]`, less what went into compilation."""
        self._clock = part, time.perf_counter(), COMPILING.seconds()
        yield
        self._tick()

    def _tick(self) -> None:
        """Bring `seconds` up to date."""
        part, began, compiled = self._clock
        now, compiling = time.perf_counter(), COMPILING.seconds()
        self.seconds["compile"] += compiling - compiled
        self.seconds[part] += now - began - (compiling - compiled)
        self._clock = part, now, compiling

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let Ctrl-C (or SIGTERM) end training at the next chunk; a second one ends it at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(signum, frame):
            if self.signal:
                raise KeyboardInterrupt
            self.signal = signum
            print("\nStopping after this chunk; press Ctrl-C again to stop at once.", file=sys.stderr)

        before = {signum: signal.signal(signum, ask) for signum in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
            self._stop()
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _stop(self) -> bool:
        """Return whether any process was asked to stop; all come here together."""
        self.interrupted = any_process(bool(self.signal) or self.interrupted)
        return self.interrupted

    def run(self, phase: Phase, data, extra, keys, state, start: int, seeds: list[int], encode) -> Any:
        """Call `engine.run`, with everything of this class between its chunks.

        Args:
          start: the first period to run.
          seeds: those that `keys` and `state` are stacked over.
          encode: (data, nets) -> codes of all rows, for a callback that asks for them.
        """
        def visit(visit: Visit) -> bool:
            self._record(visit, seeds)
            if self.progress:
                done = len(seeds) if visit.finished else int((visit.status != RUNNING).sum())
                several = {"seeds_done": done} if len(seeds) > 1 else {}
                last = self.history[-1] if self.history else {}
                self.progress(phase.name, visit.next, phase.periods, last | several)
            if self.callback:
                self.phase, self.step, self.running = phase.name, int(visit.step.max()), seeds
                last = np.maximum(visit.done - 1, 0)  # where a seed stopped within the chunk
                self.terms = {n: values[np.arange(len(last)), last] for n, values in visit.records.items()}
                self.codes = lambda: np.asarray(encode(data, gather(visit.state.net)))
                self.callback(self)
            least = float(os.environ.get("DEC_CHECKPOINT_SECONDS", 60))  # between two checkpoints of a phase
            due = first_process(visit.finished or time.perf_counter() - self._saved >= least)
            stop = self._stop()
            if self.checkpoints and (due or stop):
                self._tick()
                about = {"history": self.history, "seconds": self.seconds, "seeds": seeds, "choice": self.choice}
                self.checkpoints.save(phase.name, visit.next, gather(visit.state), about)
                self._saved = time.perf_counter()
            return stop

        return state if self._stop() else gather(run(phase, data, extra, keys, state, visit, start))

    def write_log(self) -> None:
        """Write the whole history anew: what a resumed run or a cache brought along belongs in it too."""
        if self.log:
            write(self.log, "".join(json.dumps(record) + "\n" for record in self.history).encode())

    def _record(self, visit: Visit, seeds: list[int]) -> None:
        known = len(self.history)
        for i in range(int(visit.done.max())):
            for s in np.flatnonzero(visit.done > i):
                values = {name: value[s, i].item() for name, value in visit.records.items()}
                values = {name: value if np.isfinite(value) else None for name, value in values.items()}
                self.history.append({"phase": visit.phase.name, "seed": seeds[s], "period": visit.first + i, **values})
        if self.log:
            with open(self.log, "a") as file:
                file.writelines(json.dumps(record) + "\n" for record in self.history[known:])
