"""Codes in the plane or in space, for people to look at."""

from __future__ import annotations

import numpy as np

from dec.report.material import sampled

MOST = {"pca": 20_000, "tsne": 5_000, "umap": 10_000}  # rows; of more, a uniform sample is shown


def project(codes: np.ndarray, how: str, dimensions: int = 2) -> tuple[np.ndarray, np.ndarray, str]:
    """Codes [m, c] in a few dimensions.

    Args:
      how: pca, tsne or umap.
      dimensions: 2 or 3.

    Returns:
      the places [s] of the rows that are shown, their coordinates [s, dimensions], and what the map is.

    Raises:
      ValueError: umap where umap-learn is not installed.
    """
    at = sampled(np.arange(len(codes)), MOST[how])
    x = np.asarray(codes[at], np.float64)
    if how == "pca" or len(x) < 5:
        x = x - x.mean(axis=0)
        _, values, axes = np.linalg.svd(x, full_matrices=False)
        part = (values[:dimensions] ** 2).sum() / max((values**2).sum(), 1e-300)
        points = x @ axes[:dimensions].T
        points = np.pad(points, ((0, 0), (0, dimensions - points.shape[1])))
        return at, points, f"The first principal components of the codes, with {part:.0%} of their variance."
    if how == "tsne":
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

        perplexity = min(30, (len(x) - 1) / 3)
        start = "pca" if x.shape[1] >= dimensions else "random"
        with threadpool_limits(1):  # its threads wait for each other: on a busy machine two take four times as long
            points = TSNE(dimensions, perplexity=perplexity, init=start, random_state=0).fit_transform(x)
        return at, points, (f"t-SNE of the codes (perplexity {perplexity:.0f}): who is near whom counts, distances "
                            "between groups and their sizes do not.")
    try:
        from umap import UMAP
    except ImportError as error:
        raise ValueError("--map umap needs umap-learn: pip install 'dec[umap]'") from error
    points = UMAP(n_components=dimensions, random_state=0, n_jobs=1).fit_transform(x)
    return at, points, "UMAP of the codes: who is near whom counts, distances between groups and their sizes do not."
