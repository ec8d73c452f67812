"""What does streaming cost and hold: samples a second against resident rows, and memory over a whole run of DEC?

A file of random uint8 rows is written and mapped. Then, with the network of the paper (784-500-500-2000-10):

* train: DEC's steps (SGD, targets from the batch) across the border of two windows, and sweep: the codes of some rows,
  on streamed rows and on as many resident rows as --resident says. The sides take turns; compile time is kept apart.
* whole: `fit` of DEC on all rows, streamed: k-means, a refresh, the steps, the labels of all rows. It passes over all
  rows three times, which takes most of the time: on two cores about 20 minutes for 10 million rows. The peak of
  anonymous memory (RssAnon of Linux: without the pages of the mapped file, which the system takes back when it needs
  them) is sampled during it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import common
import numpy as np

from dec.io import markdown

WIDTH = 784
CLUSTERS = 10
SIDES = ("resident", "streamed")


def anonymous() -> float:
    """MiB of anonymous memory of this process."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("RssAnon"))


@contextmanager
def peak(found: dict) -> Iterator[None]:
    """Sample the memory while the block runs; `found` gets the MiB before it and at most."""
    found["before_mib"] = found["peak_mib"] = anonymous()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            found["peak_mib"] = max(found["peak_mib"], anonymous())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def mapped(folder: Path, rows: int) -> np.ndarray:
    """The memory map of a file of random rows, written if it is not there."""
    path = folder / f"rows-{rows}x{WIDTH}.npy"
    if not path.exists():
        free = shutil.disk_usage(folder).free
        if free < 1.1 * rows * WIDTH:
            sys.exit(f"{folder} has {free / 1e9:.1f} GB free; {rows} rows need {1.1 * rows * WIDTH / 1e9:.1f}: give "
                     "another --dir or fewer --rows")
        rng, partial = np.random.default_rng(0), path.with_suffix(".partial")
        x = np.lib.format.open_memmap(partial, "w+", np.uint8, (rows, WIDTH))
        for start in range(0, rows, 100_000):
            x[start : start + 100_000] = rng.integers(0, 256, (min(100_000, rows - start), WIDTH), np.uint8)
        x.flush()
        partial.rename(path)
    return np.load(path, mmap_mode="r")


