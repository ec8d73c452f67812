"""How fast are pretraining and DEC epochs against the same recipe in ClustPy 0.0.3, and are the final losses alike?

Same rows, threads, dtype (float32), batch, network and optimizer on every side:

* clustpy: `clustpy.deep.DEC(...).fit(x)`, unchanged, in its own interpreter (--clustpy-python).
* dec: this package's engine.
* bare scan: the least that JAX needs for the same steps, one jitted `lax.scan` an epoch; and the floor below it, the
  same matrix products alone at the same shapes.

The recipe is ClustPy's default: LeakyReLU (0.01), weights and biases uniform within 1/sqrt(fan in), squared error
summed over features, Adam 1e-3; then k-means, and DEC with Adam 1e-4 on encoder and centers, its target distribution
computed from each batch alone, no reconstruction. Every epoch ends with the smaller last batch.

The sides take turns (A B A B ...), so noise of a shared machine meets all of them; ratios are taken within a turn, and
once between the best epochs. A thread pool that spins, as torch's does, suffers most from a busy machine: trust the
figures when the load printed at each turn stays near zero beside this program's own. The first epoch of each phase and
the compile time are kept apart from the steady epochs.

Install the other side once:
  python -m venv VENV && VENV/bin/pip install torch==2.13.0 && VENV/bin/pip install clustpy==0.0.3
MNIST is read from $DEC_DATA/mnist (the four original gzip IDX files); by --quick random rows take its place.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
import numpy as np

from dec.io import markdown

LAYERS = (784, 500, 500, 2000, 10)
CLUSTERS = 10
RATE, DEC_RATE = 1e-3, 1e-4
PHASES = ("pretrain", "dec")
EVERY = 2  # epochs of DEC between two refreshes of this package's engine


def mnist(rows: int) -> np.ndarray:
    """The first `rows` of one fixed uniform shuffle of the 70,000 images, in [0, 1]."""
    from dec.data.readers import load

    x = load("mnist").x.reshape(-1, LAYERS[0])
    return x[np.random.default_rng(0).permutation(len(x))[:rows]].astype(np.float32) / 255


def random_rows(rows: int) -> np.ndarray:
    """What stands in for them by --quick, which asks for no data."""
    return np.random.default_rng(0).random((rows, LAYERS[0]), np.float32)


def clustpy_side(python: str, x: np.ndarray, threads: int, epochs: int, dec_epochs: int, batch: int, seed: int,
                 clusters: int = CLUSTERS, device: str = "cpu") -> dict:
    recipe = {"layers": (x.shape[1], *LAYERS[1:]), "clusters": clusters, "rate": RATE, "dec_rate": DEC_RATE,
              "threads": threads, "epochs": epochs, "dec_epochs": dec_epochs, "batch": batch, "seed": seed,
              "device": device}
    with tempfile.TemporaryDirectory() as folder:
        data, saved = Path(folder) / "x.npy", Path(folder) / "final.npz"
        np.save(data, x)
        command = [python, str(Path(__file__).with_name("_clustpy_side.py")),
                   "--data", data, "--save", saved, "--recipe", json.dumps(recipe)]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"The ClustPy side failed:\n{done.stderr[-2000:]}")
        with np.load(saved) as final:
            return json.loads(done.stdout.splitlines()[-1]) | dict(final)


def dec_side(x: np.ndarray, epochs: int, dec_epochs: int, batch: int, seed: int) -> dict:
    """This package's engine as its users run it; same fields as `scan_side`.

    A refinement period is EVERY epochs here and includes the refresh over all rows (labels and how many changed) that
    the other sides do not do; by default one comes every 140 steps, 2.5 epochs of 14,000 rows. `refresh_s` is the share
    of such a pass in an epoch, timed by itself afterwards. The first of DEC's seconds an epoch are of its first period,
    with compiling and k-means of 20 restarts.
    The reconstruction is averaged over features in the engine and multiplied back for the table; the loss of DEC is KL
    where the others log cross-entropy, so only the last column compares it.
    """
    from dec.methods import make
    from dec.training.fit import fit
    from dec.training.session import Session

    steps = -(-len(x) // batch)
    model = defaults(epochs, dec_epochs * steps, EVERY * steps, batch)
    ticks = [("start", 0, time.perf_counter(), time.process_time())]

    def tick(phase: str, done: int, total: int, record: dict) -> None:
        ticks.append((phase, done, time.perf_counter(), time.process_time()))

    session = Session([seed], progress=tick)
    fitted = fit(x, CLUSTERS, make("dec", {"target": "batch"}), model, session)
    result = {"compile_s": session.seconds["compile"], "codes": fitted.encode(x), "centers": fitted.centers()}
    for phase, name, every, total in zip(PHASES, ("pretrain", "cluster"), (1, EVERY), (epochs, dec_epochs)):
        wall, cpu, seen = [], [], 0
        for (_, _, wall0, cpu0), (at, done, wall1, cpu1) in itertools.pairwise(ticks):
            if at == name:
                new = min(done * every, total) - seen
                seen += new
                times = new if wall else 1  # the first call is left out of what is steady, however many epochs it has
                wall += [(wall1 - wall0) / new] * times
                cpu += [(cpu1 - cpu0) / new] * times
        result |= {f"{phase}_s": wall, f"{phase}_cpu_s": cpu, f"{phase}_loss": []}
    result["pretrain_loss"] = [r["loss"] * x.shape[1] for r in session.history if r["phase"] == "pretrain"]
    passes = []
    for _ in range(4):  # the first compiles
        start = time.perf_counter()
        fitted.log_assign(x)
        passes.append(time.perf_counter() - start)
    return result | {"refresh_s": min(passes[1:]) / EVERY}


def defaults(epochs: int, steps: int, every: int, batch: int):
    """ClustPy's defaults as a `dec.config.Model`."""
    from dec import config

    return config.Model(
        scaling="none",
        batch_size=batch,
        network=config.Network(hidden=LAYERS[1:-1], code_size=LAYERS[-1], activation="leaky_relu",
                               initializer="torch"),
        pretraining=config.Pretraining(epochs=epochs, optimizer=config.Optimizer(name="adam", learning_rate=RATE)),
        refinement=config.Refinement(steps=steps, refresh_every=every, tolerance=0.0,
                                     optimizer=config.Optimizer(name="adam", learning_rate=DEC_RATE)),
    )


