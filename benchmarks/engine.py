"""What does the engine cost over a bare `lax.scan` of the same steps?

Seeds, masks, batches by a key, records and the early stop are the engine's; the bare scan has none of them. Network,
rows, optimizer, batch and losses are those of versus_clustpy.py: pretraining, then DEC's steps with the target of each
batch. The two take turns, one epoch each, so that noise of the machine meets both alike; compile time is left out.
DEC's period ends with a pass over all rows that the bare scan does not have, and is timed by itself as well.

MNIST is read from $DEC_DATA/mnist (the four original gzip IDX files); by --quick random rows take its place.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

import common
from versus_clustpy import (
    CLUSTERS,
    DEC_RATE,
    LAYERS,
    RATE,
    mnist,
    random_rows,
    reconstruction,
    scan_epoch,
    self_training,
)
from versus_clustpy import initial as initial_layers

from dec.report.table import markdown


def bare(phase: str, x: Any, batch: int) -> Callable[[], float]:
    """A function that trains one more epoch with the bare scan and tells its seconds."""
    import jax
    import jax.numpy as jnp

    key = jax.random.key(0)
    encoder = initial_layers(key, LAYERS)
    params = (encoder, initial_layers(key, LAYERS[::-1]) if phase == "pretrain" else jnp.zeros((CLUSTERS, LAYERS[-1])))
    loss, rate = (reconstruction, RATE) if phase == "pretrain" else (self_training, DEC_RATE)
    start, program, _ = scan_epoch(loss, rate, x.shape, batch, jax.tree.structure(params))
    state = params, start(params)

    def epoch() -> float:
        nonlocal state
        seconds, (state, _) = common.timed(program, state, key, x)
        return seconds

    return epoch


def engine(phase: str, x: Any, batch: int) -> tuple[Callable[[], float], Callable[[], float] | None]:
    """The same with this package's engine; and, of DEC, one that tells the seconds of the pass over all rows alone."""
    import jax
    import jax.numpy as jnp

    from dec import config
    from dec.data.scaling import fit_scaling
    from dec.methods import make
    from dec.networks.autoencoder import Net, build
    from dec.training.engine import _chunk, execution, place, seed_keys
    from dec.training.pretrain import stages
    from dec.training.refine import Refine

    n, steps = len(x), -(-len(x) // batch)
    network = config.Network(hidden=LAYERS[1:-1], code_size=LAYERS[-1], activation="leaky_relu",
                             initializer="fan_in_uniform")
    module, keys, data = build(network, x.shape[1]), seed_keys([0], phase), place(x, fit_scaling(x, "none"))
    nets = jax.vmap(lambda key: Net.fresh(key, module))(keys)
    if phase == "pretrain":
        optimizer = config.Optimizer(name="adam", learning_rate=RATE)
        runs = stages(config.Model(network=network, batch_size=batch,
                                   pretraining=config.Pretraining(epochs=1000, optimizer=optimizer)), n)[0]
        state, alone = jax.vmap(runs.start)(nets), None
    else:
        optimizer = config.Optimizer(name="adam", learning_rate=DEC_RATE)
        runs = Refine(make("dec", {"target": "batch"}), CLUSTERS, n, batch, config.Refinement(
            steps=1000 * steps, refresh_every=steps, tolerance=0.0, optimizer=optimizer))
        state = jax.jit(jax.vmap(lambda key, net: runs.start(data, key, net)))(keys, nets)
        one = jax.tree.map(lambda a: a[0] + 0, state)  # a copy: the state itself is donated
        labels = jax.jit(runs.labels)
        common.timed(labels, data, one)

        def alone() -> float:
            return common.timed(labels, data, one)[0]

    at = 0

    def epoch() -> float:
        nonlocal state, at
        period = jnp.int32(at), jnp.int32(1)
        seconds, (state, _) = common.timed(_chunk, runs, execution(), data, None, keys, state, *period)
        at += 1
        return seconds

    return epoch, alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=14000, help="of MNIST (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=256, help="rows a step (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=12, help="that count, of each side (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="(default: all CPUs)")
    parser.add_argument("--quick", action="store_true", help="2560 random rows, 4 epochs")
    parser.add_argument("--out", help="where to write the JSON")
    args = parser.parse_args()
    if args.quick:
        args.rows, args.epochs = 2560, 4
    common.limit_threads(args.threads)
    os.environ["JAX_PLATFORMS"] = "cpu"
    x = random_rows(args.rows) if args.quick else mnist(args.rows)
    result, lines = {}, []
    for phase in ("pretrain", "dec"):
        (ours, alone), theirs = engine(phase, x, args.batch), bare(phase, x, args.batch)
        seconds: dict[str, list[float]] = {"engine": [], "bare scan": [], "pass": []}
        for _ in range(1 + args.epochs):
            seconds["engine"].append(ours())
            seconds["bare scan"].append(theirs())
            seconds["pass"].append(alone() if alone else 0.0)
        steady = list(zip(*(values[1:] for values in seconds.values())))  # the first epoch of the engine compiles
        result[phase] = {f"{side} s": common.spread(values[1:]) for side, values in seconds.items()} | {
            "engine / bare scan": common.spread(e / b for e, b, _ in steady),
            "engine without the pass / bare scan": common.spread((e - p) / b for e, b, p in steady)}
        lines.append([phase, *(common.show(values, digits=2) for values in result[phase].values())])
    common.write_json(args.out, {"question": __doc__.splitlines()[0], "options": vars(args) | {"out": None},
                                 "result": result})
    print(markdown(["phase", *result["dec"]], lines))


if __name__ == "__main__":
    main()
