"""The `dec` command. Options come from the config dataclasses and the methods; jax waits until it is needed."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import inspect
import itertools
import json
import re
import sys
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dec import config

COMMANDS = {
    "train": "train one method: dec train idec --data mnist --seeds 10",
    "compare": "several methods in one table, on the same pretrained networks",
    "evaluate": "the scores of a run, or of its model on other data",
    "predict": "the clusters of new rows by a run's model",
    "report": "write a run's report as Markdown",
    "methods": "the methods there are",
    "data": "the data sets there are",
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


class Help(argparse.HelpFormatter):
    """Help that names an option's value once, however many names the option has."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if action.nargs != "+" or not action.option_strings:
            return super()._format_action_invocation(action)
        return f"{', '.join(action.option_strings)} {action.metavar or action.dest.upper()} ..."


class Parser(argparse.ArgumentParser):
    """argparse that raises one clear error instead of printing its usage and leaving."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=Help, **settings)

    def error(self, message: str) -> typing.NoReturn:
        raise ValueError(f"{message} (see `{self.prog} --help`)")

    def parse(self, argv: list[str]) -> argparse.Namespace:
        """Parse, with the nearest spelling for an unknown option."""
        args, rest = self.parse_known_args(argv)
        if rest:
            known = [option[2:] for action in self._actions for option in action.option_strings]
            wrong = next((word.split("=")[0] for word in rest if word.startswith("-")), None)
            if wrong is None:
                raise ValueError(f"Unexpected {rest[0]!r}; it belongs to no option. See `{self.prog} --help`.")
            near = config.nearest(wrong.lstrip("-"), known)
            hint = f" Did you mean '--{near}'?" if near else ""
            raise ValueError(f"Unknown option {wrong!r}.{hint} See `{self.prog} --help`.")
        return args


# Options from dataclasses and factories.


def leaves(part: Any, prefix: str = "") -> Iterable[tuple[str, Any, Any, str]]:
    """(dotted name, type, default, help) of every plain field of a config, depth first."""
    hints = typing.get_type_hints(type(part))
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        elif field.name not in ("method", "options", "data", "seeds", "seed"):
            yield prefix + field.name, hints[field.name], value, field.metadata["help"]


def options_of(factory: Callable[..., Any]) -> list[tuple[str, Any, Any, str]]:
    """(name, type, default, help) of a method's options: the factory's signature and the Args of its docstring."""
    hints = typing.get_type_hints(factory)
    parts = re.split(r"\n\s*(Args|References):\n", inspect.getdoc(factory) or "")
    described = dict(zip(parts[1::2], parts[2::2])).get("Args", "")
    helps = dict(re.findall(r"^ *(\w+): ((?:.|\n(?! *\w+: ))+)", described, flags=re.M))
    return [(name, hints[name], parameter.default, " ".join(helps.get(name, "").split()))
            for name, parameter in inspect.signature(factory).parameters.items()]


def source_of(factory: Callable[..., Any]) -> str:
    """The References of a method's docstring, on one line."""
    return " ".join(re.split(r"\n\s*References:\n", inspect.getdoc(factory) or "")[-1].split()).rstrip(".")


def add(parser: Any, dest: str, names: list[str], hint: Any, default: Any, about: str) -> None:
    """One option, under one or two names, that takes one value, or several as a sweep."""
    shown = "none" if default is None else ",".join(map(str, default)) if isinstance(default, tuple) else default
    choices = typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
    kind = f" ({', '.join(choices)})" if choices else " (with commas)" if typing.get_origin(hint) is tuple else ""
    parser.add_argument(*(f"--{name.replace('_', '-')}" for name in names), dest=dest, nargs="+", metavar="V",
                        type=lambda text: parse(text, hint),
                        help=f"{about}{kind} [{shown}]".replace("%", "%%"))


KINDS = {bool: "true or false", int: "a whole number", float: "a number"}