def scan_side(x: np.ndarray, epochs: int, dec_epochs: int, batch: int, seed: int) -> dict:
    """Bare JAX. compile_s; wall and CPU seconds and loss of every epoch of both phases; final codes and centers."""
    import jax
    import sklearn.cluster

    result = {"compile_s": 0.0}
    keys = jax.random.split(jax.random.key(seed), 3)
    x = jax.numpy.asarray(x)
    encoder, decoder = initial(keys[0], LAYERS), initial(keys[1], LAYERS[::-1])
    (encoder, decoder), result = run_phase(
        result, "pretrain", reconstruction, RATE, (encoder, decoder), keys[2], x, epochs, batch)
    kmeans = sklearn.cluster.KMeans(CLUSTERS, random_state=seed).fit(np.asarray(forward(encoder, x)))
    centers = jax.numpy.asarray(kmeans.cluster_centers_)
    (encoder, centers), result = run_phase(
        result, "dec", self_training, DEC_RATE, (encoder, centers), keys[2], x, dec_epochs, batch)
    return result | {"codes": np.asarray(forward(encoder, x)), "centers": np.asarray(centers)}


def run_phase(result: dict, phase: str, loss, rate: float, params, key, x, epochs: int, batch: int):
    import jax

    start, program, compile_s = scan_epoch(loss, rate, x.shape, batch)
    state = (params, start(params))
    seconds, cpu, losses = [], [], []
    for k in jax.random.split(key, epochs):
        used = time.process_time()
        spent, (state, value) = common.timed(program, state, k, x)
        seconds.append(spent)
        cpu.append(time.process_time() - used)
        losses.append(float(value))
    return state[0], result | {"compile_s": result["compile_s"] + compile_s, f"{phase}_s": seconds,
                               f"{phase}_cpu_s": cpu, f"{phase}_loss": losses}


@functools.cache
def scan_epoch(loss, rate: float, shape: tuple[int, int], batch: int) -> tuple:
    """(state, key, x) -> (state, mean batch loss): one shuffled epoch in one program; compiled once a process."""
    import jax
    import jax.numpy as jnp
    import optax

    rows, full = shape[0], shape[0] // batch
    adam = optax.adam(rate)

    def step(state, x):
        params, moments = state
        value, gradient = jax.value_and_grad(loss)(params, x)
        change, moments = adam.update(gradient, moments)
        return (optax.apply_updates(params, change), moments), value

    def epoch(state, key, x):
        order = jax.random.permutation(key, rows)
        batches = order[:full * batch].reshape(full, batch)
        state, values = jax.lax.scan(lambda s, i: step(s, x[i]), state, batches)
        if full * batch < rows:
            state, value = step(state, x[order[full * batch:]])
            values = jnp.append(values, value)
        return state, values.mean()

    encoder = initial(jax.random.key(0), LAYERS)
    other = initial(jax.random.key(0), LAYERS[::-1]) if loss is reconstruction else jnp.zeros((CLUSTERS, LAYERS[-1]))
    example = (encoder, other)
    seconds, program = common.compiled(epoch, (example, adam.init(example)), jax.random.key(0), jnp.zeros(shape),
                                       donate_argnums=0)
    return jax.jit(adam.init), program, seconds


