"""Command-line options made from the config dataclasses and the methods' factories, and runs made from options."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import itertools
import re
import typing
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dec import config
from dec.errors import UserError
from dec.paths import as_path, expanded


class Help(argparse.HelpFormatter):
    """Help that names an option's value once, however many names the option has."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if action.nargs != "+" or not action.option_strings:
            return super()._format_action_invocation(action)
        more = "" if isinstance(action, Value) and not action.is_list else " ..."
        return f"{', '.join(action.option_strings)} {action.metavar or action.dest.upper()}{more}"


class Value(argparse.Action):
    """An option of a config or method: one value, or a list of them written with spaces or commas.

    It is stored as the list of the values to run with, which has one element unless `--sweep` asks for more.
    """

    def __init__(self, hint: Any, **settings: Any) -> None:
        super().__init__(nargs="+", type=lambda text: parse(text, hint), **settings)
        self.is_list = typing.get_origin(hint) is tuple or any(
            typing.get_origin(arg) is tuple for arg in typing.get_args(hint))

    def __call__(self, parser: argparse.ArgumentParser, args: argparse.Namespace, values: list, option: str) -> None:
        """Store the value; refuse several of an option that is no list."""
        if self.is_list and None not in values:
            values = [tuple(itertools.chain.from_iterable(values))]
        if len(values) > 1:
            words = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
            if "--sweep" in parser._option_string_actions:
                fix = f"for one run with each: --sweep {option.lstrip('-')}={','.join(words)}"
            else:
                fix = "a list, where an option is one, is written with spaces or with commas"
            raise argparse.ArgumentError(self, f"{' '.join(words)} are {len(values)} values; {parser.prog} takes one "
                                               f"value of each option; {fix}")
        setattr(args, self.dest, values)


class Parser(argparse.ArgumentParser):
    """argparse that raises one clear error instead of printing its usage and leaving."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=Help, **settings)

    def error(self, message: str) -> typing.NoReturn:
        """Raise an error of the command line as a UserError."""
        raise UserError(f"{message} (see `{self.prog} --help`)")

    def parse(self, argv: list[str]) -> argparse.Namespace:
        """Parse, with the nearest spelling for an unknown option."""
        args, rest = self.parse_known_args(argv)
        if rest:
            known = [option[2:] for action in self._actions for option in action.option_strings]
            wrong = next((word.split("=")[0] for word in rest if word.startswith("-")), None)
            if wrong is None:
                raise UserError(f"Unexpected {rest[0]!r}; it belongs to no option. See `{self.prog} --help`.")
            near = config.nearest(wrong.lstrip("-"), known)
            hint = f" Did you mean '--{near}'?" if near else ""
            raise UserError(f"Unknown option {wrong!r}.{hint} See `{self.prog} --help`.")
        for name in ("method_file", "network_file"):
            if getattr(args, name, None):
                from dec.user_code import pass_file

                setattr(args, name, [pass_file(file) for file in getattr(args, name)])
        for text in getattr(args, "sweep", None) or []:
            self._sweep(args, text)
        return args

    def _sweep(self, args: argparse.Namespace, text: str) -> None:
        """Store the values of one `--sweep OPTION=V1,V2,...` as those of its option."""
        name, equals, values = text.partition("=")
        options = {option[2:]: action for option, action in self._option_string_actions.items()
                   if isinstance(action, Value)}
        name = name.lstrip("-").replace("_", "-")
        if not equals:
            raise UserError(f"--sweep {text} has no values; write it like --sweep gamma=0.01,0.1,1")
        if name not in options:
            near = config.nearest(name, options)
            hint = f" Did you mean {near!r}?" if near else ""
            raise UserError(f"--sweep {text}: unknown option {name!r}.{hint} See `{self.prog} --help`.")
        action = options[name]
        separator = "/" if action.is_list else ","
        try:
            found = [action.type(value) for value in re.split(rf"(?<!\\){separator}", values)]
        except argparse.ArgumentTypeError as error:
            raise UserError(f"--sweep {text}: {error}") from error
        if len(found) < 2 or len(set(found)) < len(found):
            which = "two of its values are equal" if len(found) > 1 else "it has one value"
            raise UserError(f"--sweep {text}: {which}; give different ones with {separator} between, or take "
                            f"--{name} {values} in place of the sweep")
        if len(getattr(args, action.dest) or []) > 1:
            raise UserError(f"--sweep {text}: --{name} is in two sweeps; give all its values in one")
        setattr(args, action.dest, found)


# Options from dataclasses and factories.


def leaves(part: Any, prefix: str = "") -> Iterable[tuple[str, Any, Any, str]]:
    """Yield (dotted name, type, default, help) of every plain field of a config, depth first."""
    hints = typing.get_type_hints(type(part))
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        elif field.name not in ("method", "options", "data", "seeds", "seed"):
            yield prefix + field.name, hints[field.name], value, field.metadata["help"]


def options_of(factory: Callable[..., Any]) -> list[tuple[str, Any, Any, str]]:
    """Return (name, type, default, help) of a method's options, from its factory's signature and docstring."""
    hints = typing.get_type_hints(factory)
    parts = re.split(r"\n\s*(Args|References):\n", inspect.getdoc(factory) or "")
    described = dict(zip(parts[1::2], parts[2::2])).get("Args", "")
    helps = dict(re.findall(r"^ *(\w+): ((?:.|\n(?! *\w+: ))+)", described, flags=re.M))
    return [(name, hints[name], parameter.default, " ".join(helps.get(name, "").split()))
            for name, parameter in inspect.signature(factory).parameters.items()]


def source_of(factory: Callable[..., Any]) -> str:
    """Return the References of a method's docstring, on one line."""
    return " ".join(re.split(r"\n\s*References:\n", inspect.getdoc(factory) or "")[-1].split()).rstrip(".")


