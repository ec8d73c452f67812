"""What became of every seed, and which one is kept."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from dec.selection.agreement import agreement
from dec.training.engine import CONVERGED, NOT_FINITE, RUNNING, State
from dec.training.session import Session


def summarize(
    states: State, labels: np.ndarray, looked_at: int, k: int, session: Session
) -> tuple[list[dict[str, Any]], int]:
    """Return the outcome of every seed, and the position of the seed to keep.

    Kept is the partition with the highest mean ARI with those of the other seeds that did not fail: what many starts
    agree on. A method's own loss cannot rank its runs, since collapsing lowers it.
    """
    status, step = np.asarray(states.status), np.asarray(states.step)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves((states.net, states.head.params))]
    finite = np.array([
        code != NOT_FINITE and all(np.isfinite(leaf[s]).all() for leaf in leaves) for s, code in enumerate(status)
    ])
    last = {(r["seed"], r["phase"]): r["loss"] for r in session.history if r["loss"] is not None}
    runs: list[dict[str, Any]] = []
    n = labels.shape[1]
    for s, seed in enumerate(session.seeds):
        sizes = np.bincount(labels[s][labels[s] >= 0], minlength=k)
        occupied = int((sizes > 0).sum())
        ok = bool(finite[s]) and occupied > min(1, k - 1)
        runs.append({
            "seed": seed,
            "status": "ok" if ok else "failed",
            "reason": _reason(bool(finite[s]), int(status[s]), int(step[s]), occupied, k, session),
            "steps": int(step[s]),
            "loss": last.get((seed, "cluster")),
            "pretrain_loss": next((last[at] for at in reversed(last) if at[0] == seed and at[1] != "cluster"), None),
            "occupied": occupied,
            "smallest": int(sizes.min()),
            "largest": int(sizes.max()),
            "noise": int((labels[s] < 0).sum()),
            "looked_at": looked_at,
            "agreement": None,
        })
        if runs[-1]["noise"]:
            runs[-1]["reason"] += f"; {runs[-1]['noise']} of {n} rows are noise"
        if stall := _stall(session.history, seed):
            runs[-1]["reason"] += f"; {stall}"
    usable = [s for s, row in enumerate(runs) if row["status"] == "ok"]
    scores = agreement(labels[usable]) if len(usable) > 1 else np.zeros(0)
    for s, score in zip(usable, scores):
        runs[s]["agreement"] = float(score)
    if usable:
        return runs, max(usable, key=lambda s: runs[s]["agreement"] or 0)
    return runs, int(np.argmax(finite))


def _stall(history: list[dict[str, Any]], seed: int) -> str | None:
    """Return a warning for a pretraining, end to end, whose last loss is no lower than its first."""
    losses = [r["loss"] for r in history if r["seed"] == seed and r["phase"] == "pretrain"]
    if len(losses) < 2 or None in losses or losses[-1] < losses[0]:
        return None
    return f"pretraining stalled (loss {losses[0]:.4g} -> {losses[-1]:.4g}); change the learning rate"


def _reason(finite: bool, status: int, step: int, occupied: int, k: int, session: Session) -> str:
    """Why a seed ended, and what is wrong with its result."""
    if not finite:
        return f"the loss or the weights became NaN or infinite by step {step}; lower the learning rate"
    if occupied < 2 <= k:
        return "collapsed: " + ("there is only one cluster" if occupied else "all rows are noise")
    if session.interrupted and status == RUNNING:
        ended = f"interrupted at step {step}"
    elif status == CONVERGED:
        ended = f"label change below the tolerance at step {step}"
    else:
        ended = f"{step} steps" if step else "clusters of the start"
    return ended if occupied == k else f"{ended}; only {occupied} of {k} clusters are occupied"
