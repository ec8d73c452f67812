"""Configs: to dictionaries and back, and every wrong name, type and number refused by its name."""

import dataclasses
import json
import subprocess
import sys

import pytest

from dec import config
from dec.config import Model, Network, Optimizer, Pretraining, Refinement, Run, from_dict, replace, to_dict

UNUSUAL = Run(
    method="idec", data="mnist:train", options={"gamma": 0.5, "target": "batch"}, n_clusters=7, seeds=3, seed=4,
    limit=100, pretrain_on="mnist:test",
    model=Model(
        scaling="range", batch_size=64, dtype="bfloat16",
        network=Network(hidden=(), code_size=3, activation="gelu", code_activation="tanh", output="sigmoid"),
        pretraining=Pretraining(epochs=0, patience=5, keep_best=True, warm_start="elsewhere",
                                optimizer=Optimizer("sgd", 1.0, 0.9, "cosine", 0.0, 7)),
        refinement=Refinement(steps=10, refresh_every=3, tolerance=0.0, freeze="decoder"),
    ),
)


@pytest.mark.parametrize("run", [Run(), UNUSUAL])
def test_round_trip_through_json(run):
    assert from_dict(Run, json.loads(json.dumps(to_dict(run)))) == run


def test_absent_fields_keep_their_defaults():
    assert from_dict(Run, {}) == Run()
    run = from_dict(Run, {"model": {"pretraining": {"optimizer": {"name": "sgd"}}}})
    assert run == replace(Run(), {"model": {"pretraining": {"optimizer": {"name": "sgd"}}}})
    assert run.model.refinement == Refinement()
    assert dataclasses.replace(run.model.pretraining, optimizer=Optimizer()) == Pretraining()


def test_what_is_lossless_is_converted():
    run = from_dict(Run, {"model": {"network": {"hidden": [8, 4]}, "refinement": {"tolerance": 0}}})
    assert run.model.network.hidden == (8, 4)
    assert isinstance(run.model.refinement.tolerance, float)


@pytest.mark.parametrize("values, message", [
    ({"metod": "dec"}, "Unknown option 'metod'. Did you mean 'method'?"),
    ({"model": {"netwrk": {}}}, "Unknown option 'model.netwrk'. Did you mean 'model.network'?"),
    ({"model": {"network": {"hiden": [3]}}}, "Did you mean 'model.network.hidden'?"),
    ({"seeds": "3"}, "seeds='3' must be int, not str"),
    ({"seeds": True}, "seeds=True must be int, not bool"),
    ({"seeds": 1.5}, "seeds=1.5 must be int, not float"),
    ({"seeds": None}, "seeds=None must be int, not NoneType"),
    ({"n_clusters": [3]}, "n_clusters=[3] must be int, not list"),
    ({"data": 3}, "data=3 must be str, not int"),
    ({"options": []}, "options=[] must be"),
    ({"model": 3}, "model=3 must be Model, not int"),
    ({"model": None}, "model=None must be Model"),
    ({"model": {"network": {"hidden": 500}}}, "model.network.hidden=500 must be"),
    ({"model": {"network": {"hidden": [500, "x"]}}}, "model.network.hidden='x' must be int"),
    ({"model": {"pretraining": {"keep_best": 1}}}, "model.pretraining.keep_best=1 must be bool"),
    ({"model": {"pretraining": {"dropout": "0.2"}}}, "model.pretraining.dropout='0.2' must be float"),
    ({"model": {"scaling": "pwer"}}, "model.scaling='pwer' is none of power, range"),
    ({"model": {"refinement": {"optimizer": {"schedule": "linear"}}}}, "optimizer.schedule='linear' is none of"),
    ([], "a config must hold named options, not []"),
    ("dec", "a config must hold named options"),
])
def test_wrong_names_and_types(values, message):
    with pytest.raises(ValueError) as error:
        from_dict(Run, values)
    assert message in str(error.value)


@pytest.mark.parametrize("values, message", [
    ({"n_clusters": 1}, "n_clusters=1 must be at least 2"),
    ({"seeds": 0}, "seeds=0 must be at least 1"),
    ({"seed": -1}, "seed=-1 must be from 0 to"),
    ({"limit": 0}, "limit=0 must be at least 1"),
    ({"model": {"batch_size": 0}}, "model.batch_size=0 must be at least 1"),
    ({"model": {"network": {"hidden": [5, 0]}}}, "model.network.hidden=(5, 0) must be at least 1"),
    ({"model": {"network": {"code_size": 0}}}, "model.network.code_size=0 must be at least 1"),
    ({"model": {"pretraining": {"epochs": -1}}}, "model.pretraining.epochs=-1 must be at least 0"),
    ({"model": {"pretraining": {"dropout": 1.0}}}, "model.pretraining.dropout=1.0 must be from 0 to 0.99"),
    ({"model": {"refinement": {"refresh_every": 0}}}, "model.refinement.refresh_every=0 must be at least 1"),
    ({"model": {"refinement": {"tolerance": float("nan")}}}, "model.refinement.tolerance=nan must be from 0 to 1"),
    ({"model": {"refinement": {"optimizer": {"learning_rate": -0.1}}}},
     "model.refinement.optimizer.learning_rate=-0.1 must be at least 0"),
])
def test_numbers_out_of_range(values, message):
    with pytest.raises(ValueError) as error:
        from_dict(Run, values)
    assert str(error.value).startswith(message)


def test_the_range_holds_however_a_config_is_made():
    with pytest.raises(ValueError, match="epochs=-1 must be at least 0"):
        Pretraining(epochs=-1)
    with pytest.raises(ValueError, match="steps=-1 must be at least 0"):
        dataclasses.replace(Refinement(), steps=-1)


def test_every_field_has_its_line_of_help():
    def parts(one):
        yield one
        for field in dataclasses.fields(one):
            value = getattr(one, field.name)
            if dataclasses.is_dataclass(value):
                yield from parts(value)

    fields = [field for part in parts(Run()) for field in dataclasses.fields(part)]
    assert len(fields) > 30
    for field in fields:
        assert field.metadata.get("help") or dataclasses.is_dataclass(field.default), field.name


def test_a_digest_depends_on_content_not_on_order():
    assert config.digest({"a": 1, "b": 2}) == config.digest({"b": 2, "a": 1})
    assert config.digest({"a": 1}) != config.digest({"a": 2})
    assert len(config.digest(to_dict(UNUSUAL), "any")) == 20


def test_importing_configs_and_presets_is_light():
    code = "import sys, dec.config, dec.runs.presets; sys.exit(not {'jax', 'flax', 'sklearn'}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
