"""What a run is: frozen dataclasses with a default and one line of help per field. Imports neither jax nor flax.

The command line, `get_params` of the estimators, the presets and the `config.json` of a saved run are all made from
these fields, so an option exists in exactly one place.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import json
import math
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from dec.errors import UserError
from dec.paths import expanded


def opt(default: Any, help: str, least: float = -math.inf, most: float = math.inf, *, path: bool = False) -> Any:
    """Return a dataclass field with its line of help, for numbers their range, and whether it may be a path."""
    return dataclasses.field(default=default, metadata={"help": help, "range": (least, most), "path": path})


def checked(value: Any, hint: Any, name: str) -> Any:
    """Return `value` as the type `hint` asks for: an int where a float is wanted, a list for a tuple."""
    if hasattr(value, "tolist"):  # NumPy's numbers, which a grid search gives, become Python's
        value = value.tolist()
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if (value is None and type(None) in args) or value in words(args):
            return value
        return checked(value, next(a for a in args if a is not type(None)), name)
    if origin is Literal:
        if value not in args:
            raise UserError(f"{name}={value!r} is none of {', '.join(map(str, args))}")
        return value
    if origin is tuple:
        if isinstance(value, list | tuple):
            return tuple(checked(v, args[0], name) for v in value)
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif hint is Any or (isinstance(value, origin or hint) and not (hint is int and isinstance(value, bool))):
        return value
    raise UserError(f"{name}={value!r} must be {getattr(hint, '__name__', hint)}, not {type(value).__name__}")


def words(hints: Iterable[Any]) -> tuple[str, ...]:
    """Return the words that the Literals in a union allow."""
    return tuple(word for a in hints if typing.get_origin(a) is Literal for word in typing.get_args(a))


@dataclass(frozen=True)
class Config:
    """What all configs share: their values are held to their types and ranges, however they are made."""

    def __post_init__(self) -> None:
        hints = _hints(type(self))  # type: ignore[arg-type]  # a class is hashable
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, checked(getattr(self, field.name), hints[field.name], field.name))
            value, (least, most) = getattr(self, field.name), field.metadata.get("range", (-math.inf, math.inf))
            if field.metadata.get("path") and value is not None:
                object.__setattr__(self, field.name, expanded(value))
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, int | float) and not least <= number <= most:
                    limits = f"at least {least}" if most == math.inf else f"from {least} to {most}"
                    raise UserError(f"{field.name}={value!r} must be {limits}")

    def changed(self) -> dict[str, Any]:
        """Return the fields that are not as they are by default."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)
                if getattr(self, field.name) != field.default}


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


@dataclass(frozen=True)
class Optimizer(Config):
    """One optax optimizer and its learning-rate schedule."""

    name: str = opt("adam", "name of an optimizer of optax: adam, sgd, rmsprop, adamw, ...; in the refinement "
                            "also method: the choice of the method's authors")
    learning_rate: float | None = opt(1e-3, "learning rate of the first step; none: the method's own, else 0.001", 0)
    momentum: float | None = opt(None, "momentum of an optimizer that has one (sgd, rmsprop)", 0, 1)
    schedule: Literal["constant", "step", "exponential", "cosine"] = opt("constant", "how the learning rate falls")
    decay: float = opt(0.1, "factor of the step and exponential schedules; final fraction of the cosine one", 0)
    decay_every: int = opt(100, "number of epochs between two factors (step, exponential)", 1)

    def over(self, default: Optimizer) -> Optimizer:
        """Return this optimizer; where its name is "method", the `default` with all else that is set here."""
        if self.name != "method":
            return self
        said = {name: value for name, value in self.changed().items() if name != "name" and value is not None}
        return dataclasses.replace(default, **said)


@dataclass(frozen=True)
class Network(Config):
    """An autoencoder: layers down to a code, and their mirror image."""

    layers: str = opt("dense", "dense: fully connected; conv: convolutions over images or time; gru: recurrent, over "
                               "time; or the .py file of your own", path=True)
    hidden: tuple[int, ...] | None = opt(
        None, "widths of the encoder's hidden layers; the decoder mirrors it. Default: 500 500 2000 (dense), 32 64 128 "
              "filters (conv), 128 (gru)", 1)
    shape: tuple[int, ...] = opt((), "shape of a row for conv and gru: height width channels, or steps channels; set "
                                     "by the command line for images and sequences", 1)
    variational: bool = opt(False, "use a variational autoencoder, whose codes are the means of distributions")
    code_size: int = opt(10, "width of the code", 1)
    activation: str = opt("relu", "activation of the hidden layers: relu, gelu, elu, leaky_relu, selu, silu, tanh, ...")
    code_activation: str = opt("linear", "activation of the code layer")
    output: Literal["linear", "sigmoid", "sigmoid_mse", "mixed"] = opt(
        "linear", "linear: squared error; sigmoid: binary cross-entropy; sigmoid_mse: a sigmoid with squared error; "
                  "mixed: a likelihood for each of the blocks")
    blocks: tuple[str, ...] = opt((), "types of the columns, like gaussian:3,bernoulli:1,categorical:20,poisson:9 or "
                                      "sequence:128x6; set by the command line for tables and sequences")
    zero_weight: float = opt(1.0, "weight of zeros of the input in a squared error; below 1 for counts", 0)
    embed_above: int | None = opt(None, "number of categories above which a block enters by a learned embedding of "
                                        "width 2 √categories", 1)
    initializer: str = opt("glorot_uniform", "initializer of the weights: glorot_uniform, fan_in_uniform, he_normal, "
                                             "lecun_normal, normal_001, torch (of the biases too)")