def add(parser: Any, dest: str, names: list[str], hint: Any, default: Any, about: str) -> None:
    """Add an option of a config or method, under one or two names."""
    shown = "none" if default is None else ",".join(map(str, default)) if isinstance(default, tuple) else default
    choices = typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
    kind = f" ({', '.join(choices)})" if choices else ""
    parser.add_argument(*(f"--{name.replace('_', '-')}" for name in names), dest=dest, action=Value, hint=hint,
                        metavar="V", help=f"{about}{kind} [{shown}]".replace("%", "%%"))


NETWORK = "model.network", "model.augmentation", "model.pretraining"  # of no use to a method on the input
REFINEMENT = "model.refinement"  # nor to one without a loss
KINDS = {bool: "true or false", int: "a whole number", float: "a number"}


def parse(text: str, hint: Any) -> Any:
    """Return a word of the command line as the type a config field asks for."""
    args = [a for a in typing.get_args(hint) if a is not type(None)]
    if text.lower() == "none" and len(args) < len(typing.get_args(hint)):
        return None
    if text in config.words(args):
        return text
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
            return tuple(typing.get_args(hint)[0](part.replace(r"\,", ","))
                         for part in re.split(r"(?<!\\),", text) if part)
        if hint is bool:
            return {"true": True, "false": False}[text.lower()]
        return hint(text)
    except (ValueError, KeyError) as error:
        kind = KINDS.get(hint, "whole numbers with spaces or commas between, like 500,500,2000")
        raise argparse.ArgumentTypeError(f"{text!r} is not {kind}") from error


