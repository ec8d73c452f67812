"""Do several devices train what one device trains, and how many steps a second do they do?

Each number of devices is a process of its own, `dec train dec --mesh data=D` (and seeds=S by --mesh-seeds), on the
forced devices of a CPU or, by --platform gpu, on as many GPUs. Two runs of each:

* same: digits, 512 rows in one batch, so that an epoch is a step and a period too: the losses of the first 20 steps of
  pretraining and of DEC. The largest relative difference to one device; goal 1e-5.
* speed: random uint8 rows of 784 bytes, the network of the paper, epochs of pretraining: steps a second (of each seed),
  without the time to compile.

Forced devices share the cores of one CPU: there the steps a second say nothing about accelerators.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import common
import numpy as np

from dec.io import markdown

SAME = ["--data", "digits", "--limit", "512", "--batch-size", "512", "--epochs", "20", "--steps", "20",
        "--refresh-every", "1", "--tolerance", "0"]
CPU_SAYS = "These are forced devices on the cores of one CPU: their steps a second say nothing about accelerators."


def train(args, folder: Path, devices: int, words: list[str]) -> tuple[dict[tuple, float], dict[str, Any]]:
    """The losses of every phase, seed and period, and the metrics, of a run on so many devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    own = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    if args.platform == "gpu":
        own = {"CUDA_VISIBLE_DEVICES": ",".join(map(str, range(devices)))}
    if args.quick:
        own["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    seeds = args.mesh_seeds if devices > 1 else 1
    command = [sys.executable, "-m", "dec", "train", *words, "--seeds", args.mesh_seeds, "--out", folder, "--no-cache",
               "--quiet", "--device", args.platform, "--mesh", f"seeds={seeds},data={devices // seeds}"]
    done = subprocess.run(list(map(str, command)), env=os.environ | own, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"dec train on {devices} devices failed:\n{done.stderr[-2000:]}")
    lines = map(json.loads, (folder / "history.jsonl").read_text().splitlines())
    return ({(line["phase"], line["seed"], line["period"]): line["loss"] for line in lines},
            json.loads((folder / "metrics.json").read_text()))


def main() -> None:
    parser = common.parser(__doc__, "1 and 2 devices, a small network, one turn, compiled without optimizations: "
                           "the speed is none")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4], help="1 first (default: %(default)s)")
    parser.add_argument("--mesh-seeds", type=int, default=1, metavar="S", help="seeds, and devices along the mesh's "
                        "axis of seeds (default: %(default)s)")
    parser.add_argument("--platform", choices=("cpu", "gpu"), default="cpu", help="(default: %(default)s)")
    parser.add_argument("--rows", type=int, default=14_000, help="of speed (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=256, help="rows a step of speed (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=5, help="of speed (default: %(default)s)")
    parser.add_argument("--hidden", default="500,500,2000", help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="turns of speed (default: %(default)s)")
    args = common.parse(parser, devices=[1, 2], rows=2048, epochs=2, hidden="32", repeats=1)
    if args.devices[0] != 1 or any(d % args.mesh_seeds for d in args.devices[1:]):
        parser.error(f"--devices {args.devices} must begin with 1, and the others be multiples of --mesh-seeds")
    found: dict[int, dict[str, Any]] = {devices: {"steps": []} for devices in args.devices}
    network = ["--hidden", args.hidden]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        np.save(folder / "rows.npy", np.random.default_rng(0).integers(0, 256, (args.rows, 784), np.uint8))
        speed = ["ae+kmeans", "--data", folder / "rows.npy", "--n-clusters", "10", "--batch-size", args.batch,
                 "--epochs", args.epochs]
        for devices, entry in found.items():
            print(f"{devices} devices: the first 20 steps", file=sys.stderr, flush=True)
            entry["losses"] = train(args, folder / f"same-{devices}", devices, ["dec", *SAME, *network])[0]
        for turn in range(args.repeats):
            for devices, entry in found.items():
                print(f"turn {turn + 1} of {args.repeats}: {devices} devices", file=sys.stderr, flush=True)
                metrics = train(args, folder / f"speed-{devices}-{turn}", devices, [*speed, *network])[1]
                entry["steps"].append(args.epochs * -(-args.rows // args.batch) / metrics["seconds"]["pretrain"])
                entry["compile_s"] = metrics["seconds"]["compile"]
    one, result = found[1]["losses"], {}
    for devices, entry in found.items():
        apart = {phase: max(abs(loss / one[at] - 1) for at, loss in entry["losses"].items() if at[0] == phase)
                 for phase in ("pretrain", "cluster")}
        result[str(devices)] = {"steps_per_s": common.spread(entry["steps"]), "compile_s": entry["compile_s"],
                                "largest_relative_difference": apart,
                                "to_one": common.spread(s / o for s, o in zip(entry["steps"], found[1]["steps"]))}
    common.save(args, __doc__, result | ({"note": CPU_SAYS} if args.platform == "cpu" else {}))
    print(markdown(
        ["devices", "first 20 losses, pretraining", "DEC (goal 1e-5)", "steps/s", "times one device", "compile s"],
        [[devices, *(f"{value:.1e}" for value in f["largest_relative_difference"].values()),
          common.show(f["steps_per_s"], digits=1), common.show(f["to_one"]), f"{f['compile_s']:.1f}"]
         for devices, f in result.items()]))
    if args.platform == "cpu":
        print(f"\n{CPU_SAYS}")


if __name__ == "__main__":
    main()
