"""The `dec` command. Options come from the config dataclasses and the methods; jax waits until it is needed."""

from __future__ import annotations

import argparse
import atexit
import dataclasses
import datetime
import inspect
import json
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dec import commands, config
from dec.options import Parser, add, add_fields, add_run_options, base_run, given, options_of, source_of, sweep

COMMANDS = {
    "train": "train one method: dec train idec --data mnist --seeds 10",
    "compare": "several methods in one table, on the same pretrained networks",
    "evaluate": "the scores of a run, or of its model on other data",
    "predict": "the clusters of new rows by a run's model",
    "report": "a page with the figures, the scores and the clusters of a run or a table",
    "describe": "what becomes of data on their way to a method, and the layers of its network",
    "methods": "the methods there are",
    "crosstab": "two clusterings counted together, joined on a column",
    "choose-k": "how many clusters there are: five criteria and a recommendation",
    "select": "the method, setting and seed of a table to go on with, without labels",
    "data": "the data sets there are; dec data inspect DATA, dec data prepare NAME --from DIR",
    "presets": "the cited protocols there are",
}
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
            raise ValueError(config.unknown("command", argv[0], list(COMMANDS)))
        return HANDLERS[argv[0]](argv[1:])
    except (ValueError, TypeError, OSError) as error:
        if debug:
            raise
        print(f"dec: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        if debug:
            raise
        print(f"dec: unexpected {type(error).__name__}: {error} (--debug shows where)", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dec: stopped at once; go on with --resume from the last checkpoint", file=sys.stderr)
        return 130


def overview() -> str:
    """The top-level help."""
    lines = [f"  {name:<10} {about}" for name, about in COMMANDS.items()]
    return "\n".join([
        "usage: dec COMMAND ...", "", "Deep clustering in JAX: learn a representation and the clusters in it together.",
        "", *lines, "", "`dec COMMAND --help` tells more. --debug shows tracebacks."])


def begin(args: argparse.Namespace, name: str, cells: dict[str, config.Run]) -> Path:
    """The new folder of runs that can be done."""
    from dec.folders import slug
    from dec.prepared import check

    check(cells)
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    data = Path(next(iter(cells.values())).data).name
    folder = args.out or Path("runs") / slug(f"{data}-{name}-{stamp}")
    while folder.exists() and not args.out:  # another run of this second
        folder = folder.with_name(f"{folder.name}+")
    for run in cells.values():
        for needed in (run.data, run.pretrain_on, run.model.pretraining.warm_start):
            if needed and Path(needed).exists() and Path(needed).resolve().is_relative_to(folder.resolve()):
                raise ValueError(f"--out {folder} would replace {needed}, which this run needs; choose another")
    return own_folder(args, folder, new=True)


def only(args: argparse.Namespace, argv: list[str]) -> Path:
    """The run to resume, whose own settings hold: other options would be silently without effect."""
    where = {"--resume", "--quiet", "--device", "--mesh", "--coordinator", "--num-processes", "--process-id"}
    other = {word.split("=")[0] for word in argv if word.startswith("--")} - where
    if other:
        raise ValueError(f"--resume goes on with the settings of {args.resume}; leave out {', '.join(sorted(other))}")
    return own_folder(args, args.resume)


def own_folder(args: argparse.Namespace, folder: Path, new: bool = False) -> Path:
    """The folder of a run; of a process that is not the first one, a copy that nobody will see."""
    import jax

    from dec.folders import create
    from dec.training.mesh import LOST, agreed

    if jax.process_index():
        args.quiet, place = True, Path(tempfile.mkdtemp(prefix="dec-process-"))
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        if not new:
            shutil.copytree(folder, place, dirs_exist_ok=True)
        folder = place
    elif new:
        create(folder, args.force)
    agreed(0)  # all have theirs before the first one writes
    if jax.process_count() > 1 and not jax.process_index():  # JAX ends such processes where nothing more can be said
        print(f"dec: {jax.process_count()} processes; if one is lost, all end within {LOST} s: go on, with as "
              f"many processes and devices as there are then, by --resume {folder}", file=sys.stderr)
    return folder


def prepare_jax(args: argparse.Namespace | None = None) -> None:
    """Choose the devices, and keep compiled programs between processes."""
    import jax

    from dec.data import cache_dir

    device = args and args.device
    if device:
        jax.config.update("jax_platforms", {"gpu": "cuda"}.get(device, device))
    if args and (args.mesh or args.coordinator):
        from dec.training import mesh

        mesh.start(args.mesh or {}, args.coordinator, args.num_processes, args.process_id)
    elif args and (args.num_processes or args.process_id):
        raise ValueError("--num-processes and --process-id need --coordinator HOST:PORT")
    if device:
        try:
            jax.devices(device)
        except RuntimeError as error:
            raise ValueError(f"--device {device} is not on this machine, or its extra is not installed") from error
    if not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "xla"))