@dataclass(frozen=True)
class Pretraining(Config):
    """How the autoencoder learns to reconstruct before there are clusters."""

    epochs: int = opt(100, "number of passes over the training rows, end to end", 0)
    layerwise_epochs: int = opt(0, "number of passes for each layer of a stacked denoising autoencoder, before "
                                   "end to end", 0)
    dropout: float = opt(0.0, "fraction of every layer's input that is dropped: layer by layer, where that is asked "
                              "for, else end to end", 0, 0.99)
    finetune_epochs: int = opt(0, "number of further passes without dropout", 0)
    validation: float = opt(0.0, "fraction of the rows held out to watch the loss", 0, 0.99)
    validation_seed: int = opt(0, "seed of the choice of the rows that are held out", 0)
    accuracy: bool = opt(False, "record Keras's categorical accuracy: how often the largest input and the largest "
                                "output of a row are in one column")
    keep_best: bool = opt(False, "end with the weights of the best epoch by validation (else training) loss")
    patience: int | None = opt(None, "number of epochs without a better loss after which pretraining stops", 1)
    warm_start: str | None = opt(None, "saved model or run folder from whose network to start", path=True)
    optimizer: Optimizer = Optimizer()


@dataclass(frozen=True)
class Refinement(Config):
    """How network and clusters are refined together."""

    steps: int = opt(8000, "largest number of steps", 0)
    refresh_every: int | None = opt(None, "number of steps between refreshes of the targets; default: the larger of "
                                          "140 and one epoch", 1)
    tolerance: float = opt(0.001, "stop when a smaller fraction of rows changes its cluster between two refreshes",
                           0, 1)
    freeze: Literal["none", "encoder", "decoder"] = opt("none", "the part of the network that stays as pretrained")
    optimizer: Optimizer = Optimizer(name="method", learning_rate=None)


@dataclass(frozen=True)
class Augmentation(Config):
    """Random views of the rows in training, of any method; prior knowledge, which every result declares."""

    shift: float = opt(0.0, "images: shift by up to this fraction of height and width (Guo et al. 2018: 0.1)", 0, 1)
    rotation: float = opt(0.0, "images: rotate by up to this angle in degrees (Guo et al. 2018: 10)", 0, 180)
    zoom: float = opt(0.0, "images: zoom by a factor of up to 1 ± this", 0, 0.9)
    shear: float = opt(0.0, "images: shear by up to this angle in degrees", 0, 80)
    flip: bool = opt(False, "images: exchange left and right, half of the time")
    cutout: float = opt(0.0, "images, sequences: set a box or stretch of steps of this fraction of each side to 0",
                        0, 1)
    amplitude: float = opt(0.0, "standard deviation of a factor around 1 for each row", 0)
    noise: float = opt(0.0, "standard deviation of noise on every value, in units of the scaled input", 0)
    mask: float = opt(0.0, "fraction of the values set to 0 (tables, counts, sequences)", 0, 0.99)


@dataclass(frozen=True)
class Model(Config):
    """Everything that decides what is trained, apart from data, method and seeds."""

    scaling: Literal["power", "range", "symmetric", "standard", "none"] = opt(
        "power", "of the input. power: one factor, so that |x|²/d is 1 on average (DEC section 4); range: to [0, 1]; "
                 "symmetric: to [-1, 1]; standard: each column to mean 0 and variance 1")
    batch_size: int = opt(256, "number of rows a step", 1)
    stream_above: float = opt(2.0, "GiB of raw rows above which they are read from the host in pieces, in constant "
                                   "memory; 0: always", 0)
    dtype: Literal["float32", "bfloat16"] = opt("float32", "dtype of the network's activations; weights and losses "
                                                           "stay float32")
    network: Network = Network()
    augmentation: Augmentation = Augmentation()
    pretraining: Pretraining = Pretraining()
    refinement: Refinement = Refinement()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network.output == "mixed" and self.scaling != "none":
            raise UserError(f"scaling={self.scaling!r} must be 'none' with network.output='mixed': its "
                            "likelihoods are of the values as they are")
        if self.network.output in ("sigmoid", "mixed") and (self.augmentation.noise or self.augmentation.amplitude):
            raise UserError("augmentation.noise and .amplitude make values without a likelihood by network.output="
                            f"{self.network.output!r}; take shift, rotation, cutout or mask, or another output")
        layerwise = self.network.layers == "dense" and self.network.output != "mixed" and not self.network.embed_above
        if self.pretraining.layerwise_epochs and not layerwise:
            raise UserError("pretraining.layerwise_epochs works neither with network.output='mixed' nor with "
                            "network.embed_above, and with network.layers='dense' only; leave it at 0")
        if self.scaling not in ("power", "none") and any(b.startswith("sequence") for b in self.network.blocks):
            raise UserError(f"scaling={self.scaling!r} must be 'power' or 'none' for sequences of different lengths: "
                            "0 must stay 0 where there is no step")


