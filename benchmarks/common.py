"""What the benchmark scripts share: options, thread limits, blocking timers, spreads, and the JSON they write.

Imports jax only inside functions, so that a script can limit its threads first and answers `--help` at once.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("jax", "jaxlib", "optax", "flax", "numpy", "scipy", "pandas", "scikit-learn", "umap-learn", "pynndescent",
            "numba")  # all that decide results


def parser(about: str, quick: str) -> argparse.ArgumentParser:
    """A parser with the options that every script has; `quick` says what --quick does."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--threads", type=int, default=os.cpu_count(), help="of the CPU, of every side (default: all)")
    made.add_argument("--quick", action="store_true", help=quick)
    made.add_argument("--out", type=Path, help="where to write the JSON")
    return made


def add_device(parser: argparse.ArgumentParser) -> None:
    """The option --device, of scripts that have another side beside JAX."""
    parser.add_argument("--device", choices=("cpu", "gpu", "tpu"), default="cpu",
                        help="of every side (default: %(default)s)")


def parse(parser: argparse.ArgumentParser, **quick: Any) -> argparse.Namespace:
    """The options, by --quick with the defaults given here; limits the threads, and JAX to --device."""
    args = parser.parse_args()
    if args.quick:
        parser.set_defaults(**quick)
        args = parser.parse_args()
    limit_threads(args.threads)
    if "device" in args:
        os.environ["JAX_PLATFORMS"] = {"gpu": "cuda"}.get(args.device, args.device)
    return args


def save(args: argparse.Namespace, about: str, result: Any) -> None:
    """The question, the options (but for places on this machine) and the result as JSON where --out says."""
    options = {name: value for name, value in vars(args).items() if name != "out" and not isinstance(value, Path)}
    write_json(args.out, {"question": about.splitlines()[0], "options": options, "result": result})


def limit_threads(threads: int) -> None:
    """Give this process, and those it starts, `threads` CPU threads. Call it before jax is imported."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    for name in ("NPROC", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)


def timed(function: Callable, *args: Any) -> tuple[float, Any]:
    """Seconds of `function(*args)` until every array it returns is ready, and what it returned."""
    import jax

    start = time.perf_counter()
    result = jax.block_until_ready(function(*args))
    return time.perf_counter() - start, result


def compiled(function: Callable, *args: Any, **jit: Any) -> tuple[float, Callable]:
    """Seconds to trace and compile `function` for `args`, and the compiled function."""
    import jax

    start = time.perf_counter()
    program = jax.jit(function, **jit).lower(*args).compile()
    return time.perf_counter() - start, program


def spread(values: Iterable[float]) -> dict[str, float]:
    """Median, extremes and number of repeated measurements."""
    values = list(values)
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def show(values: dict[str, float] | None, unit: str = "", digits: int = 2) -> str:
    """A spread as a table cell: the median, with the extremes beside it."""
    if values is None:
        return "not yet run"
    return f"{values['median']:.{digits}f}{unit} ({values['min']:.{digits}f} to {values['max']:.{digits}f})"


def environment() -> dict[str, Any]:
    """Versions, device, CPU, date and commit, for the JSON of every benchmark."""
    import jax

    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    device = jax.devices()[0]
    return {
        **BEGAN,
        "versions": versions,
        "device": f"{device.platform}: {device.device_kind}",
        "devices": jax.device_count(),
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count(),
        "cpu_threads_used": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load": os.getloadavg()[0],
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def git(*args: str) -> str | None:
    try:
        return subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


# Of the code that runs, not of what lies there in the end.
BEGAN = {
    "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    "commit": git("rev-parse", "HEAD"),
    "uncommitted_changes": bool(git("status", "--porcelain", "--", "dec", "benchmarks", ":!benchmarks/results")),
}


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def write_json(path: str | os.PathLike | None, result: dict[str, Any]) -> None:
    """Write `result` with the environment beside it; no path, no file."""
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(environment() | result, indent=1) + "\n")
