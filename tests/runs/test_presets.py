"""Each preset is a valid run, says where it comes from, and its command can be given."""

import shlex

import pytest

from dec import config
from dec.cli import main as cli
from dec.errors import UserError
from dec.networks.registry import hidden_widths
from dec.runs.presets import PRESETS, preset


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_valid_run_with_its_claims(name):
    claim = PRESETS[name]
    run = preset(name)
    assert config.from_dict(config.Run, config.to_dict(run)) == run
    for part in ("about", "source", "command", "published", "measured"):
        assert getattr(claim, part).strip(), part
    labelled = run.data in ("digits", "imdb:train")  # k is then the number of classes
    dense = run.options.get("cluster") == "dbscan"  # whose k is the most that are kept
    assert (run.n_clusters is None) == (labelled and not dense)


@pytest.mark.parametrize("name", PRESETS)
def test_the_command_of_a_preset_is_one(name, monkeypatch):
    """It reaches the point where a run would begin, with the preset's settings."""
    begun = {}

    def stop(args, title, cells):
        begun.update(cells)
        raise UserError("stopped before the run")

    monkeypatch.setattr(cli, "begin", stop)
    program, *words = shlex.split(PRESETS[name].command)
    assert program == "dec"
    assert f"--preset {name}" in PRESETS[name].command
    assert cli.main(words) == 2
    assert begun
    assert all(run.data == preset(name).data and run.model.network == preset(name).model.network
               and run.model.pretraining.optimizer == preset(name).model.pretraining.optimizer
               and run.model.refinement == preset(name).model.refinement for run in begun.values())


def changed(run):
    """The dotted fields that differ from the defaults, and their values."""
    def walk(value, default, path):
        for key, inner in value.items():
            if isinstance(inner, dict):
                yield from walk(inner, default[key], (*path, key))
            elif inner != default[key]:
                yield ".".join((*path, key)), inner

    return dict(walk(config.to_dict(run), config.to_dict(config.Run()), ()))


def test_dec_keras_mnist():
    run = preset("dec-keras-mnist")
    assert changed(run) == {
        "data": "mnist",
        "n_clusters": 10,
        "model.scaling": "range",
        "model.network.initializer": "fan_in_uniform",
        "model.pretraining.epochs": 300,
        "model.pretraining.optimizer.name": "sgd",
        "model.pretraining.optimizer.learning_rate": 1.0,
        "model.pretraining.optimizer.momentum": 0.9,
        "model.refinement.steps": 20000,
        "model.refinement.refresh_every": 140,
        "model.refinement.optimizer.name": "sgd",
        "model.refinement.optimizer.learning_rate": 0.01,
        "model.refinement.optimizer.momentum": 0.9,
    }
    assert run.model.refinement.tolerance == 0.001
    network = run.model.network
    assert (*hidden_widths(network), network.code_size) == (500, 500, 2000, 10)
    assert run.model.batch_size == 256


def test_mnist_notebook():
    model = preset("mnist-notebook").model
    assert (model.scaling, model.batch_size, model.network.output) == ("symmetric", 256, "linear")
    pretraining = model.pretraining
    assert (pretraining.dropout, pretraining.epochs, pretraining.finetune_epochs) == (0.2, 300, 100)
    assert pretraining.keep_best
    assert pretraining.optimizer == config.Optimizer("sgd", 0.1, 0.9, "step", 0.1, 100)


def test_mnist_script():
    run = preset("mnist-script")
    assert (run.pretrain_on, run.data) == ("mnist:train", "mnist:test")
    network = run.model.network
    assert (network.hidden, network.code_size, network.code_activation, network.output) == ((), 32, "relu", "sigmoid")
    assert (run.model.pretraining.epochs, run.model.pretraining.optimizer.name) == (5, "adam")


def test_a_preset_that_a_note_names_exists():
    words = [word.strip(".,;") for claim in PRESETS.values() for word in claim.notes.split()]
    assert {word for word in words if word.startswith("mnist-")} <= PRESETS.keys()


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(ValueError, match=r"Unknown preset 'dec-keras'\. Did you mean 'dec-keras-mnist'\?"):
        preset("dec-keras")
