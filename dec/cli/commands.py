"""The commands that train nothing, or recommend without labels: what there is, a run's report, how many clusters."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

from dec import config
from dec.cli.arguments import (
    NETWORK,
    REFINEMENT,
    Parser,
    add_code_files,
    add_fields,
    add_run_options,
    base_run,
    given,
    source_of,
    sweep,
)
from dec.cli.start import check_output, prepare_jax
from dec.errors import UserError
from dec.paths import as_path, expanded


def data(argv: list[str]) -> int:
    """List data sets, inspect one, or prepare one for tensorflow-datasets."""
    what, rest = (argv[0], argv[1:]) if argv and not argv[0].startswith("-") else ("", argv)
    if what == "inspect":
        parser = Parser(prog="dec data inspect", usage="dec data inspect DATA [OPTION VALUE ...]",
                        description="What is understood of DATA, and the numbers that it will become.")
        parser.add_argument("data", type=expanded, help="as --data of train")
        add_fields(parser, "features.")
        args = parser.parse(rest)
        from dec.runs.inspect import inspect_data

        print(inspect_data(args.data, single(config.Run(), given(args)).features))
        return 0
    if what == "prepare":
        parser = Parser(prog="dec data prepare", description="Prepare a data set for tensorflow-datasets.")
        parser.add_argument("name", help="usps")
        parser.add_argument("--from", dest="source", type=as_path, required=True, metavar="DIR",
                            help="where its file is")
        args = parser.parse(rest)
        from dec.data.readers.tfds import prepare

        print(prepare(args.name, args.source))
        return 0
    if what:
        raise UserError(f"dec data takes inspect or prepare, not {what!r}; for what a data set holds: "
                        f"dec data inspect {what}")
    from dec.data.readers import available
    from dec.data.readers.named import NAMED

    return listing("data", rest, (
        (name, about if here else f"{about} (not on this machine; put it under $DEC_DATA/{NAMED[name].folder or name})")
        for name, (about, here) in available().items()))


def report(argv: list[str]) -> int:
    """Write the report of a run or table."""
    parser = Parser(prog="dec report", description="Write report.html, one page that needs nothing else, and its "
                                                   "figures as files into the folder of a run or a table.")
    parser.add_argument("run", type=as_path, help="a run folder, or that of a table")
    parser.add_argument("--open", action="store_true", help="show it in the browser")
    add_code_files(parser)
    parser.add_argument("--formats", nargs="+", choices=["png", "svg", "pdf"], default=["png", "svg", "pdf"],
                        help="of the files in RUN/figures [png svg pdf]")
    parser.add_argument("--map", nargs="+", choices=["pca", "tsne", "umap", "interactive", "gif"], default=[],
                        help="of a run: ways to show its codes, in the plane, or in space as a page to turn (needs "
                             "dec[plot]) and as a picture that turns [pca tsne]")
    parser.add_argument("--colour", nargs="+", type=expanded, default=[], metavar="COLUMN|RUN",
                        help="of a run: columns of its data or of labels.csv to colour further maps by and to show in "
                             "each cluster, or other runs on the same rows")
    parser.add_argument("--elbow", type=int, metavar="K", help="of a run: k-means on its codes for 1 to K clusters")
    args = parser.parse(argv)
    prepare_jax()
    from dec.report.run import write_report

    path = write_report(args.run, args.formats, args.map, args.colour, args.elbow)
    print(path)
    if args.open:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
    return 0


def describe(argv: list[str]) -> int:
    """Print the steps from the data to a method, and the layers of its network."""
    parser = Parser(prog="dec describe", usage="dec describe METHOD [OPTION VALUE ...]", conflict_handler="resolve",
                    description="What becomes of the data on their way to a method, and the layers of its network; "
                                "nothing is trained.")
    parser.add_argument("method", type=expanded, help="as of dec train, or the .py file of one's own")
    add_run_options(parser)
    parser.add_argument("--out", type=as_path, metavar="FILE.svg", help="draw it too")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    args = parser.parse(argv)
    if args.method.endswith(".py"):
        from dec.user_code import pass_file

        pass_file(args.method)
    check_output(args, ".svg")
    base = base_run(args)
    base = dataclasses.replace(base, method=args.method, options=base.options if base.method == args.method else {})
    run = single(base, given(args))
    prepare_jax(args)
    from dec.io import write
    from dec.report import architecture
    from dec.report.style import rendered
    from dec.runs import describe

    found = describe.describe(run)
    print(describe.as_text(found))
    if args.out:
        write(args.out, rendered(architecture.drawn(found), "svg"))
    return 0


def single(base: config.Run, options: dict[str, list[Any]]) -> config.Run:
    """Return the one run that the options ask for."""
    return next(iter(sweep(base, options).values()))


def span(text: str) -> range:
    """FIRST:LAST as a range with both ends."""
    first, _, last = text.partition(":")
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) < int(last)):
        raise argparse.ArgumentTypeError(f"{text!r} is not FIRST:LAST, two numbers from 1 on like 1:29")
    return range(int(first), int(last) + 1)


def choose_k(argv: list[str]) -> int:
    """Print the criteria for the number of clusters, and a recommendation."""
    parser = Parser(prog="dec choose-k", usage="dec choose-k [OPTION VALUE ...]", conflict_handler="resolve",
                    description="Five criteria for the number of clusters, and the median of what they recommend.")
    add_run_options(parser)
    parser.add_argument("--space", "--on", dest="space", choices=("codes", "input"), default="codes",
                        help="the codes of a pretrained autoencoder, or the scaled input [codes]")
    parser.add_argument("--k", type=span, default=range(1, 30), metavar="FIRST:LAST", help="the range [1:29]")
    parser.add_argument("--seeds", type=int, help="how many networks to pretrain; at least 5 fits, whose stability is "
                                                  "measured, take turns over them [1]")
    parser.add_argument("--out", type=as_path, help="a CSV to write the table to; or .png, .svg, .pdf: the figure")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    args = parser.parse(argv)
    check_output(args, ".csv", ".png", ".svg", ".pdf")
    options = given(args)
    without = "n_clusters", REFINEMENT, *(NETWORK if args.space == "input" else ())
    if unused := [name.removeprefix("model.") for name in options if name.startswith(without)]:
        raise UserError(f"dec choose-k --space {args.space} does not use {', '.join(unused)}; leave it out")
    run = single(base_run(args), options)
    prepare_jax(args)
    import pandas as pd

    from dec.io import markdown, write
    from dec.report.methods import criteria
    from dec.report.style import rendered
    from dec.runs.choose_k import choose_k
    from dec.runs.execute import pretrained_cache
    from dec.runs.folder import RunFolder
    from dec.selection.choose_k import vote
    from dec.training.progress import Progress

    cache = None if args.no_cache else pretrained_cache(RunFolder("."), True)
    with nullcontext() if args.quiet or args.space == "input" else Progress("choose-k: ") as progress:
        table, reason, source = choose_k(run, args.k, args.space, cache, progress)
    if args.out:
        kind = args.out.suffix[1:]
        write(args.out, table.to_csv(index=False).encode() if kind == "csv" else
              rendered(criteria(table, vote(table)), kind))
    shown = [["–" if pd.isna(v) else f"{v:g}" if c == "k" else f"{v:.4g}" for c, v in zip(table, row)]
             for row in table.to_numpy()]
    print(f"{source}\n\n{markdown(list(table), shown)}\n\n{reason}")
    return 0


def select(argv: list[str]) -> int:
    """Print the method, setting and seed of a table to go on with."""
    parser = Parser(prog="dec select", description="Pick a method or setting, and a seed, without labels: "
                                                   "all are scored in the same spaces.")
    parser.add_argument("run", type=as_path, help="the folder of a sweep, of dec compare, or of one run")
    args = parser.parse(argv)
    from dec.runs.folder import RunFolder
    from dec.runs.select import select

    print(select(RunFolder(args.run))[1])
    return 0


def methods(argv: list[str]) -> int:
    """List the methods."""
    from dec.methods import METHODS

    return listing("methods", argv, ((name, f"{inspect.getdoc(make).splitlines()[0]} ({source_of(make)})")
                                     for name, make in METHODS.items()))


def presets(argv: list[str]) -> int:
    """List the presets."""
    from dec.runs.presets import PRESETS

    def lines(preset: Any) -> str:
        parts = ("source", "command", "published", "measured", "notes")
        return "\n".join([preset.about, *(f"  {part:<11}{getattr(preset, part)}" for part in parts
                                          if getattr(preset, part))])

    return listing("presets", argv, ((name, lines(preset)) for name, preset in PRESETS.items()))


def listing(name: str, argv: list[str], lines: Iterable[tuple[str, str]]) -> int:
    """Print a name and a line for each thing there is."""
    Parser(prog=f"dec {name}", description=f"The {name} there are.").parse(argv)
    for key, about in lines:
        print(f"{key:<24} {about}")
    return 0
