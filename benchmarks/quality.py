"""How well does each method find the classes of each data set, over seeds that are each pretrained anew?

The field's table. A (data, method) is a run folder under --folder, as `dec train` makes it, with beside it what it was
made from: a hash of the code (this package's, the versions of those it uses, the device), one of the data, and all
settings.
What is finished is skipped, what was stopped goes on; one made from anything else is refused, or done anew by --redo.
The methods of a table share the networks that it pretrained itself, one a seed. One preset holds for all data; nothing
is chosen by labels, which serve the scores only. Kept seed: the one whose partition the others agree with most. Oracle
gap: how much better the best seed by labels is. The interval is a bootstrap of the mean (95 %, percentiles of 9999).

With --clustpy-python VENV/bin/python, --methods takes ClustPy's own too, at its defaults, each seed in a process of
its own, on the rows shifted and scaled to [0, 1]: clustpy-dec, clustpy-idec, clustpy-dcn, clustpy-vade. What ClustPy
gives as VaDE's labels is another mixture, with full covariances, fitted to the final codes: that is clustpy-vade+gmm;
as those of the others it gives k-means of the final codes, and these are what is scored.

A published value stands beside a run of its own kind alone: the column `kind` has what sets a run apart from the fully
connected network on rows as they are (layers, augmentation, BRB). Augmentation is prior knowledge.

Data are read as `dec train --data` does ($DEC_DATA). All scores are per cent; published values are ACC.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import common
import numpy as np
from scipy.sparse import issparse

from dec import config
from dec.io import markdown, read_json, write_json
from dec.runs.folder import RunFolder, slug
from dec.runs.results import scores

DATA = ("mnist", "fashion_mnist", "usps", "pendigits", "digits", "reuters_r8", "hapt", "ecg5000")
METHODS = ("kmeans", "gmm", "ae+kmeans", "ae+gmm", "dec", "idec", "dcn", "vade", "n2d")
N2D = "N2D (McConville et al. 2021), one seed"
KERAS = "DEC-keras, 10 trials"
VADE = "VaDE (Jiang et al. 2017), the best of several runs"
BRB = "BRB (Miklautz et al. 2025), 10 seeds"
DEC_DA = "DEC-DA (Guo et al. 2018), the best of its five variants"
PUBLISHED = {  # (method, data, kind of run): the value and its source
    ("n2d", "mnist", ""): ("97.9", N2D), ("n2d", "fashion_mnist", ""): ("67.2", N2D),
    ("n2d", "usps", ""): ("95.8", N2D), ("n2d", "pendigits", ""): ("88.5", N2D),
    ("ae+kmeans", "mnist", ""): ("87.9 ± 3.8", KERAS), ("dec", "mnist", ""): ("91.2 ± 4.7", KERAS),
    ("ae+kmeans", "fashion_mnist", ""): ("60.6 ± 2.8", KERAS), ("dec", "fashion_mnist", ""): ("61.8 ± 3.6", KERAS),
    ("ae+kmeans", "usps", ""): ("70.9 ± 0.9", KERAS), ("dec", "usps", ""): ("76.4 ± 0.6", KERAS),
    ("vade", "mnist", ""): ("94.5", VADE),
    ("dec", "mnist", "augmented"): ("91.6 ± 2.0", BRB), ("idec", "mnist", "augmented"): ("93.2 ± 2.2", BRB),
    ("dcn", "mnist", "augmented"): ("89.2 ± 2.0", BRB), ("dcn", "mnist", "augmented, brb"): ("96.4 ± 0.1", BRB),
    **{(method, data, "conv, augmented"): (value, DEC_DA) for method in ("dec", "idec")
       for data, value in (("mnist", "98.5"), ("usps", "98.7"), ("fashion_mnist", "58.6"))},
}
CLUSTPY = {"clustpy-dec": ("DEC", "labels_"), "clustpy-idec": ("IDEC", "labels_"), "clustpy-dcn": ("DCN", "labels_"),
           "clustpy-vade": ("VaDE", "vade_labels_"), "clustpy-vade+gmm": ("VaDE", "labels_")}
QUICK = {"model": {"network": {"hidden": [32]}, "pretraining": {"epochs": 3},
                   "refinement": {"steps": 40, "refresh_every": 20}}}


def code() -> str:
    """A hash of what decides results beside data and settings: this package's source, the versions, the device.

    Commits that differ elsewhere are the same.
    """
    source = {str(path.relative_to(common.ROOT)): path.read_text() for path in (common.ROOT / "dec").rglob("*.py")}
    made_with = common.environment()
    return config.digest(source, made_with["versions"], made_with["device"])


def kind(run: config.Run) -> str:
    """What sets a run apart from the plain one, in the words of PUBLISHED; no network, nothing."""
    from dec.methods import make

    if make(run.method, run.options).space != "codes":
        return ""
    parts = {run.model.network.layers: run.model.network.layers != "dense",
             "augmented": run.model.augmentation != config.Augmentation(), "brb": run.options.get("brb_every")}
    return ", ".join(part for part, there in parts.items() if there)


def imbalanced(name: str, folder: Path) -> str:
    """A file with the data set whose first class keeps a tenth of its rows, the last all, those between evenly more.

    As Xie et al. 2016, section 5.4, with r_min = 0.1.
    """
    from dec.data.readers import load

    path, data = folder / f"{slug(name)}-imbalanced.npz", load(name)
    if data.kind != "array" or data.y is None:
        raise ValueError(f"--imbalanced is for arrays with labels, but {name} is of another kind ({data.kind})")
    if not path.is_file():
        keep = np.linspace(0.1, 1, data.n_classes)[data.y] > np.random.default_rng(0).random(len(data))
        np.savez(path, X=np.asarray(data.x[keep]), y=data.y[keep])
    return str(path)


def planned(method: str, name: str, args, preset: config.Run) -> config.Run:
    """The run of a (data, method) pair: the preset, with the number of clusters that the data have."""
    from dec.runs.prepare import prepare

    data = imbalanced(name, args.folder) if args.imbalanced else name
    own = preset.options if preset.method == method else {}
    run = config.replace(preset, {"method": method, "data": data, "n_clusters": None, "seeds": args.seeds, "seed": 0,
                                  "limit": args.limit} | (QUICK if args.quick else {}))
    run = config.replace(run, {"options": own})
    if args.k_factor != 1:
        run = config.replace(run, {"n_clusters": max(2, round(args.k_factor * prepare(run).k))})
    return run


def claimed(where: Path, identity: dict[str, Any], args) -> None:
    """Make a folder for what comes from `identity`; what is from anything else is refused, or by --redo removed."""
    made = where / "made_from.json"
    before = read_json(made) if made.is_file() else identity
    if other := [part for part in identity if before.get(part) != identity[part]]:
        if not args.redo:
            sys.exit(f"{where} was made from other {' and '.join(other)}: choose another --folder, or do it anew "
                     "by --redo")
        shutil.rmtree(where)
    where.mkdir(parents=True, exist_ok=True)
    write_json(made, identity)


def executed(run: config.Run, where: Path, args) -> dict[str, Any]:
    """The metrics of a run: those in its folder, if they are of this code and data, else of doing it."""
    from dec.runs import execute as runs
    from dec.runs.prepare import prepare

    claimed(where, {"code": args.code, "data": prepare(run).dataset.digest, "run": config.to_dict(run)}, args)
    folder = where / "run"
    folder.mkdir(exist_ok=True)
    if (done := RunFolder(folder).finished()) is not None:
        return done
    cache = args.folder / "pretrained" / args.code  # names what is in it by data, network and seed
    return runs.execute(run, RunFolder(folder), quiet=True, cache=cache)


def of_clustpy(method: str, run: config.Run, where: Path, args) -> dict[str, Any]:
    """The same of a method of ClustPy; a seed that is done is not done again."""
    from dec.metrics import external
    from dec.runs.prepare import prepare

    if not args.clustpy_python:
        raise ValueError("--clustpy-python is needed")
    made, (name, attribute) = prepare(run), CLUSTPY[method]
    if made.dataset.y is None:
        raise ValueError("this comparison needs labels")
    folder, side = where.parent / f"clustpy-{slug(name)}", Path(__file__).with_name("_clustpy_labels.py")
    versions = subprocess.run([args.clustpy_python, side, "--versions"], stdout=subprocess.PIPE, text=True, check=True)
    claimed(folder, {"code": config.digest(side.read_text(), versions.stdout), "data": made.dataset.digest,
                     "run": [name, made.k]}, args)
    x = made.x.toarray() if issparse(made.x) else np.reshape(made.x, (len(made.x), -1))
    seeds, seconds = [], 0.0
    for seed in range(run.seeds):
        saved = folder / f"{seed}.npz"
        if not saved.is_file():
            with tempfile.TemporaryDirectory() as temporary:
                data, part = Path(temporary) / "x.npy", Path(temporary) / "labels.npz"
                np.save(data, (x.astype(np.float32) - x.min()) / np.ptp(x))
                done = subprocess.run(list(map(str, [
                    args.clustpy_python, side, "--method", name, "--clusters", made.k, "--seed", seed, "--data", data,
                    "--save", part])), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                if done.returncode:
                    said = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
                    seeds.append({"seed": seed, "status": "failed", "reason": f"exit {done.returncode}: {said}"})
                    continue
                shutil.move(part, saved)
        with np.load(saved) as found:
            seeds.append({"seed": seed, "status": "ok", **external(made.dataset.y, found[attribute])})
            seconds += float(found["seconds"])
    return {"n": len(x), "n_clusters": made.k, "seeds": seeds, "kept_seed": None, "seconds": {"fit": seconds},
            "versions": json.loads(versions.stdout)}


def row(method: str, name: str, kind: str, metrics: dict[str, Any]) -> dict[str, Any]:
    """A line of the table, scores in per cent."""
    from scipy.stats import bootstrap

    found: dict[str, Any] = {
        "data": name, "method": method, "kind": kind, "n": metrics["n"], "k": metrics["n_clusters"],
        "failures": [f"seed {s['seed']}: {s['reason']}" for s in metrics["seeds"] if s["status"] != "ok"],
        "seconds": metrics["seconds"], "published": PUBLISHED.get((method, name, kind))}
    if "versions" in metrics:  # of the other side
        found["versions"] = metrics["versions"]
    for score in ("acc", "nmi", "ari"):
        values = 100 * np.array(scores(metrics, score))
        if not len(values):
            continue
        found[score] = {"mean": values.mean(), "sd": values.std(ddof=1) if len(values) > 1 else None,
                        "median": np.median(values), "min": values.min(), "max": values.max(), "seeds": len(values)}
        if len(values) > 1:
            found[score]["interval"] = list(bootstrap(
                (values,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval)
    kept = next((s for s in metrics["seeds"] if s["seed"] == metrics["kept_seed"]), {})
    if "acc" in found and kept.get("acc") is not None:
        found["kept_acc"] = 100 * kept["acc"]
        found["oracle_gap"] = found["acc"]["max"] - found["kept_acc"]
    return found


def table(rows: list[dict[str, Any]]) -> str:
    header = ["data", "method", "kind", "k", "ACC mean ± sd", "median", "min", "max", "95 % of the mean", "NMI", "ARI",
              "kept seed", "oracle gap", "failed", "seconds", "published"]

    def cells(r: dict[str, Any]) -> list[str]:
        if "refused" in r:
            return [r["data"], r["method"], "", "", f"refused: {r['refused']}", *[""] * (len(header) - 5)]
        acc = r.get("acc")
        means = [f"{r[s]['mean']:.1f}" + (f" ± {r[s]['sd']:.1f}" if r[s]["sd"] is not None else "") if s in r else "–"
                 for s in ("acc", "nmi", "ari")]
        spread = [f"{acc[part]:.1f}" for part in ("median", "min", "max")] if acc else ["–"] * 3
        interval = "{:.1f} to {:.1f}".format(*acc["interval"]) if acc and "interval" in acc else "–"
        gap = [f"{r[part]:.1f}" if part in r else "–" for part in ("kept_acc", "oracle_gap")]
        return [r["data"], r["method"], r["kind"], str(r["k"]), means[0], *spread, interval, *means[1:], *gap,
                str(len(r["failures"])), f"{sum(r['seconds'].values()):.0f}", (r["published"] or ["–"])[0]]

    sources = sorted({f"{r['method']} on {r['data']}: {r['published'][1]}" for r in rows if r.get("published")})
    return "\n\n".join([markdown(header, [cells(r) for r in rows]), *sources])


def main() -> None:
    parser = common.parser(__doc__, "300 rows of digits, k-means and DEC, 2 seeds, a few epochs of a small network")
    parser.add_argument("--data", nargs="+", default=DATA, metavar="NAME", help=f"(default: {' '.join(DATA)})")
    parser.add_argument("--methods", nargs="+", default=METHODS, metavar="NAME",
                        help=f"see `dec methods` (default: {' '.join(METHODS)})")
    parser.add_argument("--seeds", type=int, default=10, help="(default: %(default)s)")
    parser.add_argument("--preset", default="small", help="see `dec presets` (default: %(default)s)")
    parser.add_argument("--limit", type=int, help="work on a uniform sample of so many rows of each data set")
    parser.add_argument("--k-factor", type=float, default=1.0, help="so many times the classes are asked for as "
                                                                    "clusters: .5, 2 (default: %(default)g)")
    parser.add_argument("--imbalanced", action="store_true", help="the first class keeps a tenth of its rows")
    parser.add_argument("--folder", type=Path, help="of the runs (default: runs/quality; by --quick a temporary one)")
    parser.add_argument("--clustpy-python", type=Path, help="the interpreter that has ClustPy, for its methods")
    parser.add_argument("--redo", action="store_true", help="do runs of other code, data or settings anew")
    args = common.parse(parser, data=["digits"], methods=["kmeans", "dec"], seeds=2, preset="small", limit=300)
    from dec.cli.start import prepare_jax
    from dec.runs.execute import Interrupted
    from dec.runs.presets import preset

    prepare_jax()
    args.code, rows = code(), []
    with tempfile.TemporaryDirectory() as temporary:
        args.folder = args.folder or Path(temporary if args.quick else "runs/quality")
        args.folder.mkdir(parents=True, exist_ok=True)
        variant = [f"k x {args.k_factor:g}"] * (args.k_factor != 1) + ["imbalanced"] * args.imbalanced
        variant += [f"{args.limit} rows"] * bool(args.limit)
        for name in args.data:
            for method in args.methods:
                shown = ", ".join([name, *variant])
                print(f"{shown}: {method}", file=sys.stderr, flush=True)
                try:
                    run = planned("kmeans" if method in CLUSTPY else method, name, args, preset(args.preset))
                    where = args.folder / slug(shown) / slug(method)
                    metrics = of_clustpy(method, run, where, args) if method in CLUSTPY else executed(run, where, args)
                    rows.append(row(method, shown, "" if method in CLUSTPY else kind(run), metrics))
                except (ValueError, FileNotFoundError) as error:  # a method that does not fit the data, or no data
                    rows.append({"data": shown, "method": method, "refused": str(error)})
                except Interrupted:
                    sys.exit("Stopped; the same command goes on from there.")
    common.save(args, __doc__, rows)
    print(table(rows))


if __name__ == "__main__":
    main()
