"""How fast is k-means on codes, all restarts in one program, against scikit-learn's, and does it find as good clusters?

Both take the best of the same number of restarts from greedy k-means++ centres with the same tolerance, on the same
threads; on an accelerator, scikit-learn has the CPU. The sides take turns, with another seed each turn. The codes are
overlapping Gaussian clusters, or the embedding.npy of a run (--codes). Goals: 20 times on a GPU, 1 on a CPU.
"""

from __future__ import annotations

from pathlib import Path

import common
import numpy as np

from dec.io import markdown


def codes(args) -> np.ndarray:
    """[n, d] float32."""
    if args.codes:
        return np.ascontiguousarray(np.load(args.codes)[: args.rows], np.float32)
    rng = np.random.default_rng(0)
    centers = rng.normal(scale=1.5, size=(args.clusters, args.width))
    return (centers[rng.integers(args.clusters, size=args.rows)] + rng.normal(size=(args.rows, args.width))).astype(
        np.float32)


def main() -> None:
    parser = common.parser(__doc__, "7000 rows, 5 restarts, 2 turns")
    parser.add_argument("--rows", type=int, default=70_000, help="(default: %(default)s)")
    parser.add_argument("--width", type=int, default=10, help="of a code (default: %(default)s)")
    parser.add_argument("--clusters", type=int, default=10, help="(default: %(default)s)")
    parser.add_argument("--restarts", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="turns of both sides (default: %(default)s)")
    parser.add_argument("--codes", type=Path, help="an .npy file of codes in place of the Gaussian clusters")
    args = common.parse(parser, rows=7000, restarts=5, repeats=2)
    import jax
    from sklearn.cluster import KMeans

    from dec.shallow.kmeans import kmeans

    x = codes(args)
    placed, weight = jax.device_put(x), jax.numpy.ones(len(x))
    compile_s, program = common.compiled(lambda key, x, weight: kmeans(key, x, weight, args.clusters, args.restarts),
                                         jax.random.key(0), placed, weight)
    common.timed(program, jax.random.key(0), placed, weight)
    KMeans(args.clusters, n_init=1, max_iter=2).fit(x)  # starts its threads
    seconds: dict[str, list[float]] = {"dec": [], "scikit-learn": []}
    inertia: dict[str, list[float]] = {"dec": [], "scikit-learn": []}
    for turn in range(args.repeats):
        spent, ours = common.timed(program, jax.random.key(turn), placed, weight)
        model = KMeans(args.clusters, n_init=args.restarts, random_state=turn)
        other, theirs = common.timed(model.fit, x)
        for side, s, i in (("dec", spent, float(ours.inertia)), ("scikit-learn", other, float(theirs.inertia_))):
            seconds[side].append(s)
            inertia[side].append(i)
    result = {side: {"seconds": common.spread(seconds[side]), "inertia": common.spread(inertia[side])}
              for side in seconds} | {"compile_s": compile_s}
    result["times scikit-learn"] = common.spread(t / o for o, t in zip(*seconds.values()))
    result["inertia / scikit-learn"] = common.spread(o / t for o, t in zip(*inertia.values()))
    common.save(args, __doc__, result)
    lines = [[side, common.show(result[side]["seconds"], digits=3), common.show(result[side]["inertia"], digits=1)]
             for side in seconds]
    print(markdown(["side", "seconds", "inertia"], lines))
    print(f"\ndec is {common.show(result['times scikit-learn'])} times as fast; its inertia is "
          f"{common.show(result['inertia / scikit-learn'], digits=5)} of scikit-learn's; {compile_s:.1f} s to compile")


if __name__ == "__main__":
    main()