def initial(key, widths: tuple[int, ...]) -> list[tuple]:
    import jax

    layers = []
    for k, inputs, outputs in zip(jax.random.split(key, len(widths) - 1), widths, widths[1:]):
        bound, (weights, bias) = inputs ** -0.5, jax.random.split(k)
        layers.append((jax.random.uniform(weights, (inputs, outputs), minval=-bound, maxval=bound),
                       jax.random.uniform(bias, (outputs,), minval=-bound, maxval=bound)))
    return layers


def forward(layers: list[tuple], x):
    import jax

    for kernel, bias in layers[:-1]:
        x = jax.nn.leaky_relu(x @ kernel + bias, 0.01)
    kernel, bias = layers[-1]
    return x @ kernel + bias


def reconstruction(params, x):
    encoder, decoder = params
    return ((forward(decoder, forward(encoder, x)) - x) ** 2).sum() / len(x)


def self_training(params, x):
    """Cross-entropy of the batch's own sharpened assignments: ClustPy's DEC loss."""
    import jax
    import jax.numpy as jnp

    encoder, centers = params
    codes = forward(encoder, x)
    q = 1 / (1 + ((codes[:, None] - centers) ** 2).sum(-1))
    q /= q.sum(1, keepdims=True)
    p = q ** 2 / q.sum(0)
    p = jax.lax.stop_gradient(p / p.sum(1, keepdims=True))
    return -(p * jnp.log(q + 1e-8)).sum(1).mean()


def divergence(codes: np.ndarray, centers: np.ndarray) -> float:
    """KL(P || Q) over all rows, P from all rows: one measure for every side, whatever loss it trains on."""
    q = 1 / (1 + ((codes[:, None].astype(float) - centers) ** 2).sum(-1))
    q /= q.sum(1, keepdims=True)
    p = q ** 2 / q.sum(0)
    p /= p.sum(1, keepdims=True)
    return float((p * np.log(p / q)).sum(1).mean())


def products(phase: str) -> list[tuple[int, int, bool]]:
    """(inputs, outputs, whether the gradient of the inputs is needed) of each layer that the phase trains."""
    widths = LAYERS + LAYERS[-2::-1] if phase == "pretrain" else LAYERS
    return [(i, o, layer > 0) for layer, (i, o) in enumerate(itertools.pairwise(widths))]


def gflop(phase: str, rows: int) -> float:
    return rows * sum(2 * i * o * (2 + back) for i, o, back in products(phase)) / 1e9


def gemm_side(x: np.ndarray, epochs: int, dec_epochs: int, batch: int) -> dict:
    """Seconds of an epoch's matrix products alone, each timed at its own shape (best of 20)."""
    import jax
    import jax.numpy as jnp

    times: dict = {}
    for i, o, _ in {(i, o, 0) for i, o, _ in products("pretrain")}:
        a, w, g = jnp.ones((batch, i)), jnp.ones((i, o)), jnp.ones((batch, o))
        for name, f, args in (("forward", lambda a, w: a @ w, (a, w)), ("kernel", lambda a, g: a.T @ g, (a, g)),
                              ("input", lambda g, w: g @ w.T, (g, w))):
            f = jax.jit(f)
            jax.block_until_ready(f(*args))
            times[i, o, name] = min(common.timed(f, *args)[0] for _ in range(20))
    result = {"compile_s": 0.0}
    for phase, n in zip(PHASES, (epochs, dec_epochs)):
        step = sum(times[i, o, "forward"] + times[i, o, "kernel"] + back * times[i, o, "input"]
                   for i, o, back in products(phase))
        result |= {f"{phase}_s": [step * len(x) / batch] * n, f"{phase}_loss": []}
    return result


def steady(run: dict, phase: str) -> float:
    """Median seconds of an epoch, the first left out where there are others."""
    return float(np.median(run[f"{phase}_s"][1:] or run[f"{phase}_s"]))


def best(turns: list[dict], phase: str, clock: str = "s") -> float:
    """The fastest epoch of all turns: the one that other users of the machine disturbed least."""
    return min(second for run in turns for second in run[f"{phase}_{clock}"])


