"""The command line: its help, its listings, and one clear line for everything it cannot do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import run as dec

from dec import config
from dec.cli import arguments as options
from dec.cli import main as cli
from dec.data.readers import available
from dec.methods import METHODS
from dec.runs.presets import PRESETS

# Help and listings.


def test_help_imports_nothing_heavy():
    heavy = {"jax", "flax", "optax", "sklearn", "pandas", "numpy"}
    code = ("import sys; from dec.cli.main import main; main(['--help']); "
            f"print(sorted({heavy} & sys.modules.keys()), file=sys.stderr)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert done.stdout.startswith("usage: dec COMMAND")


def test_the_top_level_names_every_command():
    shown = dec("--help")[1]
    assert dec()[1] == dec("-h")[1] == shown
    assert all(f"  {name} " in shown for name in cli.COMMANDS)
    assert dec("--version")[1].strip()[0].isdigit()


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help(command):
    status, out, err = dec(command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: dec {command}")


@pytest.mark.parametrize("method", METHODS)
def test_the_help_of_a_method_shows_each_option_with_default_and_source(method):
    status, out, _ = dec("train", method, "--help")
    text = " ".join(out.split())
    assert status == 0
    assert f"{method} ({options.source_of(METHODS[method])}):" in text
    for name, _, default, about in options.options_of(METHODS[method]):
        assert about, name
        start = text.index(f"--{name.replace('_', '-')}")
        assert f"[{'none' if default is None else default}]" in text[start:start + 600]
    for dotted, hint, default, about in options.leaves(config.Run()):
        flag = dotted.removeprefix("model.").replace("_", "-")
        assert (f"--{flag} V ... " if "tuple" in str(hint) else f"--{flag} V ") in text, flag
        assert " ".join(about.split()) in text
        assert "[none]" in text if default is None else True


def test_methods_data_and_presets_list_what_there_is():
    assert [line.split()[0] for line in dec("methods")[1].splitlines()] == list(METHODS)
    assert "2017" in dec("methods")[1]
    assert [line.split()[0] for line in dec("data")[1].splitlines()] == list(available())
    shown = dec("presets")[1]
    for name, claim in PRESETS.items():
        assert f"\n{name} " in f"\n{shown}"
        for part in (claim.command, claim.source, claim.published, claim.measured):
            assert part in shown


def test_data_that_are_missing_are_marked(monkeypatch):
    monkeypatch.delenv("DEC_DATA", raising=False)
    lines = {line.split()[0]: line for line in dec("data")[1].splitlines()}
    assert "not on this machine; put it under $DEC_DATA/mnist" in lines["mnist"]
    assert "not on this machine" not in lines["digits"]


@pytest.mark.parametrize(("method", "vain"), [
    ("kmeans", ["--network.hidden, --augmentation.shift, --pretraining.epochs, --refinement.optimizer.learning-rate"]),
    ("ae+kmeans", ["--refinement.optimizer.learning-rate"]), ("dec", [])])
def test_options_that_a_method_makes_no_use_of_are_named(method, vain, tmp_path, recwarn):
    words = ["--shift", 0, "--hidden", 4, "--epochs", 1, "--refinement.optimizer.learning-rate", 0.1, "--limit", 50]
    few = ["--steps", 1] if method == "dec" else []
    assert dec("train", method, *words, *few, "--quiet", "--out", tmp_path / "run")[::2] == (0, "")
    told = [str(one.message) for one in recwarn if "makes no use of" in str(one.message)]
    assert told == [f"{method} makes no use of {names}" for names in vain]


# Bad command lines.


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a finished run and some unusable files."""
    folder = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DEC_CACHE", str(folder / "cache"))
        patch.delenv("DEC_DATA", raising=False)
        x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
        np.save("x.npy", x)
        x[3, 2] = np.nan
        np.save("nan.npy", x)
        np.save("objects.npy", np.array([["a", None]], dtype=object), allow_pickle=True)
        np.save("empty.npy", np.empty((0, 4)))
        (folder / "cut.npy").write_bytes((folder / "x.npy").read_bytes()[:200])
        (folder / "notes.txt").write_text("mine")
        (folder / "list.json").write_text("[]")
        (folder / "typo.json").write_text('{"model": {"netwrk": {}}}')
        os.mkdir("mine")
        (folder / "mine/notes.txt").write_text("mine")
        words = ["--limit", 60, "--n-clusters", 10, "--restarts", 2, "--seeds", 3, "--quiet"]
        assert dec("train", "kmeans", *words, "--out", "run")[0] == 0
        yield folder


