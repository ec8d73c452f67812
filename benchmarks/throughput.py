"""How many seeds x samples a second does pretraining do, and how near is that to what memory and matmuls allow?

It answers both `seeds` (1 to 10 seeds at batch 256) and `throughput` (--seeds 1 --batch 4096 --bfloat16). Epochs of the
engine on random uint8 rows, 784-500-500-2000-10 and back, Adam. Two floors, measured in the same process:

* traffic: what a step must move for each seed, its float32 weights (read forward and backward, read and written by the
  update), gradients (written, read) and both moments of Adam (read, written), 10 times the weights' bytes, over the
  bandwidth of a copy. Caches can beat it; on a CPU the other floor is the higher one.
* matmul: the step's matrix products at their own shapes, alone; their part of a step is the model FLOPs utilisation
  (MFU). Side by side (on accelerators) the products of all seeds are one batched product.

Goals on an accelerator: at least .5 of the traffic floor with ten seeds; MFU at least .5 at batch 4096 in bfloat16.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import common
import numpy as np
from versus_clustpy import LAYERS, gflop, products

from dec.io import markdown

LOOPS = 20  # copies, or steps' products, in one call on an accelerator, where a call costs more than one of them


def bandwidth(mebibytes: int, loops: int) -> float:
    """Bytes a second of a copy, read and written; the best of 10."""
    import jax
    import jax.numpy as jnp

    x = jnp.zeros(mebibytes * 2**18, jnp.float32)
    copy = jax.jit(lambda x: jax.lax.fori_loop(0, loops, lambda _, x: x + 1, x), donate_argnums=0)
    found = []
    for _ in range(11):  # in place: new memory would have to be cleared first; the first one compiles
        seconds, x = common.timed(copy, x)
        found.append(loops * 2 * x.nbytes / seconds)
    return max(found)


@functools.cache
def products_seconds(batch: int, seeds: int, dtype: str, loops: int) -> float:
    """Of all products of a step of so many seeds, side by side; the best of 20 calls with so many steps' in each."""
    import jax
    import jax.numpy as jnp

    each = (seeds,) if seeds > 1 else ()

    def normal(*shape: int) -> jax.Array:
        return jax.random.normal(jax.random.key(0), (*each, *shape), dtype)

    def step(layers):
        return [(x @ w, x.mT @ g, g @ w.mT if back else ())
                for (x, w, g), (_, _, back) in zip(layers, products("pretrain"))]

    def turn(_, carry):  # behind the barrier nothing is known to be the same in each turn
        layers, _ = jax.lax.optimization_barrier(carry)
        return layers, step(layers)

    layers = [(normal(batch, i), normal(i, o), normal(batch, o)) for i, o, _ in products("pretrain")]
    found = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(step, layers))
    call = jax.jit(lambda layers, found: jax.lax.fori_loop(0, loops, turn, (layers, found))[1])
    return min(common.timed(call, layers, found)[0] for _ in range(21)) / loops


def epochs(x: np.ndarray, seeds: int, args) -> tuple[list[float], float]:
    """Seconds of each epoch of all seeds, and of the first beyond theirs: to compile."""
    import jax
    import jax.numpy as jnp

    from dec import config
    from dec.data.scaling import fit_scaling
    from dec.networks.autoencoder import Net, build
    from dec.training.engine import _chunk, execution, place, seed_keys
    from dec.training.pretrain import stages

    model = config.Model(batch_size=args.batch, dtype="bfloat16" if args.bfloat16 else "float32",
                         pretraining=config.Pretraining(epochs=1000))
    phase, keys = stages(model, len(x))[0], seed_keys(list(range(seeds)), "pretrain")
    module, data, found = build(model.network, x.shape[1], model.dtype), place(x, fit_scaling(x, "power")), []
    state = jax.vmap(lambda key: phase.start(Net.fresh(key, module)))(keys)
    for epoch in range(1 + args.repeats):
        seconds, (state, _) = common.timed(_chunk, phase, execution(), data, None, keys, state, jnp.int32(epoch),
                                           jnp.int32(1))
        found.append(seconds)
    if not all(np.asarray(state.status) == 0):
        sys.exit("the loss is not finite, so that nothing was trained")
    if args.profile:
        with jax.profiler.trace(str(args.profile / f"{seeds}_seeds")):
            common.timed(_chunk, phase, execution(), data, None, keys, state, jnp.int32(epoch + 1), jnp.int32(1))
    return found[1:], found[0] - min(found[1:])


