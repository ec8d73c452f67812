"""What does the engine cost over a bare `lax.scan` of the same steps?

Seeds, masks, batches by a key, records and the early stop are the engine's; the bare scan has none of them. Network,
rows, optimizer, batch and losses are those of versus_clustpy.py: pretraining, then DEC's steps with the target of each
batch. The two take turns, one epoch each, so that noise of the machine meets both alike; compile time is left out.
DEC's period ends with a pass over all rows that the bare scan does not have, and is timed by itself as well.

MNIST is read from $DEC_DATA/mnist (the four original gzip IDX files); by --quick random rows take its place.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import common
from versus_clustpy import (
    CLUSTERS,
    DEC_RATE,
    LAYERS,
    RATE,
    defaults,
    mnist,
    random_rows,
    reconstruction,
    scan_epoch,
    self_training,
)
from versus_clustpy import initial as initial_layers

from dec.io import markdown


def bare(phase: str, x: Any, batch: int) -> Callable[[], float]:
    """A function that trains one more epoch with the bare scan and tells its seconds."""
    import jax
    import jax.numpy as jnp

    key = jax.random.key(0)
    encoder = initial_layers(key, LAYERS)
    params = (encoder, initial_layers(key, LAYERS[::-1]) if phase == "pretrain" else jnp.zeros((CLUSTERS, LAYERS[-1])))
    loss, rate = (reconstruction, RATE) if phase == "pretrain" else (self_training, DEC_RATE)
    start, program, _ = scan_epoch(loss, rate, x.shape, batch)
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

    from dec.data.scaling import fit_scaling
    from dec.methods import make
    from dec.networks.autoencoder import Net, build
    from dec.training.engine import _chunk, execution, place, seed_keys
    from dec.training.pretrain import stages
    from dec.training.refine import Refine

    steps = -(-len(x) // batch)
    model = defaults(1000, 1000 * steps, steps, batch)
    module, keys, data = build(model.network, x.shape[1]), seed_keys([0], phase), place(x, fit_scaling(x, "none"))
    nets = jax.vmap(lambda key: Net.fresh(key, module))(keys)
    if phase == "pretrain":
        runs = stages(model, len(x))[0]
        state, alone = jax.vmap(runs.start)(nets), None
    else:
        runs = Refine(make("dec", {"target": "batch"}), CLUSTERS, len(x), batch, model.refinement)
        state = jax.jit(jax.vmap(lambda key, net: runs.start(data, key, net)))(keys, nets)
        one = jax.tree.map(lambda a: a[0] + 0, state)  # a copy: the state itself is donated
        refresh = jax.jit(runs._refresh)
        common.timed(refresh, data, one)

        def alone() -> float:
            return common.timed(refresh, data, one)[0]

    at = 0

    def epoch() -> float:
        nonlocal state, at
        period = jnp.int32(at), jnp.int32(1)
        seconds, (state, _) = common.timed(_chunk, runs, execution(), data, None, keys, state, *period)
        at += 1
        return seconds

    return epoch, alone


def main() -> None:
    parser = common.parser(__doc__, "2560 random rows, 4 epochs")
    parser.add_argument("--rows", type=int, default=14000, help="of MNIST (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=256, help="rows a step (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=12, help="that count, of each side (default: %(default)s)")
    args = common.parse(parser, rows=2560, epochs=4)
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
    common.save(args, __doc__, result)
    print(markdown(["phase", *result["dec"]], lines))


if __name__ == "__main__":
    main()
