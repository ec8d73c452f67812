"""How many clusters the rows of a data set are in: networks are pretrained, and k is chosen for their codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from dec import config
from dec.data.scaling import fit_scaling
from dec.errors import UserError
from dec.networks.autoencoder import build
from dec.runs.prepare import prepare
from dec.training import pretrained
from dec.training.fit import recommended
from dec.training.session import Session


def choose_k(
    run: config.Run,
    ks: range = range(1, 30),
    space: Literal["codes", "input"] = "codes",
    cache: Path | None = None,
    progress: Callable[..., None] | None = None,
) -> tuple[pd.DataFrame, str, str]:
    """Choose the number of clusters for the data of a run.

    Args:
      run: the data, its features, the network and the seeds.
      ks: the numbers of clusters to try.
      space: whether to cluster the codes of pretrained networks, one a seed, or the scaled input.
      cache: a folder of pretrained networks to reuse and add to.
      progress: as of `Session`.

    Returns:
      the criteria, a row for each k; the recommendation with its reason; a line that names the data.

    Raises:
      UserError: every network diverged.
    """
    made = prepare(config.replace(run, {"n_clusters": "auto"}))
    run, x = made.run, made.x
    session = Session(list(range(run.seed, run.seed + run.seeds)), progress=progress)
    training, validation = (x, None) if made.pretrain_on is None else (made.pretrain_on, x)
    scaling, nets = fit_scaling(training, run.model.scaling), None
    if space == "codes":
        module = build(run.model.network, x.shape[1], run.model.dtype)
        nets = pretrained.networks(module, training, scaling, validation, run.model, session, cache)
    choice: dict[str, Any] = recommended(x, scaling, nets, run.model, session, ks)
    if not choice["table"]:
        raise UserError(f"{choice['reason']}; lower the learning rate")
    return pd.DataFrame(choice["table"], dtype=float).astype({"k": int}), choice["reason"], made.dataset.source