def finish(cells: Callable[[], dict[str, Any]], folder: Path) -> int:
    """Run the cells, print their table and where it all lies, with a table's report; returns the exit status."""
    import jax

    from dec.folders import PLAN, read_results
    from dec.runs import Interrupted, show

    try:
        found, status = cells(), 0
    except Interrupted:
        found, status = read_results(folder), 130
    if jax.process_index():
        return status
    print(show(found))
    print(f"\n{'Interrupted; go on with: dec train --resume' if status else 'Saved in'} {folder}")
    if not status and (folder / PLAN).is_file():
        from dec.report.run import write_report  # and with it matplotlib, which a single run does not need

        print(f"Report: {write_report(folder, formats=())}")
    failed = not any(row["status"] == "ok" for metrics in found.values() for row in metrics["seeds"])
    return status or int(failed)


# Commands.


def train(argv: list[str]) -> int:
    """dec train METHOD ..."""
    from dec.methods import METHODS, factory

    parser = Parser(prog="dec train", description="Train one method over several seeds.",
                    usage="dec train METHOD [OPTION VALUE ...]",
                    epilog="Several values of an option make a sweep: --gamma 0.01 0.1 1 --refresh-every 20 140.")
    parser.add_argument("method", nargs="?", help=f"one of {', '.join(METHODS)}")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with an unfinished run or table")
    first = Parser(prog="dec train", add_help=False)
    for one in (first, parser):
        one.add_argument("--method-file", type=Path, metavar="FILE.py",
                         help="a method of one's own in place of METHOD: the function that returns a Method")
    found, rest = first.parse_known_args(argv)
    if found.method_file:
        argv = [str(found.method_file.resolve()), *rest]
    method = argv[0] if argv and not argv[0].startswith("-") else None
    if method:
        make = factory(method)
        parser.prog, parser.description = f"dec train {method}", (inspect.getdoc(make) or "").split("\n")[0]
        group = parser.add_argument_group(f"{method} ({source_of(make)})")
        for name, hint, default, about in options_of(make):
            add(group, f"options.{name}", [name], hint, default, about)
    add_run_options(parser)
    args = parser.parse(argv)
    prepare_jax(args)
    from dec import runs

    if args.resume:
        folder = only(args, argv)
        return finish(lambda: runs.resume(folder, quiet=args.quiet), folder)
    run = base_run(args)
    if method:
        keep = run.options if run.method == method else {}
        run = dataclasses.replace(run, method=method, options=keep)
    elif args.method:
        raise ValueError(f"{args.method!r} must come first: dec train {args.method} ...")
    elif not (args.config or args.preset):
        raise ValueError(f"name a method: dec train METHOD, one of {', '.join(METHODS)}")
    own = {n: v for n, v in vars(args).items() if n.startswith("options.") and v is not None}
    cells = sweep(run, own | given(args))
    folder = begin(args, Path(run.method).stem, cells)
    if len(cells) > 1:
        return finish(lambda: runs.table(cells, folder, quiet=args.quiet, cached=not args.no_cache), folder)
    (name, single), = cells.items()
    cache = None if args.no_cache else runs.pretrained_cache(folder, True)
    return finish(lambda: {name: runs.execute(single, folder, quiet=args.quiet, cache=cache)}, folder)