def main() -> None:
    parser = common.parser(__doc__, "1024 rows, 1 and 2 seeds, 2 epochs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 5, 10], help="(default: %(default)s)")
    parser.add_argument("--rows", type=int, default=14_000, help="an epoch (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=256, help="rows a step (default: %(default)s)")
    parser.add_argument("--bfloat16", action="store_true", help="activations and products; weights stay float32")
    parser.add_argument("--repeats", type=int, default=5, help="epochs that count (default: %(default)s)")
    parser.add_argument("--profile", type=Path, metavar="DIR",
                        help="where jax.profiler writes a trace of one more epoch of each (for xprof or Perfetto)")
    args = common.parse(parser, rows=1024, seeds=[1, 2], repeats=2)
    x = np.random.default_rng(0).integers(0, 256, (args.rows, LAYERS[0]), np.uint8)
    from dec.training.engine import execution

    side_by_side, steps = execution() == "vmap", -(-args.rows // args.batch)
    weights = sum(i * o + o for i, o, _ in products("pretrain"))
    moved, rate = 10 * 4 * weights, bandwidth(512, LOOPS if side_by_side else 1)
    result: dict[str, Any] = {"copy_gb_per_s": rate / 1e9, "weights": weights, "mb_a_seed_step": moved / 1e6,
                              "seeds_are": "side by side" if side_by_side else "one after the other", "seeds": {}}
    dtype = "bfloat16" if args.bfloat16 else "float32"
    for seeds in args.seeds:
        print(f"{seeds} seeds", file=sys.stderr, flush=True)
        found, compile_s = epochs(x, seeds, args)
        products_s = products_seconds(args.batch, seeds, dtype, LOOPS) if side_by_side else (
            seeds * products_seconds(args.batch, 1, dtype, 1))
        step = [seconds / steps for seconds in found]
        result["seeds"][str(seeds)] = {
            "samples_per_s": common.spread(seeds * args.rows / seconds for seconds in found),
            "of_traffic_floor": common.spread(seeds * moved / rate / s for s in step),
            "mfu": common.spread(products_s / s for s in step),
            "gflop_per_s": common.spread(seeds * gflop("pretrain", args.rows) / s for s in found),
            "matmul_gflop_per_s": seeds * gflop("pretrain", args.batch) / products_s, "compile_s": compile_s}
    first = result["seeds"][str(args.seeds[0])]["samples_per_s"]["median"]
    for found in result["seeds"].values():
        found["times_first"] = found["samples_per_s"]["median"] / first
    common.save(args, __doc__, result)
    print(markdown(
        ["seeds", "seeds x samples/s", f"times {args.seeds[0]}", "of the traffic floor", "MFU", "GFLOP/s",
         "matmul GFLOP/s", "compile s"],
        [[seeds, common.show(f["samples_per_s"], digits=0), f"{f['times_first']:.2f}",
          common.show(f["of_traffic_floor"]), common.show(f["mfu"]), common.show(f["gflop_per_s"], digits=0),
          f"{f['matmul_gflop_per_s']:.0f}", f"{f['compile_s']:.1f}"] for seeds, f in result["seeds"].items()]))
    print(f"\nSeeds {result['seeds_are']}, {dtype}, batch {args.batch}: {moved / 1e6:.0f} MB a step and seed, a copy "
          f"moves {rate / 1e9:.1f} GB/s")


if __name__ == "__main__":
    main()
