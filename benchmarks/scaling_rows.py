"""Does the cost of a row stay the same from ten thousand rows to ten million?

Random uint8 rows of 784 bytes in a file, the network of the paper (784-500-500-2000-10), untrained:

* encode: the codes of all rows.
* refresh: DEC's pass over all rows, their labels and soft assignments, and the sums that targets need.
* refresh + steps: one period of the engine, a refresh and 140 steps at batch 256. The steps cost the same for any n, so
  that its seconds a row fall towards those of the refresh alone.

Resident, or by --streamed read from the file as it is used. Linear is a ratio of 1 to the smallest n in seconds a row.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import common
import numpy as np
from streamed import CLUSTERS, WIDTH, mapped

from dec.io import markdown


def seconds(x: np.ndarray, args) -> dict[str, Any]:
    """Of encoding, of a refresh and of a period on these rows; and to compile all three."""
    import jax
    import jax.numpy as jnp

    from dec import config
    from dec.data.scaling import Scaling
    from dec.methods import make
    from dec.methods.base import Head
    from dec.networks.autoencoder import Net, build
    from dec.training import engine
    from dec.training.pretrained import encode
    from dec.training.refine import Refine, Trained
    from dec.training.rows import reading
    from dec.training.session import COMPILING

    compiling = COMPILING.seconds()
    small = config.Optimizer(name="sgd", learning_rate=1e-6)  # the network is untrained and the rows are noise
    phase = Refine(make("dec"), CLUSTERS, len(x), args.batch, config.Refinement(
        steps=2**30, refresh_every=args.steps, tolerance=0.0, optimizer=small))
    net = Net.fresh(jax.random.key(0), build(config.Network(hidden=args.hidden), WIDTH))
    data = engine.place(x, Scaling(np.float32(127.5), np.float32(1 / 127.5)), 0 if args.streamed else np.inf)
    keys = engine.seed_keys([0], "cluster")
    with reading(data.x):
        centers = net.encode(data[jnp.arange(CLUSTERS)])
        state = engine.State(net, Head(centers), phase._optimizer()[0].init(Trained(net, centers)),
                             jnp.zeros(len(x), jnp.int32), jnp.int32(engine.RUNNING), jnp.int32(0))
        refresh, codes = jax.jit(phase._refresh), jax.jit(encode)
        stacked = jax.tree.map(lambda a: jnp.stack([a]), state)
        found: dict[str, list[float]] = {"encode": [], "refresh": [], "refresh + steps": []}
        for turn in range(1 + args.repeats):
            found["encode"].append(common.timed(codes, data, net)[0])
            found["refresh"].append(common.timed(refresh, data, state)[0])
            spent, (stacked, seen) = common.timed(engine._chunk, phase, engine.execution(), data, None, keys, stacked,
                                                  jnp.int32(turn), jnp.int32(1))
            found["refresh + steps"].append(spent)
    if int(seen[2][0]) != engine.RUNNING:
        sys.exit("the loss is not finite, so that nothing was trained")
    result: dict[str, Any] = {name: common.spread(values[1:]) for name, values in found.items()}
    return result | {"compile_s": COMPILING.seconds() - compiling}


def main() -> None:
    parser = common.parser(__doc__, "5000 and 20,000 rows, 20 steps, a small network, 3 turns")
    parser.add_argument("--rows", type=int, nargs="+", default=[10**4, 10**5, 10**6], help="up to 10000000 "
                        "(default: %(default)s)")
    parser.add_argument("--streamed", action="store_true", help="read the rows from the file as they are used")
    parser.add_argument("--steps", type=int, default=140, help="of a period (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=256, help="rows a step (default: %(default)s)")
    parser.add_argument("--hidden", type=int, nargs="+", default=[500, 500, 2000], help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="turns at each n (default: %(default)s)")
    parser.add_argument("--dir", type=Path, help="where the file is, or is written and left; default: a folder that "
                                                 "is removed in the end")
    args = common.parse(parser, rows=[5000, 20_000], steps=20, hidden=[64], repeats=3)
    args.rows, args.hidden = sorted(args.rows), tuple(args.hidden)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.dir or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        x, result = mapped(folder, args.rows[-1]), {}
        for n in args.rows:
            print(f"{n} rows", file=sys.stderr, flush=True)
            found = seconds(x[:n], args)
            for part in ("encode", "refresh", "refresh + steps"):
                found[part]["per_row"] = found[part]["median"] / n
            result[str(n)] = found
        del x
    for found in result.values():
        for part in ("encode", "refresh", "refresh + steps"):
            found[part]["to_smallest"] = found[part]["per_row"] / result[str(args.rows[0])][part]["per_row"]
    common.save(args, __doc__, result)
    lines = [[f"{int(n):,}", part, common.show(found[part], digits=3), f"{1e6 * found[part]['per_row']:.2f}",
              f"{found[part]['to_smallest']:.2f}", f"{found['compile_s']:.1f}"]
             for part in ("encode", "refresh", "refresh + steps") for n, found in result.items()]
    print(markdown(["rows", "what", "seconds", "µs a row", "ratio to the smallest n", "compile s, all three"], lines))


if __name__ == "__main__":
    main()
