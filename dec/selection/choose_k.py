"""How many clusters: five criteria over a range of k in one sweep, and the median of what they say.

Each criterion fails in its own way (Schubert: Stop Using the Elbow Criterion for k-means. SIGKDD Explorations 25(1),
2023), so that none decides alone. On the host, with scikit-learn.

References:
  elbow: Satopää et al.: Finding a "Kneedle" in a Haystack. ICDCS Workshops 2011; here of the logarithm of the inertia,
    since the inertia's own knee is drawn to the first, largest falls.
  silhouette: Rousseeuw, Journal of Computational and Applied Mathematics 20, 1987.
  gap: Tibshirani, Walther, Hastie: Estimating the number of clusters in a data set via the gap statistic. Journal of
    the Royal Statistical Society B 63(2), 2001; reference (b), uniform in the box of the principal components.
  bic: Schwarz, Annals of Statistics 6(2), 1978; of a Gaussian mixture with full covariances.
  stability: Lange et al.: Stability-based validation of clustering solutions. Neural Computation 16(6), 2004.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from dec.data.dataset import sample_rows
from dec.errors import UserError
from dec.selection.agreement import agreement

ROWS = 5000  # of more, a uniform sample is looked at
COMPONENTS, MIXED = 50, 10  # so many leading principal components at most; so many for the mixture
REFERENCES = 10  # uniform data sets of the gap statistic
STARTS = 5  # of k-means


class Choice(NamedTuple):
    """A recommended number of clusters."""

    table: pd.DataFrame  # a row per k; NaN where a criterion is undefined
    k: int
    reason: str


def choose_k(x: np.ndarray, ks: Iterable[int] = range(1, 30), seeds: int = 5, random_state: int = 0) -> Choice:
    """Return the number of clusters of rows: the median of five criteria's votes, the lower one of two in the middle.

    - elbow: the k whose log inertia is farthest below the chord from the first k to the last;
    - silhouette: the k with the largest;
    - gap: the first k whose gap is at least that of the next k less its standard error;
    - bic: the k with the smallest;
    - stability: the largest k within one standard error of the best mean ARI between `seeds` k-means clusterings of all
      rows, each fitted on another random half of them.

    The gap and the BIC have no vote where they still improve at the end of the range. They alone are defined for one
    cluster, so that 1 is recommended where both say 1. Looked at are at most 5,000 rows, a uniform sample, and 50
    principal components, 10 for the mixture: 29 values of k for 70,000 x 10 codes take half a minute on one CPU core.

    Args:
      x: [n, d] codes or other rows; or [s, n, d], codes of the same rows by s networks: the first are looked at, and
        for the stability the fits take turns over all, so that a k counts as stable if networks agree on it.
      ks: the range; values above half the rows, or not below the number of different rows, are left out.
      seeds: fits for the stability, at least 2.
      random_state: of the sample and of every start.

    Raises:
      ValueError: fewer than three values of k are left, or x or seeds cannot be worked with.

    References: see the module.
    """
    from sklearn.utils import check_array
    from threadpoolctl import threadpool_limits

    x = check_array(x, dtype=np.float64, allow_nd=True, input_name="x", ensure_min_samples=1)
    if seeds < 2 or x.ndim not in (2, 3):
        raise UserError(f"seeds={seeds} must be at least 2, and x of shape {x.shape} be [n, d] or [networks, n, d]")
    codes = x if x.ndim == 3 else x[None]
    n = codes.shape[1]
    rows = sample_rows(n, min(n, ROWS), random_state)
    most = min(len(rows) // 2, len(np.unique(codes[0, rows], axis=0)) - 1)
    ks = sorted(set(ks))
    tried = [k for k in ks if 1 <= k <= most]
    if len(tried) < 3:
        raise UserError(f"ks={ks} leaves {len(tried)} values of k from 1 to {most}, the most that {n} rows allow; "
                        "give at least 3, or more rows")
    spaces = [principal(one[rows], random_state) for one in codes[:seeds]]
    with warnings.catch_warnings(), threadpool_limits(1):  # many small fits: threads would wait for each other
        warnings.simplefilter("ignore")  # mixtures and k-means of a wrong k that do not converge
        table = criteria(spaces, tried, seeds, random_state)
    votes = {name: k for name, k in vote(table).items() if k}
    one = votes.get("gap") == votes.get("bic") == 1
    k = 1 if one else sorted(votes.values())[(len(votes) - 1) // 2]
    silent = [name for name in ("gap", "bic") if name not in votes]
    reason = (f"{k} is {'what gap and bic say' if one else 'the median'} of "
              + ", ".join(f"{name} {said}" for name, said in votes.items())
              + (f" ({' and '.join(silent)}: still better at the end of the range)" if silent else "")
              + f"; k from {tried[0]} to {tried[-1]} on {len(rows)} rows" + (f" of {n}" if n > ROWS else ""))
    return Choice(table, k, reason)


def principal(x: Float[np.ndarray, "n d"], random_state: int) -> Float[np.ndarray, "n p"]:
    """Return the rows in their leading principal components; those of no variance are left out."""
    from sklearn.decomposition import PCA

    pca = PCA(min(COMPONENTS, *x.shape), random_state=random_state).fit(x)
    return pca.transform(x)[:, pca.explained_variance_ > 1e-10 * pca.explained_variance_[0]]


def criteria(codes: list[Float[np.ndarray, "n d"]], ks: list[int], seeds: int, random_state: int) -> pd.DataFrame:
    """Return every criterion for every k of `ks`, from k-means and a Gaussian mixture of the first codes."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import pairwise_distances, silhouette_score
    from sklearn.mixture import GaussianMixture

    x, random = codes[0], np.random.default_rng(random_state)
    distances = pairwise_distances(x.astype(np.float32))
    uniform = [random.uniform(x.min(axis=0), x.max(axis=0), x.shape) for _ in range(REFERENCES)]
    halves = [random.permutation(len(x))[: len(x) // 2] for _ in range(seeds)]
    mixed = x[:, :MIXED] / x[:, :MIXED].std()

    def means(k: int, x: np.ndarray, starts: int = 1, seed: int = random_state) -> KMeans:
        return KMeans(k, n_init=starts, random_state=seed).fit(x)

    def measure(k: int) -> dict[str, float]:
        fit = means(k, x, STARTS)
        reference = np.log([means(k, u, STARTS).inertia_ for u in uniform])
        row = {
            "k": k,
            "inertia": fit.inertia_,
            "silhouette": np.nan,
            "gap": reference.mean() - np.log(fit.inertia_),
            "gap_error": reference.std() * np.sqrt(1 + 1 / REFERENCES),
            "bic": GaussianMixture(k, random_state=random_state).fit(mixed).bic(mixed),
            "stability": np.nan,
            "stability_error": np.nan,
        }
        if k > 1:
            parts = [means(k, codes[i % len(codes)][half], seed=random_state + i).predict(codes[i % len(codes)])
                     for i, half in enumerate(halves)]
            ari = agreement(np.array(parts))
            row |= {"silhouette": silhouette_score(distances, fit.labels_, metric="precomputed"),
                    "stability": ari.mean(), "stability_error": ari.std(ddof=1) / np.sqrt(seeds)}
        return row

    return pd.DataFrame([measure(k) for k in ks])


def vote(table: pd.DataFrame) -> dict[str, int | None]:
    """Return the recommendation of each criterion; None of one that still improves at the end of the range."""
    k, best = table["k"].to_numpy(), table["stability"].idxmax()
    gap, error = table["gap"].to_numpy(), table["gap_error"].to_numpy()
    enough = np.flatnonzero(gap[:-1] >= gap[1:] - error[1:])
    bic = int(table["bic"].argmin())
    stable = table["stability"] >= table["stability"][best] - table["stability_error"][best]
    found = {
        "elbow": k[knee(k, np.log(table["inertia"].to_numpy()))],
        "silhouette": k[table["silhouette"].argmax()],
        "gap": k[enough[0]] if len(enough) else None,
        "bic": k[bic] if bic < len(k) - 1 else None,
        "stability": k[stable].max(),
    }
    return {name: None if one is None else int(one) for name, one in found.items()}


def knee(k: np.ndarray, curve: np.ndarray) -> int:
    """Return the place where a falling curve is farthest below the chord between its ends."""
    chord = curve[0] + (curve[-1] - curve[0]) * (k - k[0]) / (k[-1] - k[0])
    return int(np.argmax(chord - curve))