@dataclass(frozen=True)
class Features(Config):
    """How raw rows become numbers. A field is for the kinds of data that its help begins with, and only for them."""

    columns: tuple[str, ...] = opt((), "table: use only these columns")
    drop: tuple[str, ...] = opt((), "table: columns to leave out")
    id: str | None = opt(None, "table: the column that names the rows, for labels.csv")
    keep: tuple[str, ...] = opt((), "table: columns that are no input but are written to labels.csv, to join on")
    label: str | None = opt(None, "table: the column with the true classes, for evaluation only")
    kinds: tuple[str, ...] = opt((), "table: COLUMN=KIND where the inferred kind is wrong: number, log, count, "
                                     "category, boolean, text or drop")
    numeric: Literal["standard", "robust", "minmax", "quantile", "none"] = opt("standard", "table: scaling of numbers")
    missing: Literal["impute", "category", "drop", "error"] = opt(
        "impute", "table: missing values. impute: by the median or most frequent value, with a column that "
                  "marks them; category: a category of their own; drop: leave such rows out; error: refuse them")
    max_categories: int | None = opt(None, "table: largest number of categories of a column; the rarest share one", 2)
    text: Literal["counts", "tfidf", "hashing"] = opt("counts", "texts, columns of text: how words become numbers")
    vocabulary: int = opt(5000, "texts, columns of text: largest number of words, the most frequent ones", 1)
    truncate: int | None = opt(None, "texts alone: number of words to keep, the first in the alphabet, as some scripts "
                                     "do by mistake", 1)
    stop_words: bool = opt(True, "texts, columns of text: leave out the most common English words")
    size: tuple[int, ...] | None = opt(None, "images: height,width to resize to; default: as they are", 1)
    colour: Literal["keep", "grey", "rgb"] = opt("keep", "images: keep, or turn all grey or all into color")
    window: int | None = opt(None, "sequences: number of time steps of the windows to cut them into", 1)
    stride: int | None = opt(None, "sequences: number of steps between two windows; default: the window", 1)


@dataclass(frozen=True)
class Run(Config):
    """One run of the command line: a method on a data set over several seeds."""

    method: str = opt("dec", "see `dec methods`", path=True)
    data: str = opt("digits", "a name (see `dec data`), name:train, name:test, tfds:NAME, or a path to a "
                              "table, arrays, or a folder of images, texts or recordings", path=True)
    options: dict[str, Any] = dataclasses.field(default_factory=dict, metadata={"help": "the method's own options"})
    n_clusters: int | Literal["auto"] | None = opt(
        None, "number of clusters; auto: the recommendation of `dec choose-k` for the pretrained codes; default: the "
              "number of classes, where the data set has labels", 2)
    seeds: int = opt(1, "number of seeds to train", 1)
    seed: int = opt(0, "the first seed", 0, 2**31)
    limit: int | None = opt(None, "number of rows of a fixed uniform sample to work on", 1)
    pretrain_on: str | None = opt(None, "another data set to pretrain on; --data is then its validation set", path=True)
    features: Features = Features()
    model: Model = Model()


def to_dict(config: Any) -> dict[str, Any]:
    """Return the nested plain dictionary of a config, ready for JSON."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(cls: type, values: dict[str, Any]) -> Any:
    """Build a checked config from nested dictionaries, as of `to_dict`; absent fields keep their defaults."""
    return replace(cls(), values)


def replace(config: Any, values: dict[str, Any], where: str = "") -> Any:
    """Return `config` with the fields in the nested dictionary `values` replaced, each checked against its annotation.

    Raises:
      ValueError: for an unknown field (naming the nearest one) or a value of the wrong type.
    """
    hints = _hints(type(config))  # type: ignore[arg-type]
    if not isinstance(values, dict):
        raise UserError(f"{where or 'a config'} must hold named options, not {values!r}")
    changes = {}
    for name, value in values.items():
        if name not in hints:
            raise UserError(unknown("option", where + name, [where + known for known in hints]))
        current = getattr(config, name)
        if dataclasses.is_dataclass(current) and isinstance(value, dict):
            changes[name] = replace(current, value, f"{where}{name}.")
        else:
            changes[name] = checked(value, hints[name], where + name)
    try:
        return dataclasses.replace(config, **changes)
    except ValueError as error:  # a number out of its range
        raise UserError(f"{where}{error}") from error


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the nearest spelling among those known, if one is near."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.5)), None)


def unknown(what: str, name: str, known: list[str]) -> str:
    """Return the message for a name that does not exist, with the nearest spelling of one that does."""
    near = nearest(name, known)
    hint = f" Did you mean {near!r}?" if near else ""
    return f"Unknown {what} {name!r}.{hint} Known: {', '.join(sorted(known))}."


def digest(*parts: Any) -> str:
    """Return a short stable hash of JSON-able values; it names caches."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]