def parse(text: str, hint: Any) -> Any:
    """A word of the command line as the type a config field asks for."""
    args = [a for a in typing.get_args(hint) if a is not type(None)]
    if text.lower() == "none" and len(args) < len(typing.get_args(hint)):
        return None
    if typing.get_origin(hint) is typing.Literal:
        if text not in args:
            near = config.nearest(text, args)
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(args)}"
                                             + (f"; did you mean {near!r}?" if near else ""))
        return text
    if typing.get_origin(hint) is not tuple and args:
        hint = args[0]
    try:
        if typing.get_origin(hint) is tuple:
            return tuple(typing.get_args(hint)[0](part) for part in text.split(",") if part)
        if hint is bool:
            return {"true": True, "false": False}[text.lower()]
        return hint(text)
    except (ValueError, KeyError) as error:
        kind = KINDS.get(hint, "whole numbers with commas between, like 500,500,2000")
        raise argparse.ArgumentTypeError(f"{text!r} is not {kind}") from error


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """What `train` and `compare` share."""
    group = parser.add_argument_group("run")
    group.add_argument("--data", help="a name (see `dec data`), name:train, name:test, tfds:NAME, or a path to .npy or "
                                      ".npz [digits]")
    group.add_argument("--seeds", type=int, help="how many seeds to train [1; compare 3]")
    group.add_argument("--seed", type=int, help="the first of them [0]")
    group.add_argument("--out", type=Path, help="the run folder [runs/DATA-METHOD-TIME]")
    group.add_argument("--preset", help="start from a cited protocol, see `dec presets`")
    group.add_argument("--config", type=Path, help="start from the config.json of a run")
    group.add_argument("--force", action="store_true", help="replace a run that is in --out")
    group.add_argument("--no-cache", action="store_true", help="do not reuse networks that earlier runs pretrained")
    group.add_argument("--quiet", action="store_true", help="no progress")
    group.add_argument("--device", choices=("cpu", "gpu", "tpu"), help="where to run [JAX's default]")
    fields = list(leaves(config.Run()))
    counts: dict[str, int] = {}
    for dotted, *_ in fields:
        counts[dotted.split(".")[-1]] = counts.get(dotted.split(".")[-1], 0) + 1
    groups: dict[str, Any] = {"": group}
    for dotted, hint, default, about in fields:
        short = dotted.removeprefix("model.")
        section = short.rsplit(".", 1)[0] if "." in short else ""
        target = groups.setdefault(section, parser.add_argument_group(section) if section else group)
        last = dotted.split(".")[-1]
        names = [last, short] if counts[last] == 1 and last != short else [short]
        add(target, dotted, names, hint, default, about)


def sweep(base: config.Run, swept: dict[str, list[Any]]) -> dict[str, config.Run]:
    """Named runs: one for every combination of the options' values; swept ones are part of the name."""
    last = [dotted.split(".")[-1] for dotted in swept]
    short = {dotted: dotted.split(".")[-1] if last.count(dotted.split(".")[-1]) == 1 else dotted for dotted in swept}
    runs = {}
    for values in itertools.product(*swept.values()):
        nested: dict[str, Any] = {}
        for dotted, value in zip(swept, values):
            *path, last = dotted.split(".")
            inner = nested
            for part in path:
                inner = inner.setdefault(part, {})
            inner[last] = value
        nested["options"] = base.options | nested.get("options", {})
        varied = [f"{short[dotted]}={_word(value)}" for (dotted, choices), value in zip(swept.items(), values)
                  if len(choices) > 1]
        try:
            runs[" ".join([base.method, *varied])] = config.replace(base, nested)
        except ValueError as error:
            raise ValueError(str(error).removeprefix("model.")) from error
    return runs


def _word(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def base_run(args: argparse.Namespace) -> config.Run:
    """The run that --preset or --config gives, with the plain options of the command line."""
    from dec.presets import preset

    run = preset(args.preset) if args.preset else config.Run()
    if args.config:
        if args.preset:
            raise ValueError("--config and --preset exclude each other; give one")
        from dec.runs import read_config

        if not args.config.is_file():
            raise FileNotFoundError(f"--config {args.config} is no file; give the config.json of a run")
        run = read_config(args.config)
    plain = {name: getattr(args, name) for name in ("data", "seeds", "seed") if getattr(args, name) is not None}
    return config.replace(run, plain, "--")


def given(args: argparse.Namespace) -> dict[str, list[Any]]:
    """The config options on the command line and their values."""
    names = {dotted for dotted, *_ in leaves(config.Run())}
    return {name: values for name, values in vars(args).items() if name in names and values is not None}


def begin(args: argparse.Namespace, name: str, cells: dict[str, config.Run]) -> Path:
    """The new folder of runs that can be done."""
    from dec.runs import check, create, slug

    check(cells)
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    data = Path(next(iter(cells.values())).data).name
    folder = args.out or Path("runs") / slug(f"{data}-{name}-{stamp}")
    while folder.exists() and not args.out:  # another run of this second
        folder = folder.with_name(f"{folder.name}+")
    create(folder, args.force)
    return folder


def only(args: argparse.Namespace, argv: list[str]) -> Path:
    """The run to resume, whose own settings hold: other options would be silently without effect."""
    other = {word.split("=")[0] for word in argv if word.startswith("--")} - {"--resume", "--quiet", "--device"}
    if other:
        raise ValueError(f"--resume goes on with the settings of {args.resume}; leave out {', '.join(sorted(other))}")
    return args.resume


def prepare_jax(device: str | None) -> None:
    """Choose the device, and keep compiled programs between processes."""
    import jax

    from dec.data import cache_dir

    if device:
        jax.config.update("jax_platforms", {"gpu": "cuda"}.get(device, device))
        try:
            jax.devices(device)
        except RuntimeError as error:
            raise ValueError(f"--device {device} is not on this machine, or its extra is not installed") from error
    if not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "xla"))