BAD = [  # the command line, and what its one line must name
    ("trian", "Unknown command 'trian'", "'train'"),
    ("--hepl", "Unknown command '--hepl'", ""),
    ("train", "name a method", ", ".join(METHODS)),
    ("train ide", "Unknown method 'ide'", "Did you mean 'idec'?"),
    ("train --data digits idec", "'idec' must come first", "dec train idec"),
    ("train dec idec", "Unexpected 'idec'", "--help"),
    ("train dec --data digitz", "Unknown data set 'digitz'", "Did you mean 'digits'?"),
    ("train dec --data mnist", "mnist is not on this machine", "set DEC_DATA"),
    ("train dec --data digits:test", "digits:test", "use 'digits'"),
    ("train dec --data no.npy", "no file no.npy", "check the path"),
    ("train dec --data notes.txt", "notes.txt is no file of a known kind", "np.save"),
    ("train dec --data nan.npy --n-clusters 3", "nan.npy has the value nan in row 3, column 2", "remove such rows"),
    ("train dec --data objects.npy --n-clusters 3", "objects.npy holds pickled objects", "save a plain numeric array"),
    ("train dec --data empty.npy --n-clusters 3", "empty.npy is empty", "at least one row"),
    ("train dec --data cut.npy --n-clusters 3", "cut.npy is damaged or incomplete", "copy or write it again"),
    ("train dec --data x.npy", "--n-clusters is needed", "x.npy has no labels"),
    ("train dec --data x.npy --n-clusters 31", "n_clusters=31", "give more rows or ask for fewer clusters"),
    ("train dec --n-clusters 1", "n_clusters=1", "must be at least 2"),
    ("train dec --n-clusters 0", "n_clusters=0", "must be at least 2"),
    ("train dec --n-clusters ten", "--n-clusters: 'ten'", "a whole number"),
    ("train dec --seeds 0", "--seeds=0", "must be at least 1"),
    ("train dec --seeds many", "--seeds", "'many'"),
    ("train dec --seeds 1 2", "Unexpected '2'", "belongs to no option"),
    ("train dec --seed -1", "--seed=-1", "must be from 0"),
    ("train dec --limit 0", "limit=0", "must be at least 1"),
    ("train dec --preset quik", "Unknown preset 'quik'", "Did you mean 'quick'?"),
    ("train dec --epoch 3", "Unknown option '--epoch'", "Did you mean '--epochs'?"),
    ("train dec --gamma 0.1", "Unknown option '--gamma'", "dec train dec --help"),
    ("train idec --gama=0.1", "Unknown option '--gama'", "Did you mean '--gamma'?"),
    ("train idec --gamma strong", "--gamma: 'strong'", "a number"),
    ("train dec --target all", "--target: 'all'", "dataset, batch"),
    ("train dec --scaling pwer", "--scaling: 'pwer'", "did you mean 'power'?"),
    ("train dec --dtype float16", "--dtype: 'float16'", "float32, bfloat16"),
    ("train dec --keep-best maybe", "'maybe'", "true or false"),
    ("train dec --hidden 16,x", "'16,x'", "like 500,500,2000"),
    ("train dec --hidden 0", "network.hidden=(0,)", "at least 1"),
    ("train dec --code-size 0", "network.code_size=0", "at least 1"),
    ("train dec --steps -1", "refinement.steps=-1", "at least 0"),
    ("train dec --refresh-every 0", "refinement.refresh_every=0", "at least 1"),
    ("train dec --batch-size 0", "batch_size=0", "at least 1"),
    ("train dec --dropout 1.5", "pretraining.dropout=1.5", "from 0 to 0.99"),
    ("train dec --activation relo", "Unknown activation 'relo'", "Did you mean 'relu'?"),
    ("train dec --initializer glorot", "Unknown initializer 'glorot'", "glorot_uniform"),
    ("train dec --pretraining.optimizer.name adm", "Unknown optimizer 'adm'", "Did you mean 'adam'?"),
    ("train dec --refinement.optimizer.name adam --refinement.optimizer.momentum 0.9", "'adam' takes no momentum",
     "leave momentum=0.9 out"),
    ("train dec --warm-start no-model", "warm_start='no-model'", "neither a saved model nor a run folder"),
    ("train dec --pretrain-on x.npy", "--pretrain-on x.npy has 4 columns", "has 64"),
    ("train dec --out run --force --data digits --limit 20 --validation 0.99", "pretraining.validation=0.99",
     "make it smaller"),
    ("train dec --out run --force --data x.npy --n-clusters 2 --rotation 10", "augmentation.rotation", "network.shape"),
    ("train dec --config no.json", "--config no.json", "give the config.json of a run"),
    ("train --config notes.txt", "notes.txt is damaged", ""),
    ("train --config list.json", "list.json", "named options"),
    ("train --config typo.json", "model.netwrk", "Did you mean 'model.network'?"),
    ("train --config run/config.json --preset quick", "--config and --preset exclude each other", "give one"),
    ("train dec --device abacus", "--device", "'abacus'"),
    ("train --resume nowhere", "nowhere is not a run folder", "config.json"),
    ("train idec --resume run --steps 5 --gamma=1", "--resume", "leave out --gamma, --steps, idec"),
    ("train idec --resume run", "--resume", "leave out idec"),
    ("train dec --out run", "--out run holds a run", "replace it by --force, or choose another"),
    ("train dec --out mine --force", "--out mine exists and is not a run folder", "choose another"),
    ("train dec --out notes.txt --force", "--out notes.txt exists and is not a run folder", "choose another"),
    ("compare --methods kmeens", "Unknown method 'kmeens'", "Did you mean 'kmeans'?"),
    ("compare --methods", "--methods", "at least one"),
    ("compare --methods dec idec dec", "--methods has dec twice", "leave one out"),
    ("compare --gamma 1", "Unknown option '--gamma'", "Did you mean '--idec.gamma'?"),
    ("compare --out run", "--out run holds a run", "--force"),
    ("evaluate", "required: run", "dec evaluate --help"),
    ("evaluate mine", "mine is not a run folder", "metrics.json"),
    ("evaluate run --data digitz", "Unknown data set 'digitz'", "'digits'"),
    ("evaluate run --data x.npy", "x.npy has 4 columns", "fitted on 64"),
    ("evaluate run digits", "Unexpected 'digits'", "dec evaluate --help"),
    ("predict run", "required: data", "dec predict --help"),
    ("predict run x.npy --out new.csv", "x.npy has 4 columns", "fitted on 64"),
    ("predict run digits --out notes.txt", "--out notes.txt must end in .csv", ""),
    ("predict run digits --out run/labels.csv", "--out run/labels.csv exists", "--force"),
    ("predict mine digits --out new.csv", "mine holds no model", "arrays.npz"),
    ("report nowhere", "nowhere is not a run folder", "metrics.json"),
    ("methods --all", "Unknown option '--all'", "dec methods --help"),
    ("data mnist", "dec data takes inspect or prepare, not 'mnist'", "dec data inspect mnist"),
    ("data inspect mnist:valid", "Unknown split of mnist 'valid'", "train"),
    ("data inspect digits --vocabulary 5 6", "takes one value of each option", "with commas"),
    ("data prepare mnist --from .", "mnist", "usps"),
    ("crosstab no-run other-run", "no-run has no labels.csv", "finished run"),
    ("train dec --data digits --output mixed", "scaling='power' must be 'none' with network.output='mixed'", "none"),
    ("train dec --data digits --output mixed --scaling none", "needs network.blocks", "a table"),
]


