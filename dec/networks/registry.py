"""The kinds of network there are. A new one is a file with its layers, and a line in `NETWORKS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from dec import config
from dec.errors import UserError
from dec.networks import convolutional, recurrent
from dec.networks.layers import Layers, dense
from dec.user_code import function_of

DENSE = (500, 500, 2000)  # widths of Xie et al. 2016


class NetworkKind(NamedTuple):
    """A kind of network."""

    layers: Callable[[config.Network, int, dict[str, Any]], Layers]  # (config, features, kernel_init and dtype)
    hidden: tuple[int, ...] = DENSE  # widths where the config names none
    sides: tuple[int, ...] = ()  # numbers of sides that the shape of a row may have; none for rows without a shape


NETWORKS = {
    "dense": NetworkKind(dense),
    "conv": NetworkKind(convolutional.convolutional, (32, 64, 128), convolutional.SIDES),
    "gru": NetworkKind(recurrent.recurrent, (128,), recurrent.SIDES),
}


def network_kind(name: str) -> NetworkKind:
    """Return a registered kind of network, or the one in a passed file: `name` is then its path, ending in .py.

    Raises:
      UserError: an unknown name, a file that the user did not pass, or one without a function that returns `Layers`.
    """
    if name.endswith(".py"):
        example = "def residual(net: Network, features: int, options: dict) -> Layers:"
        return NetworkKind(function_of(name, Layers, example))
    if name not in NETWORKS:
        raise UserError(f"{config.unknown('network.layers', name, list(NETWORKS))} One of your own is named by its .py "
                        "file.")
    return NETWORKS[name]


def hidden_widths(net: config.Network) -> tuple[int, ...]:
    """Return the widths of the hidden layers: those of the config, else those of its kind of network."""
    return network_kind(net.layers).hidden if net.hidden is None else net.hidden
