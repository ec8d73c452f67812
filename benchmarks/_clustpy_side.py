"""The ClustPy side of `versus_clustpy.py`, `whole_fit.py`, `ten_seeds.py`: its interpreter has torch and ClustPy.

It calls the public `clustpy.deep.DEC(...).fit(x)` unchanged, and prints JSON last. ClustPy loops over epochs with
`tqdm.trange` and reports each epoch's summed loss through `set_postfix`; a recorder in its place reads the clock around
every epoch.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import importlib.metadata
import json
import sys
import time
import types

import numpy as np
import torch
import tqdm


class Epochs:
    """Stands in for `tqdm.trange`: wall and CPU seconds and loss of every epoch, by the loop's description."""

    seconds: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    losses: dict[str, list[float]] = {}

    def __init__(self, n: int, desc: str = "", **_):
        self.n = n
        self.seconds[desc] = self.spent = []
        self.cpu[desc] = self.used = []
        self.losses[desc] = self.loss = []

    def __iter__(self):
        for epoch in range(self.n):
            start, used = time.perf_counter(), time.process_time()
            yield epoch
            self.spent.append(time.perf_counter() - start)
            self.used.append(time.process_time() - used)

    def set_postfix(self, values: dict) -> None:
        self.loss.append(float(next(iter(values.values()))))


class Stub(types.ModuleType):
    """A package whose every public name is some class."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def stub_torchvision() -> None:
    """ClustPy imports torchvision, for residual networks alone; it does not load beside a CPU build of torch."""
    for name in ("torchvision", "torchvision.models", "torchvision.models._api"):
        sys.modules[name] = Stub(name)
        sys.modules[name].__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)


def versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("torch", "clustpy", "numpy")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a .npy of float32 rows")
    parser.add_argument("--save", required=True, help="a .npz to write: final codes, centers and labels")
    parser.add_argument("--recipe", required=True,
                        help="JSON: layers, batch, rates, clusters, epochs, threads, seed, device")
    args = parser.parse_args()
    recipe = json.loads(args.recipe)
    torch.set_num_threads(recipe["threads"])
    device = {"cpu": "cpu", "gpu": "cuda"}[recipe["device"]]
    stub_torchvision()
    from clustpy.deep import DEC
    from clustpy.deep.neural_networks import FeedforwardAutoencoder

    tqdm.trange = Epochs
    x = np.load(args.data)
    seed = recipe["seed"]
    # Its LeakyReLU, initial weights and torch.optim.Adam are the defaults that scan_side follows.
    start = time.perf_counter()
    network = FeedforwardAutoencoder(recipe["layers"], random_state=seed)
    model = DEC(recipe["clusters"], batch_size=recipe["batch"], neural_network=network, random_state=seed,
                pretrain_optimizer_params={"lr": recipe["rate"]}, pretrain_epochs=recipe["epochs"],
                clustering_optimizer_params={"lr": recipe["dec_rate"]}, clustering_epochs=recipe["dec_epochs"],
                device=device).fit(x)
    seconds = time.perf_counter() - start
    np.savez(args.save, codes=model.transform(x), centers=model.dec_cluster_centers_, labels=model.labels_)
    batches = -(-len(x) // recipe["batch"])
    phases = {"pretrain": "AE training", "dec": "DEC training"}
    result = {"fit_s": seconds, "compile_s": 0.0, "threads": torch.get_num_threads(),
              "dtype": str(torch.get_default_dtype()),
              "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
              "versions": versions()}
    for phase, name in phases.items():
        result[f"{phase}_s"] = Epochs.seconds[name]
        result[f"{phase}_cpu_s"] = Epochs.cpu[name]
        result[f"{phase}_loss"] = [loss / batches for loss in Epochs.losses[name]]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