def summary(runs: dict[str, list[dict]], rows: int) -> dict:
    """Spreads over the turns, and ratios to ClustPy within each turn."""
    result = {}
    for side, turns in runs.items():
        if not turns:
            result[side] = None
            continue
        result[side] = {"compile_s": turns[0]["compile_s"]}
        for phase in PHASES:
            seconds = [steady(run, phase) for run in turns]
            entry = {"s_per_epoch": common.spread(seconds),
                     "first_epoch_s": common.spread(run[f"{phase}_s"][0] for run in turns),
                     "best_epoch_s": best(turns, phase),
                     "best_gflop_per_s": gflop(phase, rows) / best(turns, phase)}
            if runs["clustpy"]:
                peer = [steady(run, phase) for run in runs["clustpy"]]
                entry["times_clustpy"] = common.spread(p / s for p, s in zip(peer, seconds))
                entry["best_times_clustpy"] = best(runs["clustpy"], phase) / best(turns, phase)
                if f"{phase}_cpu_s" in turns[0]:
                    entry["cpu_times_clustpy"] = best(runs["clustpy"], phase, "cpu_s") / best(turns, phase, "cpu_s")
            if all(run[f"{phase}_loss"] for run in turns):
                entry["final_loss"] = common.spread(run[f"{phase}_loss"][-1] for run in turns)
            result[side][phase] = entry
        if "refresh_s" in turns[0]:
            result[side]["refresh_s"] = common.spread(run["refresh_s"] for run in turns)
        if "kl" in turns[0]:
            result[side]["final_kl"] = common.spread(run["kl"] for run in turns)
    return result


def table(result: dict) -> str:
    header = ["side", *(f"{name} {cell}" for name in ("pretrain", "DEC") for cell in (
        "s/epoch", "x ClustPy", "best s/epoch", "best x ClustPy")), "of a DEC epoch: refresh s",
        "reconstruction, last epoch", "DEC loss, last epoch", "KL(P,Q), all rows", "compile s"]
    lines = []
    for side, entry in result.items():
        if entry is None:
            lines.append([side, "not yet run", *[""] * (len(header) - 2)])
            continue
        cells = [side]
        for phase in PHASES:
            values = entry[phase]
            cells += [common.show(values["s_per_epoch"]), f"{values['best_epoch_s']:.2f}"]
            compared = "times_clustpy" in values
            cells.insert(-1, common.show(values["times_clustpy"]) if compared else "")
            cells.append(f"{values['best_times_clustpy']:.2f}" if compared else "")
        cells.append(common.show(entry["refresh_s"]) if "refresh_s" in entry else "")
        for value, digits in ((entry["pretrain"].get("final_loss"), 2), (entry["dec"].get("final_loss"), 3),
                              (entry.get("final_kl"), 3)):
            cells.append(common.show(value, digits=digits) if value else "")
        lines.append([*cells, f"{entry['compile_s']:.1f}"])
    return markdown(header, lines)


def main() -> None:
    parser = common.parser(__doc__, "2560 random rows, 2 + 4 epochs, 2 turns")
    parser.add_argument("--clustpy-python", help="the interpreter that has ClustPy; without it that row is not run")
    parser.add_argument("--rows", type=int, default=14000, help="of MNIST (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="of pretraining, a turn (default: %(default)s)")
    parser.add_argument("--dec-epochs", type=int, default=6, help="of DEC, a turn (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=256, help="rows a step (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="turns of every side (default: %(default)s)")
    args = common.parse(parser, rows=2560, epochs=2, dec_epochs=4, repeats=2)
    os.environ["JAX_PLATFORMS"] = "cpu"
    python, args.clustpy_python = args.clustpy_python, bool(args.clustpy_python)
    x = random_rows(args.rows) if args.quick else mnist(args.rows)
    size = args.epochs, args.dec_epochs, args.batch
    runs: dict[str, list[dict]] = {"clustpy": [], "dec": [], "bare scan": [], "matrix products alone": []}
    sides = {"clustpy": lambda t: clustpy_side(python, x, args.threads, *size, t)} if python else {}
    sides |= {"dec": lambda t: dec_side(x, *size, t), "bare scan": lambda t: scan_side(x, *size, t),
              "matrix products alone": lambda t: gemm_side(x, *size)}
    loads = []
    for turn in range(args.repeats):
        for side, run in sides.items():
            loads.append(os.getloadavg()[0])
            print(f"turn {turn + 1} of {args.repeats}: {side} (load {loads[-1]:.1f})", file=sys.stderr, flush=True)
            result = run(turn)
            result.pop("labels", None)
            if "codes" in result:
                result["kl"] = divergence(result.pop("codes"), result.pop("centers"))
            runs[side].append(result)
    result = summary(runs, len(x))
    common.save(args, __doc__, {"gflop_per_epoch": {phase: gflop(phase, len(x)) for phase in PHASES},
                                "load_before_each_side": loads, "summary": result, "runs": runs})
    print(table(result))


if __name__ == "__main__":
    main()
