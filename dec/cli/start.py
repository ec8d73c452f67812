"""What a command that computes begins and ends with: its devices, its folder, and the table of its results."""

from __future__ import annotations

import argparse
import atexit
import datetime
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dec import config
from dec.errors import UserError

OWN_FOLDERS: list[Path] = []  # of a process that is not the first one


def begin(args: argparse.Namespace, name: str, cells: dict[str, config.Run]) -> Path:
    """The new folder of runs that can be done."""
    from dec.runs.folder import slug
    from dec.runs.prepare import check

    check(cells)
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    data = Path(next(iter(cells.values())).data).name
    folder = args.out or Path("runs") / slug(f"{data}-{name}-{stamp}")
    while folder.exists() and not args.out:  # another run of this second
        folder = folder.with_name(f"{folder.name}+")
    for run in cells.values():
        own = run.method if run.method.endswith(".py") else None
        for needed in (run.data, run.pretrain_on, run.model.pretraining.warm_start, own):
            if needed and Path(needed).exists() and Path(needed).resolve().is_relative_to(folder.resolve()):
                raise UserError(f"--out {folder} would replace {needed}, which this run needs; choose another")
    folder = own_folder(args, folder, new=True)
    if len(cells) > 1 and not args.quiet:
        more = f"; and {len(cells) - 6} more" if len(cells) > 6 else ""
        print(f"{len(cells)} runs: {'; '.join(list(cells)[:6])}{more}", file=sys.stderr)
    return folder


def resume(args: argparse.Namespace, argv: list[str]) -> int:
    """Go on with a run, whose own settings hold: other options would be silently without effect."""
    from dec.runs import execute as runs

    where = {"--resume", "--method-file", "--network-file", "--quiet", "--device", "--mesh", "--coordinator",
             "--num-processes", "--process-id"}
    other = {word.split("=")[0] for word in argv if word.startswith("--")} - where
    if other := other | {word for word in argv[:1] if not word.startswith("-")}:  # a method
        raise UserError(f"--resume goes on with the settings of {args.resume}; leave out {', '.join(sorted(other))}")
    folder = own_folder(args, args.resume)
    return finish(lambda: runs.resume(folder, quiet=args.quiet), folder)


@atexit.register
def forget_own_folder() -> None:
    """Remove the folders that nobody will see."""
    for place in OWN_FOLDERS:
        shutil.rmtree(place, ignore_errors=True)


def own_folder(args: argparse.Namespace, folder: Path, new: bool = False) -> Path:
    """The folder of a run; of a process that is not the first one, a copy that nobody will see."""
    import jax

    from dec.runs.folder import create
    from dec.training.mesh import LOST, agreed

    if jax.process_index():
        args.quiet, place = True, Path(tempfile.mkdtemp(prefix="dec-process-"))
        OWN_FOLDERS.append(place)
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

    from dec.io import cache_dir

    device = args and args.device
    if device:
        jax.config.update("jax_platforms", {"gpu": "cuda"}.get(device, device))
    if args and (args.mesh or args.coordinator):
        from dec.training import mesh

        mesh.start(args.mesh or {}, args.coordinator, args.num_processes, args.process_id)
    elif args and (args.num_processes or args.process_id):
        raise UserError("--num-processes and --process-id need --coordinator HOST:PORT")
    if device:
        try:
            jax.devices(device)
        except RuntimeError as error:
            raise UserError(f"--device {device} is not on this machine, or its extra is not installed") from error
    if not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "xla"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # JAX leaves out what takes below 1 s


def finish(cells: Callable[[], dict[str, Any]], folder: Path) -> int:
    """Run the cells, print their table and where it all lies, with a table's report; returns the exit status."""
    import jax

    from dec.data import processes
    from dec.runs.execute import Interrupted, show
    from dec.runs.folder import PLAN, read_results

    try:
        found, status = cells(), 0
    except Interrupted:
        found, status = read_results(folder), 130
    if jax.process_index():
        return status
    processes.alone = True
    print(show(found))
    print(f"\n{'Interrupted; go on with: dec train --resume' if status else 'Saved in'} {folder}")
    if not status and (folder / PLAN).is_file():
        from dec.report.run import write_report  # and with it matplotlib, which a single run does not need

        print(f"Report: {write_report(folder)}")
    failed = not any(row["status"] == "ok" for metrics in found.values() for row in metrics["seeds"])
    return status or int(failed)


def spare(args: argparse.Namespace, *kinds: str) -> None:
    """Refuse an --out of none of these kinds, or, unless --force allows it, to replace the file that is there."""
    if args.out and kinds and args.out.suffix not in kinds:
        raise UserError(f"--out {args.out} must end in {' or '.join(kinds)}")
    if args.out and args.out.is_dir():
        raise IsADirectoryError(f"--out {args.out} is a folder; name a file")
    if args.out and args.out.exists() and not args.force:
        raise FileExistsError(f"--out {args.out} exists; replace it by --force or choose another")
