"""The commands that recommend without labels: `dec choose-k` and `dec select`."""

from __future__ import annotations

import argparse
from pathlib import Path

from dec.options import Parser, add_run_options, base_run, given, sweep


def span(text: str) -> range:
    """FIRST:LAST as a range with both ends."""
    first, _, last = text.partition(":")
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) < int(last)):
        raise argparse.ArgumentTypeError(f"{text!r} is not FIRST:LAST, two numbers from 1 on like 1:29")
    return range(int(first), int(last) + 1)


def choose_k(argv: list[str]) -> int:
    """dec choose-k ..."""
    from dec.cli import prepare_jax, spare

    parser = Parser(prog="dec choose-k", usage="dec choose-k [OPTION VALUE ...]", conflict_handler="resolve",
                    description="Five criteria for the number of clusters, and the median of what they recommend.")
    add_run_options(parser)
    parser.add_argument("--on", choices=("codes", "input"), default="codes",
                        help="the codes of a pretrained autoencoder, or the scaled input [codes]")
    parser.add_argument("--k", type=span, default=range(1, 30), metavar="FIRST:LAST", help="the range [1:29]")
    parser.add_argument("--seeds", type=int, help="how many networks to pretrain; at least 5 fits, whose stability is "
                                                  "measured, take turns over them [1]")
    parser.add_argument("--out", type=Path, help="a CSV to write the table to; or .png, .svg, .pdf: the figure")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    args = parser.parse(argv)
    spare(args, ".csv", ".png", ".svg", ".pdf")
    options = given(args)
    without = ("n_clusters", "model.refinement.") + (
        ("model.network.", "model.pretraining.", "model.augmentation.") if args.on == "input" else ())
    if unused := [name.removeprefix("model.") for name in options if name.startswith(without)]:
        raise ValueError(f"dec choose-k --on {args.on} does not use {', '.join(unused)}; leave it out")
    cells = list(sweep(base_run(args), options | {"n_clusters": ["auto"]}).values())
    if len(cells) > 1:
        raise ValueError("dec choose-k takes one value of each option; write several in one word, with commas")
    prepare_jax(args)
    import pandas as pd

    from dec.data.scaling import fit_scaling
    from dec.networks.autoencoder import build
    from dec.prepared import prepare
    from dec.report.methods import criteria
    from dec.report.progress import Progress
    from dec.report.style import rendered
    from dec.report.table import markdown
    from dec.runs import pretrained_cache
    from dec.shallow.choose_k import vote
    from dec.training import pretrained
    from dec.training.checkpoint import write
    from dec.training.fit import recommended
    from dec.training.session import Session

    run, dataset, _, _, x, _, other = prepare(cells[0])
    session = Session(list(range(run.seed, run.seed + run.seeds)))
    training, validation = (x, None) if other is None else (other, x)
    scaling, nets = fit_scaling(training, run.model.scaling), None
    if args.on == "codes":
        with Progress("choose-k: ") as progress:
            session.progress = None if args.quiet else progress
            module = build(run.model.network, x.shape[1], run.model.dtype)
            cache = None if args.no_cache else pretrained_cache(Path(), True)
            nets = pretrained.networks(module, training, scaling, validation, run.model, session, cache)
    choice = recommended(x, scaling, nets, run.model, session, args.k)
    table = pd.DataFrame(choice["table"], dtype=float).astype({"k": int})
    if args.out:
        kind = args.out.suffix[1:]
        write(args.out, table.to_csv(index=False).encode() if kind == "csv" else
              rendered(criteria(table, vote(table)), kind))
    shown = [["–" if pd.isna(v) else f"{v:g}" if c == "k" else f"{v:.4g}" for c, v in zip(table, row)]
             for row in table.to_numpy()]
    print(f"{dataset.source}\n\n{markdown(list(table), shown)}\n\n{choice['reason']}")
    return 0


def select(argv: list[str]) -> int:
    """dec select RUN"""
    parser = Parser(prog="dec select", description="Pick a method or setting, and a seed, of a table without labels: "
                                                   "all are scored in the same spaces.")
    parser.add_argument("run", type=Path, help="the folder of a sweep or of dec compare")
    args = parser.parse(argv)
    from dec.report.select import select

    print(select(args.run)[1])
    return 0
