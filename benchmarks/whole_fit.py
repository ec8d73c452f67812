"""How long is a whole fit of DEC at the default recipe of ClustPy 0.0.3, compilation included, and how good is it?

100 epochs of pretraining and 150 of DEC by Adam, batch 256, 500-500-2000-10, on rows divided by their largest value;
`versus_clustpy.py` has the recipe, the single epochs and how to install ClustPy. Seconds are those of the call of `fit`
in a process that has imported all: this package's includes compiling every program, with no cache. The sides take
turns, with another seed each turn; labels serve the ACC alone. Data are read as `dec train --data` does ($DEC_DATA).

One difference: this package looks at all rows every 140 steps, or once an epoch where that is more.
"""

from __future__ import annotations

import os
import sys
import time

import common
import numpy as np
from versus_clustpy import clustpy_side, defaults

from dec.io import markdown

EPOCHS, DEC_EPOCHS, BATCH = 100, 150, 256


def dec_side(x: np.ndarray, epochs: int, dec_epochs: int, seed: int, clusters: int) -> dict:
    import jax

    from dec.methods import make
    from dec.training.fit import fit
    from dec.training.session import Session

    jax.clear_caches()
    steps, session = -(-len(x) // BATCH), Session([seed])
    model = defaults(epochs, dec_epochs * steps, max(140, steps), BATCH)
    start = time.perf_counter()
    fitted = fit(x, clusters, make("dec", {"target": "batch"}), model, session)
    return {"fit_s": time.perf_counter() - start, "compile_s": session.seconds["compile"], "labels": fitted.labels[0]}


def main() -> None:
    parser = common.parser(__doc__, "digits, 3 + 3 epochs, one turn")
    parser.add_argument("--clustpy-python", help="the interpreter that has ClustPy; without it that side is not run")
    parser.add_argument("--data", nargs="+", default=["digits", "usps"], help="(default: digits usps)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of pretraining (default: %(default)s)")
    parser.add_argument("--dec-epochs", type=int, default=DEC_EPOCHS, help="of DEC (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="turns of both sides (default: %(default)s)")
    common.add_device(parser)
    args = common.parse(parser, data=["digits"], epochs=3, dec_epochs=3, repeats=1)
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    from dec.data.readers import load
    from dec.metrics import accuracy

    python, args.clustpy_python = args.clustpy_python, bool(args.clustpy_python)
    result, lines = {}, []
    for name in args.data:
        data = load(name)
        x = np.reshape(data.x, (len(data), -1)).astype(np.float32)
        x /= x.max()
        turns: dict[str, list[dict]] = {"clustpy": [], "dec": []}
        for seed in range(args.repeats):
            print(f"{name}: seed {seed} (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)
            if python:
                turns["clustpy"].append(clustpy_side(python, x, args.threads, args.epochs, args.dec_epochs, BATCH, seed,
                                                     data.n_classes, args.device))
            turns["dec"].append(dec_side(x, args.epochs, args.dec_epochs, seed, data.n_classes))
        result[name] = {side: {part: common.spread(run[part] for run in runs) for part in ("fit_s", "compile_s")}
                        | {"acc": common.spread(100 * accuracy(data.y, run["labels"]) for run in runs)}
                        for side, runs in turns.items() if runs}
        if python:
            result[name]["clustpy"] |= {about: turns["clustpy"][0][about] for about in ("versions", "device")}
            result[name]["times clustpy"] = common.spread(
                theirs["fit_s"] / ours["fit_s"] for theirs, ours in zip(*turns.values()))
        lines += [[name, side, common.show(result[name][side]["fit_s"], digits=1),
                   common.show(result[name][side]["compile_s"], digits=1),
                   common.show(result[name].get("times clustpy")) if side == "dec" else "",
                   common.show(result[name][side]["acc"], digits=1)] for side in turns if side in result[name]]
    common.save(args, __doc__, result)
    print(markdown(["data", "side", "seconds", "of them compiling", "x ClustPy", "ACC"], lines))


if __name__ == "__main__":
    main()