@pytest.mark.parametrize("line, named, fix", BAD, ids=[line for line, *_ in BAD])
def test_a_bad_command_line_gets_one_clear_error(line, named, fix, place):
    def files():
        return {path: path.stat().st_mtime_ns for path in place.rglob("*") if "cache" not in path.parts}

    before = files()
    status, out, err = dec(*line.split())
    assert (status, out) == (2, ""), err
    assert err.startswith("dec: ") and err.count("\n") == 1, err
    assert named in err and fix in err, err
    assert files() == before


def test_debug_shows_the_traceback():
    with pytest.raises(ValueError, match="Unknown method 'ide'"):
        cli.main(["train", "ide", "--debug"])


def test_a_bug_is_one_line_too(monkeypatch):
    def broken(argv):
        raise ZeroDivisionError("by zero")

    monkeypatch.setitem(cli.COMMANDS, "report", (broken, ""))
    status, out, err = dec("report", "x")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("dec: unexpected ZeroDivisionError: by zero. This is a bug in dec and no mistake of yours")
    with pytest.raises(ZeroDivisionError):
        cli.main(["report", "x", "--debug"])


def test_a_value_error_that_no_user_made_is_a_bug(monkeypatch):
    def broken(argv):
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setitem(cli.COMMANDS, "report", (broken, ""))
    status, _, err = dec("report", "x")
    assert status == 1 and "please report it" in err


def test_ctrl_c_outside_of_training(monkeypatch):
    def stopped(argv):
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "report", (stopped, ""))
    status, _, err = dec("report", "x")
    assert status == 130 and err.count("\n") == 1


# Words to values.


