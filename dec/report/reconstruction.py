"""What the decoder makes of the codes: some rows at random and the worst ones."""

from __future__ import annotations

import math

import numpy as np

from dec.data.views import Curves, Images
from dec.report import pictures
from dec.report.cards import rows_shown
from dec.report.material import RunData, sampled
from dec.report.page import Block, Page, table

SAMPLE = 2000  # rows that are decoded
SHOWN = 8


def reconstruction(run: RunData, page: Page) -> list[Block]:
    """Return input, output and error of rows at random and of the worst, among a uniform sample of `SAMPLE` rows."""
    rng = np.random.default_rng(0)
    at = sampled(np.arange(len(run.rows)), SAMPLE)
    x, out = run.x(at).astype(np.float32), run.model.inverse_transform(run.codes[at])
    error = squared_errors(run, x, out)
    worst, some = np.argsort(-error, kind="stable")[:SHOWN], rng.choice(len(at), min(SHOWN, len(at)), replace=False)
    about = f"of {len(at):,} rows" + (", drawn uniformly" if len(at) < len(run.rows) else "")
    errors = {"mean": error.mean(), "median": np.median(error), "worst": error.max()}
    blocks = [table(["squared error", "value"], [[name, f"{value:.4g}"] for name, value in errors.items()],
                    f"Averaged over the features of a row, in the scaled input, {about}."),
              compression(run, at, x, error)]
    groups = {"at random": some, f"the worst {about}": worst}
    if isinstance(run.view, Images):
        given, made = run.view.decode(x), run.view.decode(out)
        gap = np.abs(given.astype(np.int16) - made).astype(np.uint8)
        parts = {title: (given[rows], made[rows], gap[rows]) for title, rows in groups.items()}
        return [*blocks, page.figure("reconstruction", pictures.reconstructed_images(parts),
                                     "Input, output and their absolute difference.")]
    if isinstance(run.view, Curves):
        given, made = run.view.decode(x), run.view.decode(out)
        parts = {title: (given[rows[:4], :, 0], made[rows[:4], :, 0])
                 for title, rows in (("at random", some), ("worst", worst))}
        return [*blocks, page.figure("reconstruction", pictures.reconstructed_curves(parts),
                                     "Input and output, the first channel.")]
    return blocks + rows_shown(run, at[worst], f"The worst {about}")


def squared_errors(run: RunData, x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Return the error [m] of reconstructions of rows [m, d], whose masks are taken over from the rows."""
    difference = np.asarray(run.model.fit_.scaling.apply(x) - run.model.fit_.scaling.apply(out))
    if isinstance(run.view, Curves) and run.view.steps:
        steps, channels = run.view.steps, run.view.channels
        out[:, steps * channels:] = x[:, steps * channels:]  # the mask is not reconstructed
        difference[:, steps * channels:] = 0
        difference[:, :steps * channels] *= np.repeat(x[:, steps * channels:], channels, axis=1)
    return (difference**2).mean(axis=1)


def compression(run: RunData, at: np.ndarray, x: np.ndarray, error: np.ndarray) -> Block:
    """Compare the bits of a row, of its code and of its cluster, and the errors of decoding each."""
    clusters = run.clusters[at]
    decoded = run.model.inverse_transform(np.nan_to_num(run.centres))
    inside = clusters >= 0
    coarse = float(squared_errors(run, x[inside], decoded[clusters[inside]]).mean()) if inside.any() else None
    raw, code = 8 * run.prepared.x.dtype.itemsize * x.shape[1], 32 * run.codes.shape[1]
    rows = [["the row", f"{x.shape[1]:,} {run.prepared.x.dtype} numbers", raw, 0.0],
            ["its code", f"{run.codes.shape[1]:,} float32 numbers", code, float(error.mean())],
            ["its cluster alone", f"one of {run.k}", math.log2(run.k), coarse]]
    return table(["kept is", "as", "bits a row", "times smaller", "squared error"],
                 [[*row[:2], f"{row[2]:,.4g}" if row[2] < 100 else f"{row[2]:,}", f"{raw / row[2]:,.1f}", row[3]]
                  for row in rows],
                 "Compression: what is left of a row when it is decoded from its code, or from the mean code of its "
                 "cluster" + (" (noise left out)." if not inside.all() else ".")
                 + f" All mean codes together take {run.k * code:,} bits, the decoder not counted.")
