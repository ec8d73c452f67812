"""The `dec` command. Options come from the config dataclasses and the methods; jax waits until it is needed."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import sys
import traceback
import warnings
from pathlib import Path

from dec import config
from dec.cli import commands
from dec.cli.arguments import (
    NETWORK,
    REFINEMENT,
    Parser,
    add,
    add_code_files,
    add_method_file,
    add_run_options,
    add_sweep,
    base_run,
    given,
    options_of,
    source_of,
    sweep,
)
from dec.cli.start import HIDDEN, begin, check_output, finish, prepare_jax, resume
from dec.errors import UserError
from dec.paths import as_path, expanded

DEFAULT_METHODS = ["kmeans", "ae+kmeans", "dec", "idec"]


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    debug = "--debug" in argv
    argv = [word for word in argv if word != "--debug"]
    if not argv or argv[0] in ("-h", "--help"):
        print(overview())
        return 0
    if argv[0] == "--version":
        import importlib.metadata

        print(importlib.metadata.version("dec"))
        return 0
    warnings.formatwarning = lambda message, *_, **__: f"dec: {message}\n"
    try:
        if argv[0] not in COMMANDS:
            raise UserError(config.unknown("command", argv[0], list(COMMANDS)))
        return COMMANDS[argv[0]][0](argv[1:])
    except (UserError, OSError) as error:
        return ended(2, f"dec: {error}", debug)
    except Exception as error:
        return ended(1, f"dec: unexpected {type(error).__name__}: {error}. This is a bug in dec and no mistake of "
                        "yours: please report it with the command and what it prints with --debug", debug)
    except KeyboardInterrupt:
        return ended(130, "dec: stopped at once; go on with --resume from the last checkpoint")


def ended(status: int, message: str, debug: bool = False) -> int:
    """Say what the exception being handled means; returns the exit status, or with `debug` raises it again.

    One of several processes ends here: at its exit JAX would wait minutes for the others, which wait for it.
    """
    jax = sys.modules.get("jax")
    several = jax and jax.distributed.is_initialized() and jax.process_count() > 1
    if debug and not several:
        raise
    if debug:
        traceback.print_exc()
    print(message, file=sys.stderr)
    if several:
        print(f"dec: process {jax.process_index()} of {jax.process_count()} ends, since it failed or lost another; "
              "go on by dec train --resume and the run's folder", file=sys.stderr, flush=True)
        HIDDEN.remove()
        os._exit(status)
    return status


def overview() -> str:
    """Return the top-level help."""
    lines = [f"  {name:<10} {about}" for name, (_, about) in COMMANDS.items()]
    return "\n".join([
        "usage: dec COMMAND ...", "", "Deep clustering in JAX: learn a representation and the clusters in it together.",
        "", *lines, "", "`dec COMMAND --help` tells more. --debug shows tracebacks."])


# Commands.


def train(argv: list[str]) -> int:
    """Train one method over several seeds, or a sweep of it."""
    from dec.methods import METHODS, factory
    from dec.user_code import pass_file

    parser = Parser(prog="dec train", description="Train one method over several seeds.",
                    usage="dec train METHOD [OPTION VALUE ...]",
                    epilog="A sweep, one run for each combination of values, is one table: "
                           "--sweep gamma=0.01,0.1,1 --sweep refresh-every=20,140.")
    parser.add_argument("method", nargs="?", help=f"one of {', '.join(METHODS)}")
    parser.add_argument("--resume", type=as_path, metavar="RUN", help="go on with an unfinished run or table")
    first = Parser(prog="dec train", add_help=False)
    for one in (first, parser):
        one.add_argument("--method-file", type=as_path, nargs=1, metavar="FILE.py",
                         help="a method of your own in place of METHOD: the function that returns a Method; with "
                              "--resume, the file that RUN was made with")
    found, rest = first.parse_known_args(argv)
    if found.method_file and not any(word.split("=")[0] == "--resume" for word in rest):
        argv = [str(found.method_file[0].resolve()), *rest]
    method = argv[0] if argv and not argv[0].startswith("-") else None
    if method and method.endswith(".py"):
        pass_file(method)
    if method:
        make = factory(method)
        parser.prog, parser.description = f"dec train {method}", (inspect.getdoc(make) or "").split("\n")[0]
        group = parser.add_argument_group(f"{method} ({source_of(make)})")
        for name, hint, default, about in options_of(make):
            add(group, f"options.{name}", [name], hint, default, about)
    add_run_options(parser)
    add_sweep(parser)
    args = parser.parse(argv)
    prepare_jax(args)
    from dec.runs import execute as runs

    if args.resume:
        return resume(args, argv)
    run = base_run(args)
    if method:
        keep = run.options if run.method == method else {}
        run = dataclasses.replace(run, method=method, options=keep)
    elif args.method:
        raise UserError(f"{args.method!r} must come first: dec train {args.method} ...")
    elif not (args.config or args.preset):
        raise UserError(f"name a method: dec train METHOD, one of {', '.join(METHODS)}")
    own = {n: v for n, v in vars(args).items() if n.startswith("options.") and v is not None}
    cells = sweep(run, own | given(args))
    folder = begin(args, Path(run.method).stem, cells)
    made = factory(run.method)(**next(iter(cells.values())).options)
    unused = (*(() if made.loss else (REFINEMENT,)), *(NETWORK if made.space == "input" else ()))
    if vain := [f"--{name.split('.', 1)[1]}" for name in given(args) if name.startswith(unused)]:
        warnings.warn(f"{run.method} makes no use of {', '.join(vain).replace('_', '-')}", stacklevel=2)
    if len(cells) > 1:
        return finish(lambda: runs.table(cells, folder, quiet=args.quiet, cached=not args.no_cache), folder)
    (name, single), = cells.items()
    cache = None if args.no_cache else runs.pretrained_cache(folder, True)
    return finish(lambda: {name: runs.execute(single, folder, quiet=args.quiet, cache=cache)}, folder)


def compare(argv: list[str]) -> int:
    """Train several methods and print them in one table."""
    from dec.methods import METHODS, factory
    from dec.user_code import pass_file

    parser = Parser(prog="dec compare", usage="dec compare --methods METHOD ... [OPTION VALUE ...]",
                    description="Several methods over the same seeds, data and pretrained networks, in one table.")
    parser.add_argument("--methods", nargs="+", type=expanded, default=DEFAULT_METHODS,
                        help=f"of {', '.join(METHODS)}, or the .py file of one's own [{' '.join(DEFAULT_METHODS)}]")
    parser.add_argument("--resume", type=as_path, metavar="RUN", help="go on with an unfinished table")
    add_method_file(parser)
    add_run_options(parser)
    add_sweep(parser)
    for method, make in METHODS.items():
        group = parser.add_argument_group(method)
        for name, hint, default, about in options_of(make):
            add(group, f"{method}.{name}", [f"{method}.{name}"], hint, default, about)
    args = parser.parse(argv)
    prepare_jax(args)
    from dec.runs import execute as runs

    if args.resume:
        return resume(args, argv)
    base = base_run(args)
    if args.seeds is None and not args.config:
        base = dataclasses.replace(base, seeds=3)
    cells: dict[str, config.Run] = {}
    for method in args.methods:
        factory(pass_file(method) if method.endswith(".py") else method)
        own = {n.replace(f"{method}.", "options.", 1): v for n, v in vars(args).items()
               if n.startswith(f"{method}.") and v is not None}
        kept = base.options if method == base.method else {}
        new = sweep(dataclasses.replace(base, method=method, options=kept), own | given(args))
        if twice := cells.keys() & new.keys():
            raise UserError(f"--methods has {' and '.join(sorted(twice))} twice; leave one out, or rename its file")
        cells |= new
    folder = begin(args, "compare", cells)
    return finish(lambda: runs.table(cells, folder, quiet=args.quiet, cached=not args.no_cache), folder)


def evaluate(argv: list[str]) -> int:
    """Print the scores of a run, or of its model on other data."""
    parser = Parser(prog="dec evaluate", description="Print the scores of a run; with --data, of its model elsewhere.")
    parser.add_argument("run", type=as_path, help="a run folder")
    parser.add_argument("--data", type=expanded, help="other data to predict and score")
    add_code_files(parser)
    args = parser.parse(argv)
    from dec.runs import execute as runs
    from dec.runs.folder import RunFolder
    from dec.runs.predict import evaluate_on

    if args.data:
        print(json.dumps(evaluate_on(args.run, args.data), indent=2, default=float))
        return 0
    print(runs.show(RunFolder(args.run).results()))
    return 0


def predict(argv: list[str]) -> int:
    """Write the clusters of new rows by a run's model."""
    parser = Parser(prog="dec predict", description="Write the cluster of every row of DATA by a run's kept model.")
    parser.add_argument("run", type=as_path, help="a run folder")
    parser.add_argument("data", type=expanded, help="as --data of train")
    add_code_files(parser)
    parser.add_argument("--out", type=as_path, default=Path("labels.csv"), help="the CSV to write [labels.csv]")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    args = parser.parse(argv)
    check_output(args, ".csv")
    from dec.runs.predict import predict as predicted

    table, source = predicted(args.run, args.data)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(args.out, index=False)
    print(f"{source}\n{len(table)} rows in {args.out}: cluster, its probability, and how odd the row is (1 is usual)")
    return 0