def programs(data, steps: int, sweep_rows: int, batch: int) -> tuple[dict, dict]:
    """Compiled functions of no arguments that train and sweep, and the seconds it took to compile each."""
    import jax
    import jax.numpy as jnp
    import optax

    from dec import config
    from dec.methods import make
    from dec.methods.base import Batch, Head
    from dec.networks.autoencoder import Net, build
    from dec.training import engine

    method, tx = make("dec", {"target": "batch"}), optax.sgd(0.01, 0.9)
    net = Net.fresh(jax.random.key(0), build(config.Network(code_size=CLUSTERS), WIDTH))
    first = max(0, data.window // batch - steps // 2)  # at the border of two windows, where the file has two
    first, key = first if data.window < data.x.shape[0] else 0, jax.random.key(1)

    def train(data, net):
        def loss(net, centers, x, weight):
            rows = method.loss(net, Head(centers), Batch(x, x, (), (), weight, None), None)["clustering"]
            return engine.weighted_mean(rows, weight)

        def step(i, carry):
            (net, centers), state = carry
            x, _, valid = batch_of(i)
            value, gradient = jax.value_and_grad(loss, (0, 1))(net, centers, x, valid.astype(jnp.float32))
            updates, state = tx.update(gradient, state)
            return (optax.apply_updates((net, centers), updates), state), {"loss": value}

        start = net, net.encode(data[jnp.arange(CLUSTERS)])
        batch_of = data.batches(key, jnp.int32(first), steps, batch)
        return engine.steps(step, (start, tx.init(start)), jnp.int32(first), steps)

    def sweep(data, net):
        return engine.sweep(lambda x, weight: (net.encode(x), ()), data, jnp.arange(sweep_rows))[0]

    run, seconds = {}, {}
    for name, function in (("train", train), ("sweep", sweep)):
        seconds[name], program = common.compiled(function, data, net)
        run[name] = lambda program=program: program(data, net)
    return run, seconds


def rates(x: np.ndarray, resident: int, steps: int, sweep_rows: int, batch: int, repeats: int) -> dict:
    """Rows a second of both sides in turn, and compile seconds."""
    from dec.data.scaling import Scaling
    from dec.training import engine
    from dec.training.rows import HELD, reading

    scaling = Scaling(np.float32(127.5), np.float32(1 / 127.5))
    data = {"resident": engine.place(x[:resident], scaling), "streamed": engine.place(x, scaling, 0)}
    rows, window = {"train": steps * batch, "sweep": min(sweep_rows, resident)}, data["streamed"].window
    if rows["sweep"] <= HELD * window < len(x):
        sys.exit(f"--sweep-rows and --resident must be above {HELD * window}: so many rows of the file are kept, and "
                 "none of them would be read again")
    found: dict = {side: {"train": [], "sweep": []} for side in SIDES}
    with reading(*(d.x for d in data.values())):
        made = {side: programs(data[side], steps, rows["sweep"], batch) for side in SIDES}
        for turn in range(repeats):
            for side in SIDES:
                print(f"turn {turn + 1} of {repeats}: {side} (load {os.getloadavg()[0]:.1f})", file=sys.stderr)
                for what, program in made[side][0].items():
                    found[side][what].append(rows[what] / common.timed(program)[0])
    return {side: {what: common.spread(values) for what, values in found[side].items()}
            | {"compile_s": made[side][1]} for side in SIDES}


def whole(x: np.ndarray, steps: int, batch: int) -> dict:
    """DEC on all rows, streamed, from untrained weights: seconds by part, and memory."""
    from dec import config
    from dec.methods import make
    from dec.training.fit import fit
    from dec.training.session import Session

    model = config.Model(
        scaling="none", batch_size=batch, stream_above=0, pretraining=config.Pretraining(epochs=0),
        refinement=config.Refinement(steps=steps, refresh_every=steps, tolerance=0.0,
                                     optimizer=config.Optimizer("sgd", 1e-6)))  # small: the rows are not scaled
    session, memory = Session([0]), {}
    began = time.perf_counter()
    with peak(memory):
        fitted = fit(x, CLUSTERS, make("dec"), model, session)
    return {"rows": len(x), "steps": fitted.runs[0]["steps"], "seconds": time.perf_counter() - began,
            "parts_s": session.seconds, **memory, "file_mib": x.nbytes / 2**20}


def main() -> None:
    parser = common.parser(__doc__, "20,000 rows (one window), 10 steps: half a minute")
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the file (default: %(default)s)")
    parser.add_argument("--resident", type=int, default=600_000, help="rows held on the device (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=300, help="of DEC, a turn (default: %(default)s)")
    parser.add_argument("--sweep-rows", type=int, default=600_000, help="of a sweep, a turn (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=256, help="rows a step (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="turns of both sides (default: %(default)s)")
    parser.add_argument("--dir", type=Path, help="where the file is, or is written and left; default: a folder that "
                                                 "is removed in the end")
    args = common.parse(parser, rows=20_000, resident=10_000, steps=10, sweep_rows=5000, repeats=1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.dir or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        x = mapped(folder, args.rows)
        summary = {"whole": whole(x, args.steps, args.batch)}  # first, while there is little in memory
        summary |= rates(x, min(args.resident, args.rows), args.steps, args.sweep_rows, args.batch, args.repeats)
        del x
    common.save(args, __doc__, summary)
    lines = [[side, common.show(summary[side]["train"], digits=0), common.show(summary[side]["sweep"], digits=0),
              f"{sum(summary[side]['compile_s'].values()):.1f}"] for side in SIDES]
    print(markdown(["rows", "train, rows/s", "sweep, rows/s", "compile s"], lines))
    run = summary["whole"]
    print(f"\nA whole run on {run['rows']:,} rows ({run['file_mib']:,.0f} MiB): {run['seconds']:.0f} s, anonymous "
          f"memory {run['before_mib']:.0f} MiB before and {run['peak_mib']:.0f} MiB at most")


if __name__ == "__main__":
    main()