def finish(cells: Callable[[], dict[str, Any]], folder: Path) -> int:
    """Run the cells, print their table and where it all lies; returns the exit status."""
    from dec.runs import Interrupted, read_results, show

    try:
        found, status = cells(), 0
    except Interrupted:
        found, status = read_results(folder), 130
    print(show(found))
    print(f"\n{'Interrupted; go on with: dec train --resume' if status else 'Saved in'} {folder}")
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
    method = argv[0] if argv and not argv[0].startswith("-") else None
    if method:
        make = factory(method)
        parser.prog, parser.description = f"dec train {method}", inspect.getdoc(make).split("\n")[0]
        group = parser.add_argument_group(f"{method} ({source_of(make)})")
        for name, hint, default, about in options_of(make):
            add(group, f"options.{name}", [name], hint, default, about)
    add_run_options(parser)
    args = parser.parse(argv)
    prepare_jax(args.device)
    from dec import runs

    if args.resume:
        return finish(lambda: runs.resume(only(args, argv), quiet=args.quiet), args.resume)
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
    folder = begin(args, run.method, cells)
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
    prepare_jax(args.device)
    from dec import runs

    if args.resume:
        return finish(lambda: runs.resume(only(args, argv), quiet=args.quiet), args.resume)
    base = base_run(args)
    if args.seeds is None and not args.config:
        base = dataclasses.replace(base, seeds=3)
    cells: dict[str, config.Run] = {}
    for method in args.methods:
        factory(method)
        own = {n.replace(f"{method}.", "options.", 1): v for n, v in vars(args).items()
               if n.startswith(f"{method}.") and v is not None}
        cells |= sweep(dataclasses.replace(base, method=method, options={}), own | given(args))
    folder = begin(args, "compare", cells)
    return finish(lambda: runs.table(cells, folder, quiet=args.quiet, cached=not args.no_cache), folder)


def evaluate(argv: list[str]) -> int:
    """dec evaluate RUN ..."""
    parser = Parser(prog="dec evaluate", description="Print the scores of a run; with --data, of its model elsewhere.")
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--data", help="other data to predict and score")
    args = parser.parse(argv)
    from dec import runs

    if args.data:
        print(json.dumps(runs.evaluate_on(args.run, args.data), indent=2, default=float))
        return 0
    print(runs.show(runs.read_results(args.run)))
    return 0


def predict(argv: list[str]) -> int:
    """dec predict RUN DATA ..."""
    parser = Parser(prog="dec predict", description="Write the cluster of every row of DATA by a run's kept model.")
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("data", help="as --data of train")
    parser.add_argument("--out", type=Path, default=Path("labels.csv"), help="the CSV to write [labels.csv]")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    args = parser.parse(argv)
    if args.out.exists() and not args.force:
        raise FileExistsError(f"--out {args.out} exists; replace it by --force or choose another")
    from dec import runs
    from dec.data import load

    model = runs.model_of(args.run)
    x = runs.rows_for(model, load(args.data), args.data)
    table = runs.labels_table(model, x, model.predict(x))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(args.out, index=False)
    print(f"{len(table)} rows in {args.out}")
    return 0


def report(argv: list[str]) -> int:
    """dec report RUN"""
    parser = Parser(prog="dec report", description="Write report.md into a run folder: how it was made, its scores.")
    parser.add_argument("run", type=Path, help="a run folder")
    args = parser.parse(argv)
    from dec.report.markdown import write_report

    print(write_report(args.run))
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

    for name, (about, here) in available().items():
        yield name, about if here else f"{about} (not on this machine; put it under $DEC_DATA/{name})"


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
    "methods": listing("methods", _methods),
    "data": listing("data", _data),
    "presets": listing("presets", _presets),
}