def mesh_axes(text: str) -> dict[str, int]:
    """Return the devices along each axis of a mesh, from words like seeds=2,data=4."""
    axes = dict(part.split("=", 1) if "=" in part else (part, "") for part in text.split(","))
    if not axes.keys() <= {"seeds", "data"} or not all(value.isdecimal() for value in axes.values()):
        raise argparse.ArgumentTypeError(f"{text!r} is not like seeds=2,data=4")
    return {name: int(value) for name, value in axes.items()}


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `train` and `compare` share."""
    group = parser.add_argument_group("run")
    group.add_argument("--data", type=expanded,
                       help="a name (see `dec data`), name:train, name:test, tfds:NAME, or a path to a table, arrays, "
                            "or a folder of images, texts or recordings [digits]")
    group.add_argument("--seeds", type=int, help="number of seeds to train [1; compare 3]")
    group.add_argument("--seed", type=int, help="the first seed [0]")
    group.add_argument("--out", type=as_path, help="the run folder [runs/DATA-METHOD-TIME]")
    group.add_argument("--preset", help="start from a cited protocol, see `dec presets`")
    group.add_argument("--config", type=as_path, help="start from the config.json of a run")
    group.add_argument("--force", action="store_true", help="replace a run that is in --out")
    group.add_argument("--no-cache", action="store_true", help="do not reuse networks that earlier runs pretrained")
    group.add_argument("--quiet", action="store_true", help="no progress")
    group.add_argument("--device", choices=("cpu", "gpu", "tpu"), help="where to run [JAX's default]")
    group.add_argument("--mesh", type=mesh_axes, metavar="seeds=S,data=D",
                       help="use all devices: S of them for different seeds, each with D that share its rows [one]")
    group.add_argument("--coordinator", metavar="HOST:PORT",
                       help="one of several processes on a mesh: where the first one listens; auto: as SLURM or a "
                            "TPU's environment says")
    group.add_argument("--num-processes", type=int, help="number of processes")
    group.add_argument("--process-id", type=int, help="number of this process, from 0; process 0 writes the files")
    add_network_file(group, "a network of your own: the function that returns its Layers; with --resume, the file that "
                            "RUN was made with")
    add_fields(parser, "", group)


def add_network_file(parser: Any, about: str) -> None:
    """Add `--network-file`."""
    parser.add_argument("--network-file", nargs=1, type=as_path, metavar="FILE.py", help=about)


def add_method_file(parser: argparse.ArgumentParser) -> None:
    """Add `--method-file` to a command that reads runs."""
    parser.add_argument("--method-file", nargs="+", type=as_path, metavar="FILE.py",
                        help="the file of each method of your own that RUN was made with; it is run only if given here")


def add_code_files(parser: argparse.ArgumentParser) -> None:
    """Add `--method-file` and `--network-file` to a command that reads runs: no file that only they name is run."""
    add_network_file(parser, "the file of the network of your own that RUN was made with; it is run only if given here")
    add_method_file(parser)


def add_sweep(parser: argparse.ArgumentParser) -> None:
    """Add `--sweep`, by which alone several values of an option become several runs."""
    parser.add_argument("--sweep", action="append", metavar="OPTION=V1,V2,...",
                        help="train once with each of these values, in one table; repeated: with each combination. "
                             "Values that are lists have / between: --sweep hidden=500,500,2000/100,100")


def add_fields(parser: argparse.ArgumentParser, prefix: str, group: Any = None) -> None:
    """Add the config's fields that start with `prefix`; those without a section of their own go to `group`."""
    fields = list(leaves(config.Run()))
    counts = Counter(dotted.split(".")[-1] for dotted, *_ in fields)
    groups: dict[str, Any] = {"": group}
    for dotted, hint, default, about in fields:
        if not dotted.startswith(prefix):
            continue
        short = dotted.removeprefix("model.")
        section = short.rsplit(".", 1)[0] if "." in short else ""
        if section not in groups:
            groups[section] = parser.add_argument_group(section)
        last = dotted.split(".")[-1]
        names = [last, short] if counts[last] == 1 and last != short else [short]
        add(groups[section], dotted, names, hint, default, about)


def sweep(base: config.Run, swept: dict[str, list[Any]]) -> dict[str, config.Run]:
    """Return named runs: one for every combination of the options' values; swept ones are part of the name."""
    last = [dotted.split(".")[-1] for dotted in swept]
    short = {dotted: dotted.split(".")[-1] if last.count(dotted.split(".")[-1]) == 1 else dotted for dotted in swept}
    runs = {}
    for values in itertools.product(*swept.values()):
        changes: dict[str, Any] = {}
        for dotted, value in zip(swept, values):
            *path, last = dotted.split(".")
            inner = changes
            for part in path:
                inner = inner.setdefault(part, {})
            inner[last] = value
        changes["options"] = base.options | changes.get("options", {})
        varied = [f"{short[dotted]}={_word(value)}" for (dotted, choices), value in zip(swept.items(), values)
                  if len(choices) > 1]
        try:
            runs[" ".join([Path(base.method).stem, *varied])] = config.replace(base, changes)
        except ValueError as error:
            raise UserError(str(error).removeprefix("model.")) from error
    return runs


def _word(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def base_run(args: argparse.Namespace) -> config.Run:
    """Return the run that --preset or --config gives, with the plain options of the command line."""
    from dec.runs.presets import preset

    run = preset(args.preset) if args.preset else config.Run()
    if args.config:
        if args.preset:
            raise UserError("--config and --preset exclude each other; give one")
        from dec.runs.folder import read_config

        if not args.config.is_file():
            raise FileNotFoundError(f"--config {args.config} is no file; give the config.json of a run")
        run = read_config(args.config)
    plain = {name: getattr(args, name) for name in ("data", "seeds", "seed") if getattr(args, name) is not None}
    if args.network_file:
        plain["model"] = {"network": {"layers": args.network_file[0]}}
    return config.replace(run, plain, "--")


def given(args: argparse.Namespace) -> dict[str, list[Any]]:
    """Return the config options on the command line and their values."""
    names = {dotted for dotted, *_ in leaves(config.Run())}
    return {name: values for name, values in vars(args).items() if name in names and values is not None}
