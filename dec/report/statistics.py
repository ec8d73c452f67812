"""Statistics over seeds: mean, spread and interval, paired tests, and their correction."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SIGNED_RANK = 6  # with fewer pairs, Wilcoxon's test cannot give p < 0.05


class Summary(NamedTuple):
    """Scores of one thing over seeds."""

    n: int
    mean: float
    sd: float  # of the sample; NaN for one value
    low: float  # of the 95 % interval of the mean, by Student's t; NaN for two values, of which it says next to nothing
    high: float


def summary(values: list[float]) -> Summary:
    """Mean, standard deviation and interval; NaN where there are too few values."""
    from scipy import stats

    n = len(values)
    mean = float(np.mean(values)) if n else np.nan
    if n < 2:
        return Summary(n, mean, np.nan, np.nan, np.nan)
    sd = float(np.std(values, ddof=1))
    half = float(stats.t.ppf(0.975, n - 1)) * sd / np.sqrt(n) if n > 2 else np.nan
    return Summary(n, mean, sd, mean - half, mean + half)


class Paired(NamedTuple):
    """One method against another on the same seeds."""

    n: int  # seeds that did not fail for either
    difference: float  # the mean of first - second
    sd: float
    test: str
    p: float  # NaN where nothing can be tested


def paired(first: dict[int, float], second: dict[int, float]) -> Paired:
    """Compare scores by seed: Wilcoxon's signed-rank test from six pairs on, the paired t-test below.

    Args:
      first, second: {seed: score}; seeds that only one of them has are left out.

    References: Demšar 2006, Statistical Comparisons of Classifiers over Multiple Data Sets, section 3.1.
    """
    from scipy import stats

    seeds = [seed for seed in first if seed in second]
    differences = np.array([first[seed] - second[seed] for seed in seeds])
    n, test = len(differences), "Wilcoxon" if len(differences) >= SIGNED_RANK else "paired t"
    if n < 2:
        return Paired(n, float(differences.mean()) if n else np.nan, np.nan, "none", np.nan)
    mean, sd = float(differences.mean()), float(differences.std(ddof=1))
    if np.allclose(differences, differences[0]):  # equal differences have no spread to judge their mean by
        return Paired(n, mean, sd, "none", np.nan)
    p = stats.wilcoxon(differences).pvalue if test == "Wilcoxon" else stats.ttest_1samp(differences, 0).pvalue
    return Paired(n, mean, sd, test, float(p))


def holm(p: np.ndarray) -> np.ndarray:
    """p values [t] corrected for t tests; NaN is no test and stays.

        p'_(i) = max over j <= i of min(1, (t - j + 1) p_(j))

    References: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    p = np.asarray(p, float)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    corrected = p.copy()
    corrected[order] = np.maximum.accumulate(np.minimum(1, (len(order) - np.arange(len(order))) * p[order]))
    return corrected
