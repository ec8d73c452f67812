"""Does this package reach its goals on an accelerator? Throughput, k-means and ten seeds of MNIST, in ten minutes.

Each script is a process of its own and writes its JSON to the folder; the table at the end is made from these files. A
script that fails, or that the ten minutes do not suffice for, is shown as failed, and the others go on. MNIST is read
from $DEC_DATA. With --clustpy-python (see versus_clustpy.py; its torch must see the GPU) an epoch of ClustPy is timed
too. How a goal is measured is told by the --help of its script.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common

from dec.io import markdown, read_json
from dec.runs.folder import slug
from dec.runs.results import percent

HERE = Path(__file__).resolve().parent
SECONDS = 580  # for all, so that the table is there within ten minutes
SCRIPTS = {  # the name of each JSON: the script with what always holds, and what --quick takes the place of
    "seeds": ("throughput.py", "--rows 70000 --seeds 1 10"),
    "throughput": ("throughput.py --seeds 1 --bfloat16", "--rows 70000 --batch 4096"),
    "kmeans": ("kmeans.py", ""),
    "ten_seeds": ("ten_seeds.py", ""),
}


def reached(found: dict[str, float], least: float, digits: int = 2) -> tuple[str, bool]:
    return common.show(found, digits=digits), found["median"] >= least


def alone(found: dict[str, Any]) -> tuple[str, None]:
    one = found["seeds"]["1"]
    return f"{common.show(one['samples_per_s'], digits=0)}; of the floor {common.show(one['of_traffic_floor'])}", None


def ten_seeds(found: dict[str, Any]) -> tuple[str, bool]:
    fit = found["dec"]
    return (f"{fit['without_compile_s']:.1f} s, and {fit['compile_s']:.1f} to compile; ACC {percent(fit['acc'])}; "
            f"{len(fit['failures'])} failed", fit["without_compile_s"] <= 60 and not fit["failures"])


def clustpy(found: dict[str, Any]) -> tuple[str, bool]:
    times = found["times clustpy"]
    return f"pretraining {times['pretrain']:.0f}, DEC {times['dec']:.0f}", min(times.values()) >= 100


GOALS: list[tuple[str, str, Callable]] = [
    ("ten seeds at batch 256: at least .5 of the memory-traffic floor", "seeds",
     lambda found: reached(list(found["seeds"].values())[-1]["of_traffic_floor"], 0.5)),
    ("one seed alone at batch 256: samples a second", "seeds", alone),
    ("model FLOPs utilisation, batch 4096, bfloat16: at least .5", "throughput",
     lambda found: reached(found["seeds"]["1"]["mfu"], 0.5)),
    ("k-means on 70,000 codes, 20 restarts: 20 times scikit-learn's speed", "kmeans",
     lambda found: reached(found["times scikit-learn"], 20, digits=1)),
    ("MNIST, 300 epochs and DEC to tolerance, ten seeds, without compiling: at most 60 s", "ten_seeds", ten_seeds),
    ("an epoch of one of these seeds: 100 times ClustPy's speed on the same device", "ten_seeds", clustpy),
]


def ran(words: list[str], out: Path, seconds: float) -> str:
    """What became of a script: done or failed, and why."""
    out.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / words[0]), *words[1:], "--out", str(out)]
    print(f"\n$ {shlex.join(command)}", flush=True)
    process = subprocess.Popen(command, start_new_session=True)
    try:
        status = process.wait(max(seconds, 0))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with what it has started
        return f"failed: stopped, {SECONDS} s are over"
    return f"failed: exit status {status}" if status else "done"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clustpy-python", help="the interpreter that has ClustPy; without it that row is not run")
    parser.add_argument("--quick", action="store_true", help="everything tiny, on any device: the figures say nothing")
    parser.add_argument("--out", type=Path, help="the folder of the JSON files (default: results/DEVICE, here)")
    args = parser.parse_args()
    began = time.monotonic()
    device = subprocess.run(  # not in this process, which would take the memory of the device
        [sys.executable, "-c", "import jax; d = jax.devices()[0]; print(f'{d.platform}: {d.device_kind}')"],
        stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    platform, kind = device.split(": ", 1)
    if platform == "cpu" and not args.quick:
        sys.exit("JAX finds no accelerator here; --quick tries everything out on the CPU")
    folder, outcomes, lines = args.out or HERE / "results" / slug(kind), {}, []
    folder.mkdir(parents=True, exist_ok=True)
    for name, (script, sizes) in SCRIPTS.items():
        words = [*script.split(), *(["--quick"] if args.quick else sizes.split())]
        if name == "ten_seeds":
            words += ["--device", platform, *(["--clustpy-python", args.clustpy_python] if args.clustpy_python else [])]
        outcomes[name] = ran(words, folder / f"{name}.json", SECONDS + began - time.monotonic())
    for goal, name, read in GOALS:
        path = folder / f"{name}.json"
        try:
            measured, met = read(read_json(path)["result"])
        except (FileNotFoundError, KeyError):
            measured, met = outcomes[name] if outcomes[name] != "done" else "not yet run", None
        lines.append([goal, measured, "–" if met is None or args.quick else "yes" if met else "no"])
    header = ["goal", "measured", "met?"]
    common.write_json(folder / "accelerator.json", {
        "question": __doc__.splitlines()[0], "quick": args.quick, "scripts": outcomes,
        "seconds": time.monotonic() - began, "result": [dict(zip(header, line)) for line in lines]})
    print(f"\n{markdown(header, lines)}\n\n{device}: {time.monotonic() - began:.0f} s, {folder}")
    if args.quick:
        print("By --quick the figures say nothing.")
    if any(outcome != "done" for outcome in outcomes.values()):
        sys.exit("Not every script came to its end.")


if __name__ == "__main__":
    main()