def compare(argv: list[str]) -> int:
    """dec compare ..."""
    from dec.methods import METHODS, factory

    parser = Parser(prog="dec compare", usage="dec compare --methods METHOD ... [OPTION VALUE ...]",
                    description="Several methods over the same seeds, data and pretrained networks, in one table.")
    parser.add_argument("--methods", nargs="+", default=DEFAULT_METHODS,
                        help=f"of {', '.join(METHODS)} [{' '.join(DEFAULT_METHODS)}]")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with an unfinished table")
    add_run_options(parser)
    for method, make in METHODS.items():
        group = parser.add_argument_group(method)
        for name, hint, default, about in options_of(make):
            add(group, f"{method}.{name}", [f"{method}.{name}"], hint, default, about)
    args = parser.parse(argv)
    prepare_jax(args)
    from dec import runs

    if args.resume:
        folder = only(args, argv)
        return finish(lambda: runs.resume(folder, quiet=args.quiet), folder)
    base = base_run(args)
    if args.seeds is None and not args.config:
        base = dataclasses.replace(base, seeds=3)
    cells: dict[str, config.Run] = {}
    for method in args.methods:
        factory(method)
        own = {n.replace(f"{method}.", "options.", 1): v for n, v in vars(args).items()
               if n.startswith(f"{method}.") and v is not None}
        kept = base.options if method == base.method else {}
        cells |= sweep(dataclasses.replace(base, method=method, options=kept), own | given(args))
    folder = begin(args, "compare", cells)
    return finish(lambda: runs.table(cells, folder, quiet=args.quiet, cached=not args.no_cache), folder)


def evaluate(argv: list[str]) -> int:
    """dec evaluate RUN ..."""
    parser = Parser(prog="dec evaluate", description="Print the scores of a run; with --data, of its model elsewhere.")
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--data", help="other data to predict and score")
    args = parser.parse(argv)
    from dec import runs
    from dec.folders import read_results
    from dec.predict import evaluate_on

    if args.data:
        print(json.dumps(evaluate_on(args.run, args.data), indent=2, default=float))
        return 0
    print(runs.show(read_results(args.run)))
    return 0


def spare(args: argparse.Namespace, *kinds: str) -> None:
    """Refuse an --out of none of these kinds, or, unless --force allows it, to replace the file that is there."""
    if args.out and kinds and args.out.suffix not in kinds:
        raise ValueError(f"--out {args.out} must end in {' or '.join(kinds)}")
    if args.out and args.out.exists() and not args.force:
        raise FileExistsError(f"--out {args.out} exists; replace it by --force or choose another")


def predict(argv: list[str]) -> int:
    """dec predict RUN DATA ..."""
    parser = Parser(prog="dec predict", description="Write the cluster of every row of DATA by a run's kept model.")
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("data", help="as --data of train")
    parser.add_argument("--out", type=Path, default=Path("labels.csv"), help="the CSV to write [labels.csv]")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    args = parser.parse(argv)
    spare(args)
    from dec.predict import predict as predicted

    table, source = predicted(args.run, args.data)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(args.out, index=False)
    print(f"{source}\n{len(table)} rows in {args.out}: cluster, its probability, and how odd the row is (1 is usual)")
    return 0


def crosstab(argv: list[str]) -> int:
    """dec crosstab RUN_A RUN_B --on ID"""
    parser = Parser(prog="dec crosstab", description="Count the rows of two clusterings together, joined on a column "
                                                     "that names them in both: clusters of RUN_A against RUN_B's.")
    parser.add_argument("runs", nargs=2, type=Path, metavar="RUN", help="a run folder, or a CSV with a column cluster")
    parser.add_argument("--on", default="row", help="the column that both have [row]")
    parser.add_argument("--out", type=Path, help="a CSV to write as well")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    args = parser.parse(argv)
    spare(args)
    from dec.report.crosstab import crosstab

    counts, text = crosstab(*args.runs, args.on)
    if args.out:
        counts.to_csv(args.out)
    print(text)
    return 0


def data(argv: list[str]) -> int:
    """dec data, dec data inspect DATA, dec data prepare NAME --from DIR"""
    what, rest = (argv[0], argv[1:]) if argv and not argv[0].startswith("-") else ("", argv)
    if what == "inspect":
        parser = Parser(prog="dec data inspect", usage="dec data inspect DATA [OPTION VALUE ...]",
                        description="What is understood of DATA, and the numbers that it will become.")
        parser.add_argument("data", help="as --data of train")
        add_fields(parser, "features.")
        args = parser.parse(rest)
        from dec.report.inspect import inspect_data

        runs = sweep(config.Run(), given(args))
        if len(runs) > 1:
            raise ValueError("dec data inspect takes one value of each option; write several in one word, with commas")
        print(inspect_data(args.data, next(iter(runs.values())).features))
        return 0
    if what == "prepare":
        parser = Parser(prog="dec data prepare", description="Prepare a data set for tensorflow-datasets.")
        parser.add_argument("name", help="usps")
        parser.add_argument("--from", dest="source", type=Path, required=True, metavar="DIR", help="where its file is")
        args = parser.parse(rest)
        from dec.data.tfds import prepare

        print(prepare(args.name, args.source))
        return 0
    if what:
        raise ValueError(f"dec data takes inspect or prepare, not {what!r}; for what a data set holds: "
                         f"dec data inspect {what}")
    return listing("data", _data)(rest)