@pytest.mark.parametrize("text, hint, value", [
    ("3", int, 3), ("1e-3", float, 0.001), ("True", bool, True), ("false", bool, False),
    ("none", int | None, None), ("5", int | None, 5), ("none", str | None, None),
    ("500,500,2000", tuple[int, ...], (500, 500, 2000)), ("16", tuple[int, ...], (16,)), (",", tuple[int, ...], ()),
])
def test_words_become_what_the_field_asks_for(text, hint, value):
    found = options.parse(text, hint)
    assert found == value and type(found) is type(value)


def test_compare_gives_methods_their_own_options(monkeypatch):
    begun = {}

    def stop(args, title, cells):
        begun.update(cells)
        raise ValueError("stopped")

    monkeypatch.setattr(cli, "begin", stop)
    dec("compare", "--methods", "kmeans", "idec", "--kmeans.restarts", 3, "--sweep", "idec.gamma=0.1,0.2", "--seed", 5)
    assert {name: run.options for name, run in begun.items()} == {
        "kmeans": {"restarts": 3}, "idec gamma=0.1": {"gamma": 0.1}, "idec gamma=0.2": {"gamma": 0.2}}
    assert {(run.seeds, run.seed) for run in begun.values()} == {(3, 5)}


def test_a_preset_is_where_options_start_from(monkeypatch):
    begun = {}

    def stop(args, title, cells):
        begun.update(cells)
        raise ValueError("stopped")

    monkeypatch.setattr(cli, "begin", stop)
    dec("train", "idec", "--preset", "dec-keras-mnist", "--data", "digits", "--epochs", 7)
    (run,) = begun.values()
    assert (run.method, run.data, run.n_clusters) == ("idec", "digits", 10)
    assert (run.model.pretraining.epochs, run.model.pretraining.optimizer.learning_rate) == (7, 1.0)


@pytest.mark.parametrize("words", [["--hidden", "20", "20", "30"], ["--hidden", "20,20,30"], ["--hidden=20,20,30"]])
def test_widths_with_spaces_or_commas_are_one_network(tmp_path, words):
    out = tmp_path / "run"
    status, _, err = dec("train", "ae+kmeans", "--limit", 60, "--pretraining.epochs", 1, "--code-size", 2, *words,
                         "--quiet", "--no-cache", "--out", out)
    assert (status, err) == (0, "")
    assert json.loads((out / "config.json").read_text())["model"]["network"]["hidden"] == [20, 20, 30]


@pytest.mark.parametrize("words, message", [
    ("--gamma 0.01 0.1 1", "argument --gamma: 0.01 0.1 1 are 3 values; dec train idec takes one value of each option; "
                           "for one run with each: --sweep gamma=0.01,0.1,1"),
    ("--sweep gamma", "--sweep gamma has no values; write it like --sweep gamma=0.01,0.1,1"),
    ("--sweep gama=1,2", "--sweep gama=1,2: unknown option 'gama'. Did you mean 'gamma'?"),
    ("--sweep seeds=1,2", "unknown option 'seeds'"),
    ("--sweep gamma=1,strong", "--sweep gamma=1,strong: 'strong' is not a number"),
    ("--sweep gamma=1", "--sweep gamma=1: it has one value; give different ones with , between, or take --gamma 1"),
    ("--sweep hidden=20,20", "--sweep hidden=20,20: it has one value; give different ones with / between"),
    ("--sweep gamma=1,1.0", "--sweep gamma=1,1.0: two of its values are equal"),
    ("--sweep gamma=1,2 --sweep gamma=3,4", "--sweep gamma=3,4: --gamma is in two sweeps"),
])
def test_a_sweep_does_not_happen_by_accident(words, message):
    status, out, err = dec("train", "idec", *words.split(), "--quiet", "--out", "not-made")
    assert (status, out) == (2, "") and message in err
    assert not Path("not-made").exists()


def test_a_sweep_over_lists_and_a_methods_option(tmp_path):
    out = tmp_path / "table"
    status, _, err = dec("train", "kmeans", "--limit", 60, "--sweep", "restarts=1,2", "--sweep",
                             "network.shape=8,8/64", "--out", out)
    assert status == 0
    assert err.splitlines()[0].startswith("4 runs: kmeans restarts=1 shape=8,8; kmeans restarts=1 shape=64; ")
    plan = json.loads((out / "plan.json").read_text())["cells"]
    assert [(cell["options"]["restarts"], cell["model"]["network"]["shape"]) for cell in plan.values()] == [
        (1, [8, 8]), (1, [64]), (2, [8, 8]), (2, [64])]
