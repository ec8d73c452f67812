"""How long does DEC-keras's protocol on MNIST take for ten seeds at once, and a seed's epoch beside ClustPy's?

The preset dec-keras-mnist: 300 epochs of pretraining, then DEC to its tolerance. Goals on an H200: at most 60 s without
the time to compile, which is told apart; an epoch of one seed at least 100 times as fast as ClustPy 0.0.3's on the same
device. This package's products are in JAX's default precision (TF32 on such a GPU), ClustPy's in PyTorch's (float32).

ClustPy would take hours, so it trains a few epochs only, at its defaults (Adam), on the same rows, widths and batch.
Compared are the seconds of an epoch, never those of whole fits: ClustPy's median without the first one, and all seconds
of this package's phase but for compiling, over the epochs of all its seeds. Its DEC's include k-means, the passes over
all rows and the labels, which ClustPy's epochs do not. `versus_clustpy.py` tells how to install ClustPy. Labels serve
the ACC alone.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import common
import numpy as np
from versus_clustpy import PHASES, clustpy_side, steady

from dec.io import markdown
from dec.runs.results import percent

QUICK = {"data": "digits", "model": {"pretraining": {"epochs": 2}, "refinement": {"steps": 16, "refresh_every": 8}}}


def dec_side(run, x: np.ndarray, y: np.ndarray, seeds: int) -> dict[str, Any]:
    """Seconds of the fit and its parts, seconds of an epoch of one seed, and what became of each seed."""
    from dec.methods import make
    from dec.metrics import accuracy
    from dec.training.engine import execution
    from dec.training.fit import fit
    from dec.training.session import Session

    def tick(phase: str, done: int, total: int, record: dict) -> None:
        print(f"{phase}: {done} of {total}", file=sys.stderr, flush=True)

    session, start = Session(list(range(seeds)), progress=tick), time.perf_counter()
    fitted = fit(x, run.n_clusters, make(run.method, run.options), run.model, session)
    seconds, compiling = time.perf_counter() - start, session.seconds["compile"]
    steps = [r["steps"] for r in fitted.runs]
    epochs = seeds * run.model.pretraining.epochs, sum(steps) / -(-len(x) // run.model.batch_size)
    return {
        "fit_s": seconds, "compile_s": compiling, "without_compile_s": seconds - compiling,
        "parts_s": session.seconds, "seeds_are": "side by side" if execution() == "vmap" else "one after the other",
        "epoch_s": {phase: session.seconds[part] / n
                    for phase, part, n in zip(PHASES, ("pretrain", "cluster"), epochs)},
        "steps": steps, "failures": [f"seed {r['seed']}: {r['reason']}" for r in fitted.runs if r["status"] != "ok"],
        "acc": [accuracy(y, labels) for r, labels in zip(fitted.runs, fitted.labels) if r["status"] == "ok"]}


def main() -> None:
    parser = common.parser(__doc__, "digits, 2 seeds, 2 epochs and 16 steps: the figures say nothing")
    parser.add_argument("--clustpy-python", help="the interpreter that has ClustPy; without it that side is not run")
    parser.add_argument("--seeds", type=int, default=10, help="(default: %(default)s)")
    parser.add_argument("--clustpy-epochs", type=int, default=4, help="of each phase (default: %(default)s)")
    common.add_device(parser)
    args = common.parse(parser, seeds=2, clustpy_epochs=2)
    from dec import config
    from dec.data.readers import load
    from dec.runs.presets import preset

    python, args.clustpy_python = args.clustpy_python, bool(args.clustpy_python)
    run = config.replace(preset("dec-keras-mnist"), QUICK if args.quick else {})
    data = load(run.data)
    x = np.reshape(data.x, (len(data), -1))
    result: dict[str, Any] = {"dec": dec_side(run, x, data.y, args.seeds)}
    common.save(args, __doc__, result)  # already: the other side may fail
    epoch = result["dec"]["epoch_s"]
    if python:
        theirs = clustpy_side(python, (x / x.max()).astype(np.float32), args.threads, args.clustpy_epochs,
                              args.clustpy_epochs, run.model.batch_size, 0, run.n_clusters, args.device)
        result["clustpy"] = {about: theirs[about] for about in ("versions", "device")} | {
            "epoch_s": {phase: steady(theirs, phase) for phase in PHASES}}
        result["times clustpy"] = {phase: result["clustpy"]["epoch_s"][phase] / epoch[phase] for phase in PHASES}
        common.save(args, __doc__, result)
    ours = result["dec"]
    print(markdown(
        ["side", *(f"{name}: s an epoch of a seed" for name in ("pretraining", "DEC")), *("x ClustPy",) * 2],
        [[side, *(f"{result[side]['epoch_s'][phase]:.4f}" for phase in PHASES),
          *(f"{result['times clustpy'][phase]:.1f}" if python and side == "dec" else "" for phase in PHASES)]
         for side in ("dec", "clustpy") if side in result]))
    print(f"\n{args.seeds} seeds, {ours['seeds_are']}: {ours['without_compile_s']:.1f} s, and {ours['compile_s']:.1f} "
          f"to compile; ACC {percent(ours['acc'])}; {len(ours['failures'])} failed; {min(ours['steps'])} to "
          f"{max(ours['steps'])} steps of DEC")


if __name__ == "__main__":
    main()
