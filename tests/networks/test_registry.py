"""A network of a user's own is one file."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import run as dec_command

import dec
from dec import config, user_code
from dec.networks.registry import NETWORKS, hidden_widths, network_kind

CODE = '''
import flax.linen as nn
from dec.config import Network
from dec.networks.layers import Layers


class Residual(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.width)(nn.tanh(nn.Dense(self.width)(x))) + nn.Dense(self.width)(x)


def residual(net: Network, features: int, options: dict) -> Layers:
    encoder = [*(Residual(width) for width in net.hidden), nn.Dense(net.code_size, **options)]
    return Layers(encoder, [*(Residual(width) for width in reversed(net.hidden)), nn.Dense(features, **options)])
'''


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(user_code, "_PASSED", set())
    Path("residual.py").write_text(CODE)
    return tmp_path


def test_widths_are_those_of_the_kind_where_none_are_given():
    assert hidden_widths(config.Network()) == (500, 500, 2000)
    assert hidden_widths(config.Network(layers="gru")) == (128,)
    assert hidden_widths(config.Network(layers="conv", hidden=(3,))) == (3,)
    assert network_kind("conv") is NETWORKS["conv"]
    with pytest.raises(dec.UserError, match=r"Unknown network.layers 'cnv'. Did you mean 'conv'\?"):
        network_kind("cnv")


def test_a_network_in_a_file_is_trained_saved_and_loaded(place, blobs, tiny):
    network = dec.Network(layers="residual.py", hidden=(8,), code_size=2)
    model = dec.IDEC(4, **tiny | {"network": network}).fit(blobs[0])
    assert "encoder_0" in model.summary()
    model.save("model")
    code = "import dec; dec.load('model')"
    refused = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert refused.returncode == 1 and "is not run; if you trust it" in refused.stderr
    loaded = dec.load("model", network="residual.py")
    np.testing.assert_array_equal(loaded.predict(blobs[0]), model.predict(blobs[0]))


def test_the_command_line_takes_a_network_in_a_file(place):
    words = ["--data", "digits", "--limit", "100", "--hidden", "8", "--code-size", "2", "--pretraining.epochs", "2",
             "--n-clusters", "3", "--no-cache", "--quiet"]
    status, _, err = dec_command("train", "ae+kmeans", "--network-file", "residual.py", *words, "--out", "run")
    assert (status, err) == (0, "")
    assert json.loads(Path("run/config.json").read_text())["model"]["network"]["layers"].endswith("residual.py")
    user_code._PASSED.clear()
    assert "is not run; if you trust it" in dec_command("predict", "run", "digits", "--out", "a.csv")[2]
    assert dec_command("predict", "run", "digits", "--out", "a.csv", "--network-file", "residual.py")[0] == 0
    Path("residual.py").write_text(CODE.replace("tanh", "relu"))
    assert "has changed since" in dec_command("predict", "run", "digits", "--out", "b.csv", "--network-file",
                                              "residual.py")[2]
