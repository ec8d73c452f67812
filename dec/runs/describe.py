"""What becomes of data on their way to a method, and the layers of its network."""

from __future__ import annotations

from typing import NamedTuple

from sklearn.pipeline import Pipeline

from dec import config, methods
from dec.data.transformers.table import TableFeatures
from dec.networks.autoencoder import build, layer_table, parameter_table
from dec.runs.prepare import prepare


class Description(NamedTuple):
    """The way of the data through a method."""

    steps: list[list[str]]  # one after the other; those of one list beside each other
    layers: list[tuple[str, str, int]]  # name, shape of the kernel, parameters; empty without a network


def describe(run: config.Run) -> Description:
    """Read the data of a run, fit its features and build its network, without training."""
    wanted = run.n_clusters
    run, dataset, _, features, x, *_ = prepare(config.replace(run, {"n_clusters": wanted or "auto"}))
    method, layers = methods.make(run.method, run.options), []
    steps = [[dataset.source]]
    if isinstance(features, TableFeatures):
        steps.append(_columns(features))
    elif features is not None:
        steps.append([f"{type(features).__name__}: {', '.join(features.blocks_)}"])
    steps.append([f"{x.shape[0]:,} rows of {x.shape[1]:,} numbers, scaling: {run.model.scaling}"])
    if method.space == "codes":
        module = build(run.model.network, x.shape[1], run.model.dtype, method.posterior)
        layers = parameter_table(module)
        steps += [[f"{name}  {kernel}  {count:,} parameters"] for name, kernel, count in layers
                  if not name.startswith("decoder")]
        steps.append([f"code of {run.model.network.code_size}"])
    k = wanted or dataset.n_classes
    last = [f"{run.method}: {k} clusters" if k else f"{run.method}, with --n-clusters"]
    decoder = [f"{name} {kernel}" for name, kernel, _ in layers if name.startswith("decoder")]
    steps.append([*last, "reconstruction by " + ", ".join(decoder)] if decoder else last)
    return Description(steps, layers)


def _columns(features: TableFeatures) -> list[str]:
    """Return what becomes of the columns of a table, grouped by transformation."""
    found, places = [], features.transformer_.output_indices_
    for name, transformer, columns in features.transformer_.transformers_:
        width = places[name].stop - places[name].start
        if not width:
            continue
        at = [columns] if isinstance(columns, int) else columns
        names = [features.used_[i] if i < len(features.used_) else "whether missing" for i in at]
        parts = [part for _, part in transformer.steps] if isinstance(transformer, Pipeline) else [transformer]
        done = " → ".join(type(part).__name__ for part in parts)
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        found.append(f"{name.split()[0]}: {shown} → {done} → {width}")
    return found


def as_text(found: Description) -> str:
    """Return the steps under each other, and the table of layers."""
    lines = []
    for step in found.steps:
        lines += [*([] if not lines else ["  ↓"]), *step]
    if found.layers:
        lines += ["", layer_table(found.layers)]
    return "\n".join(lines)
