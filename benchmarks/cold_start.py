"""How long from `dec train` to the first training steps, with an empty and with a warm compilation cache?

A process of its own each time; the clock stops when the first epoch (of digits: 8 steps) is in history.jsonl. Cold: an
empty cache folder; warm: that of the cold start before it. Also the part of it that imports take, before anything is
read or compiled. The files of Python's packages are in the page cache after the first turn: compare the turns' range.
Goals on a CPU: 15 s cold, 5 s warm.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common

from dec.io import markdown

GOALS = {"imports": None, "cold": 15.0, "warm": 5.0}


def first_step(folder: Path, cache: Path, options: list[str]) -> float:
    """Seconds from the start of a process to the first line of its history; it is ended then."""
    history = folder / "history.jsonl"
    command = [sys.executable, "-m", "dec", "train", *options, "--out", folder, "--no-cache", "--quiet"]
    start = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | {"DEC_CACHE": str(cache)}, stderr=subprocess.PIPE, text=True)
    while not (history.is_file() and history.stat().st_size) and process.poll() is None:
        time.sleep(0.005)
    seconds = time.perf_counter() - start
    process.kill()
    _, error = process.communicate()
    if not history.is_file():
        sys.exit(f"dec train failed:\n{error}")
    return seconds


def imports() -> float:
    """Seconds of a process that imports what a run needs."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import dec.cli, dec.runs"], check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = common.parser(__doc__, "one turn of a small network")
    parser.add_argument("--options", default="dec --data digits", help="of dec train (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="turns (default: %(default)s)")
    args = common.parse(parser, repeats=1, options="dec --data digits --hidden 16")
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)  # it would come before the folder of this script
    seconds: dict[str, list[float]] = {name: [] for name in GOALS}
    for turn in range(args.repeats):
        with tempfile.TemporaryDirectory() as folder:
            print(f"turn {turn + 1} of {args.repeats} (load {os.getloadavg()[0]:.1f})", file=sys.stderr)
            seconds["imports"].append(imports())
            for name in ("cold", "warm"):
                seconds[name].append(first_step(Path(folder) / name, Path(folder) / "cache", shlex.split(args.options)))
    result = {name: common.spread(values) for name, values in seconds.items()}
    result["cold / warm"] = common.spread(c / w for c, w in zip(seconds["cold"], seconds["warm"]))
    common.save(args, __doc__, result)
    print(markdown(["start", "seconds", "goal"], [
        [name, common.show(result[name]), f"{goal:.0f}" if goal else ""] for name, goal in GOALS.items()]))
    print(f"\ncold / warm: {common.show(result['cold / warm'])}")


if __name__ == "__main__":
    main()