def report(argv: list[str]) -> int:
    """dec report RUN"""
    parser = Parser(prog="dec report", description="Write report.html, one page that needs nothing else, and its "
                                                   "figures as files into the folder of a run or a table.")
    parser.add_argument("run", type=Path, help="a run folder, or that of a table")
    parser.add_argument("--open", action="store_true", help="show it in the browser")
    parser.add_argument("--formats", nargs="+", choices=["png", "svg", "pdf"], default=["png", "svg", "pdf"],
                        help="of the files in RUN/figures [png svg pdf]")
    parser.add_argument("--map", nargs="+", choices=["pca", "tsne", "umap", "interactive", "gif"], default=[],
                        help="of a run: ways to show its codes, in the plane, or in space as a page to turn (needs "
                             "dec[plot]) and as a picture that turns [pca tsne]")
    parser.add_argument("--colour", nargs="+", default=[], metavar="COLUMN|RUN",
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
    """dec describe METHOD ..."""
    parser = Parser(prog="dec describe", usage="dec describe METHOD [OPTION VALUE ...]", conflict_handler="resolve",
                    description="What becomes of the data on their way to a method, and the layers of its network; "
                                "nothing is trained.")
    parser.add_argument("method", help="as of dec train")
    add_run_options(parser)
    parser.add_argument("--out", type=Path, metavar="FILE.svg", help="draw it too")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    args = parser.parse(argv)
    spare(args, ".svg")
    base = base_run(args)
    base = dataclasses.replace(base, method=args.method, options=base.options if base.method == args.method else {})
    cells = list(sweep(base, given(args)).values())
    if len(cells) > 1:
        raise ValueError("dec describe takes one value of each option; write several in one word, with commas")
    prepare_jax(args)
    from dec.report import describe
    from dec.report.style import rendered
    from dec.training.checkpoint import write

    found = describe.describe(cells[0])
    print(describe.as_text(found))
    if args.out:
        write(args.out, rendered(describe.drawn(found), "svg"))
    return 0


def listing(name: str, lines: Callable[[], Iterable[tuple[str, str]]]) -> Callable[[list[str]], int]:
    """A command that prints a name and a line for each thing there is."""
    def command(argv: list[str]) -> int:
        Parser(prog=f"dec {name}", description=COMMANDS[name]).parse(argv)
        for key, about in lines():
            print(f"{key:<24} {about}")
        return 0

    return command


def _methods() -> Iterable[tuple[str, str]]:
    from dec.methods import METHODS

    return ((name, f"{inspect.getdoc(make).splitlines()[0]} ({source_of(make)})") for name, make in METHODS.items())


def _data() -> Iterable[tuple[str, str]]:
    from dec.data import available
    from dec.data.named import NAMED

    for name, (about, here) in available().items():
        folder = NAMED[name].folder or name
        yield name, about if here else f"{about} (not on this machine; put it under $DEC_DATA/{folder})"


def _presets() -> Iterable[tuple[str, str]]:
    from dec.presets import PRESETS

    for name, preset in PRESETS.items():
        parts = [preset.about]
        for part in ("source", "command", "published", "measured", "notes"):
            if getattr(preset, part):
                parts.append(f"  {part:<11}{getattr(preset, part)}")
        yield name, "\n".join(parts)


HANDLERS = {
    "train": train,
    "compare": compare,
    "evaluate": evaluate,
    "predict": predict,
    "report": report,
    "describe": describe,
    "methods": listing("methods", _methods),
    "data": data,
    "crosstab": crosstab,
    "choose-k": commands.choose_k,
    "select": commands.select,
    "presets": listing("presets", _presets),
}
