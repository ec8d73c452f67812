"""The first and last steps of a command that computes: its devices, its folder, and the table of its results."""

from __future__ import annotations

import argparse
import atexit
import datetime
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dec import config
from dec.errors import UserError

if TYPE_CHECKING:
    from dec.runs.folder import RunFolder


class HiddenFolders:
    """Temporary run folders of processes that are not the first one: each writes what the first one keeps."""

    def __init__(self) -> None:
        self._made: list[Path] = []

    def make(self) -> Path:
        """Make a folder, which is removed when the process ends."""
        if not self._made:
            atexit.register(self.remove)
        self._made.append(Path(tempfile.mkdtemp(prefix="dec-process-")))
        return self._made[-1]

    def remove(self) -> None:
        """Remove all folders now."""
        for folder in self._made:
            shutil.rmtree(folder, ignore_errors=True)


HIDDEN = HiddenFolders()


def begin(args: argparse.Namespace, name: str, cells: dict[str, config.Run]) -> RunFolder:
    """Check that runs can be done, and return a new folder for them."""
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
    made = run_folder(args, folder, new=True)
    if len(cells) > 1 and not args.quiet:
        more = f"; and {len(cells) - 6} more" if len(cells) > 6 else ""
        print(f"{len(cells)} runs: {'; '.join(list(cells)[:6])}{more}", file=sys.stderr)
    return made


def resume(args: argparse.Namespace, argv: list[str]) -> int:
    """Go on with a run by its own settings; refuse other options, which would have no effect."""
    from dec.runs import execute as runs

    where = {"--resume", "--method-file", "--network-file", "--quiet", "--device", "--mesh", "--coordinator",
             "--num-processes", "--process-id"}
    other = {word.split("=")[0] for word in argv if word.startswith("--")} - where
    if other := other | {word for word in argv[:1] if not word.startswith("-")}:  # a method
        raise UserError(f"--resume goes on with the settings of {args.resume}; leave out {', '.join(sorted(other))}")
    folder = run_folder(args, args.resume)
    if not folder.is_table and folder.read_config() and folder.finished():
        print(f"{folder} is finished; nothing to resume.", file=sys.stderr)
    return finish(lambda: runs.resume(folder, quiet=args.quiet), folder)


def run_folder(args: argparse.Namespace, path: Path, new: bool = False) -> RunFolder:
    """Return the folder of a run, made if it is new; a hidden copy in a process that is not the first one."""
    import jax

    from dec.runs.folder import RunFolder
    from dec.training.mesh import LOST, first_process

    folder = RunFolder(path)
    if jax.process_index():
        args.quiet, folder = True, RunFolder(HIDDEN.make())
        if not new:
            shutil.copytree(path, folder.path, dirs_exist_ok=True)
    elif new:
        folder.create(args.force)
    first_process(0)  # all have theirs before the first one writes
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


def finish(cells: Callable[[], dict[str, Any]], folder: RunFolder) -> int:
    """Do runs, print their table and where it lies, and write a table's report; return the exit status."""
    import jax

    from dec.data import processes
    from dec.runs.execute import Interrupted, show

    try:
        found, status = cells(), 0
    except Interrupted:
        found, status = folder.results(), 130
    if jax.process_index():
        return status
    processes.alone = True
    print(show(found))
    print(f"\n{'Interrupted; go on with: dec train --resume' if status else 'Saved in'} {folder}")
    if not status and folder.is_table:
        from dec.report.run import write_report  # and with it matplotlib, which a single run does not need

        print(f"Report: {write_report(folder.path)}")
    failed = not any(row["status"] == "ok" for metrics in found.values() for row in metrics["seeds"])
    return status or int(failed)


def check_output(args: argparse.Namespace, *kinds: str) -> None:
    """Check that --out is a file of one of these kinds, and is there only if --force is given."""
    if args.out and kinds and args.out.suffix not in kinds:
        raise UserError(f"--out {args.out} must end in {' or '.join(kinds)}")
    if args.out and args.out.is_dir():
        raise IsADirectoryError(f"--out {args.out} is a folder; name a file")
    if args.out and args.out.exists() and not args.force:
        raise FileExistsError(f"--out {args.out} exists; replace it by --force or choose another")