def crosstab(argv: list[str]) -> int:
    """Count two clusterings together."""
    parser = Parser(prog="dec crosstab", description="Count the rows of two clusterings together, joined on a column "
                                                     "that names them in both: clusters of RUN_A against RUN_B's.")
    parser.add_argument("runs", nargs=2, type=as_path, metavar="RUN",
                        help="a run folder, or a CSV with a column cluster")
    parser.add_argument("--on", default="row", help="the column that both have [row]")
    parser.add_argument("--out", type=as_path, help="a CSV to write as well")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    args = parser.parse(argv)
    check_output(args, ".csv")
    from dec.runs.crosstab import crosstab

    counts, text = crosstab(*args.runs, args.on)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        counts.to_csv(args.out)
    print(text)
    return 0


COMMANDS = {
    "train": (train, "train one method: dec train idec --data mnist --seeds 10"),
    "compare": (compare, "several methods in one table, on the same pretrained networks"),
    "evaluate": (evaluate, "the scores of a run, or of its model on other data"),
    "predict": (predict, "the clusters of new rows by a run's model"),
    "report": (commands.report, "a page with the figures, the scores and the clusters of a run or a table"),
    "describe": (commands.describe, "what becomes of data on their way to a method, and the layers of its network"),
    "methods": (commands.methods, "the methods there are"),
    "crosstab": (crosstab, "two clusterings counted together, joined on a column"),
    "choose-k": (commands.choose_k, "how many clusters there are: five criteria and a recommendation"),
    "select": (commands.select, "the method, setting and seed of a table to go on with, without labels"),
    "data": (commands.data, "the data sets there are; dec data inspect DATA, dec data prepare NAME --from DIR"),
    "presets": (commands.presets, "the cited protocols there are"),
}
