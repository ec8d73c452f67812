"""What the decoder makes of the codes: some rows at random and the worst ones."""

from __future__ import annotations

import numpy as np

from dec.report import pictures
from dec.report.cards import shown
from dec.report.material import Material, sampled
from dec.report.page import Block, Page, table

SAMPLE = 2000  # rows that are decoded
SHOWN = 8


def reconstruction(run: Material, page: Page) -> list[Block]:
    """Input, output and error of rows at random and of the worst, among a uniform sample of `SAMPLE` rows."""
    rng = np.random.default_rng(0)
    at = sampled(np.arange(len(run.rows)), SAMPLE)
    x, out = run.x(at).astype(np.float32), run.model.inverse_transform(run.codes[at])
    scaling = run.model.fit_.scaling
    difference = np.asarray(scaling.apply(x) - scaling.apply(out))
    if run.kind == "sequence" and run.prepared.features.masked_:
        steps, channels = run.prepared.features.shape_
        out[:, steps * channels:] = x[:, steps * channels:]  # the mask is not reconstructed
        difference[:, steps * channels:] = 0
        difference[:, :steps * channels] *= np.repeat(x[:, steps * channels:], channels, axis=1)
    error = (difference**2).mean(axis=1)
    worst, some = np.argsort(-error, kind="stable")[:SHOWN], rng.choice(len(at), min(SHOWN, len(at)), replace=False)
    about = f"of {len(at):,} rows" + (", drawn uniformly" if len(at) < len(run.rows) else "")
    errors = {"mean": error.mean(), "median": np.median(error), "worst": error.max()}
    blocks = [table(["squared error", "value"], [[name, f"{value:.4g}"] for name, value in errors.items()],
                    f"Averaged over the features of a row, in the scaled input, {about}.")]
    groups = {"at random": some, f"the worst {about}": worst}
    if run.kind == "image":
        given, made = run.images(x), run.images(out)
        gap = np.abs(given.astype(np.int16) - made).astype(np.uint8)
        parts = {title: (given[rows], made[rows], gap[rows]) for title, rows in groups.items()}
        return [*blocks, page.figure("reconstruction", pictures.reconstructed_images(parts),
                                     "Input, output and their absolute difference.")]
    if run.kind == "sequence":
        given, made = run.curves(x), run.curves(out)
        parts = {title: (given[rows[:4], :, 0], made[rows[:4], :, 0])
                 for title, rows in (("at random", some), ("worst", worst))}
        return [*blocks, page.figure("reconstruction", pictures.reconstructed_curves(parts),
                                     "Input and output, the first channel.")]
    return blocks + shown(run, at[worst], f"The worst {about}")
