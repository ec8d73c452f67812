import numpy as np
import pytest

from dec import metrics

# Two classes, three clusters: rows (3 1 0; 0 2 2).
Y = np.array([0, 0, 0, 0, 1, 1, 1, 1])
LABELS = np.array([0, 0, 0, 1, 1, 1, 2, 2])


def test_two_by_three_by_hand():
    """Cluster 0 is class 0 (3 rows), one of the clusters 1 and 2 is class 1 (2 rows), the other is left over."""
    assert metrics.accuracy(Y, LABELS) == 5 / 8
    assert metrics.purity(Y, LABELS) == 7 / 8
    match = metrics.matching(metrics.contingency(Y, LABELS))
    assert match[0] == 0 and sorted(match.values()) == [0, 1]


def test_fewer_clusters_than_classes():
    y = np.array(["a", "a", "b", "b", "c"])
    labels = np.array([4, 4, 7, 7, 7])
    assert metrics.matching(metrics.contingency(y, labels)) == {4: "a", 7: "b"}
    assert metrics.accuracy(y, labels) == metrics.purity(y, labels) == 4 / 5


def test_the_best_matching_is_not_the_greedy_one():
    """Counts (5 4; 4 0): greedy takes 5 + 0, the matching 4 + 4."""
    y, labels = np.repeat([0, 0, 1], [5, 4, 4]), np.repeat([0, 1, 0], [5, 4, 4])
    assert metrics.accuracy(y, labels) == 8 / 13


def test_confusion_has_the_matched_rows_on_the_diagonal():
    y, labels = np.array([0, 0, 1, 1, 2, 2, 2]), np.array([2, 2, 0, 0, 1, 1, 2])
    counts = metrics.confusion(y, labels)
    np.testing.assert_array_equal(counts, [[2, 0, 0], [0, 2, 0], [1, 0, 2]])
    assert counts.index.tolist() == [0, 1, 2] and counts.columns.tolist() == [2, 0, 1]
    counts = metrics.confusion(Y, LABELS)
    assert counts.shape == (2, 3) and counts.columns[0] == 0 and np.trace(counts) == 5


def test_external_is_perfect_up_to_names():
    got = metrics.external(Y, 9 - Y)
    assert list(got) == ["acc", "nmi", "ari", "ami", "purity", "homogeneity", "completeness"]
    assert all(value == pytest.approx(1) for value in got.values())


def test_external_is_invariant_to_the_clusters_names():
    rng = np.random.default_rng(0)
    y, labels = rng.integers(4, size=200), rng.integers(6, size=200)
    assert metrics.external(y, labels) == pytest.approx(metrics.external(y, rng.permutation(6)[labels]))


def test_noise_is_wrong_and_one_more_cluster():
    labels = np.array([0, 0, 0, -1, 1, 1, -1, -1])
    got, renamed = metrics.external(Y, labels), metrics.external(Y, np.where(labels < 0, 2, labels))
    assert got["acc"] == got["purity"] == 5 / 8
    assert renamed["purity"] == 7 / 8
    assert {name: got[name] for name in ("nmi", "ari", "ami")} == pytest.approx(
        {name: renamed[name] for name in ("nmi", "ari", "ami")})
    nothing = metrics.external(Y, np.full(8, -1))
    assert nothing["acc"] == nothing["purity"] == 0


@pytest.mark.parametrize("y, labels", [([0, 1], [0]), ([], []), ([[0]], [[0]])])
def test_unusable_input_is_named(y, labels):
    with pytest.raises(ValueError, match="one length"):
        metrics.external(np.array(y), np.array(labels))


def test_silhouette_by_hand():
    """1-D rows 0 1 | 10: s = 1 - 1/10, 1 - 1/9, and 0 for the cluster of one."""
    got = metrics.internal(np.array([[0.0], [1.0], [10.0]]), np.array([0, 0, 1]))
    assert got["silhouette"] == pytest.approx((0.9 + 8 / 9) / 3)
    assert got["silhouette_sample"] == 3


def test_internal_leaves_noise_out_and_is_none_where_undefined():
    x = np.array([[0.0], [1.0], [10.0], [500.0]])
    assert metrics.internal(x, np.array([0, 0, 1, -1])) == metrics.internal(x[:3], np.array([0, 0, 1]))
    for labels in ([0, 0, 0, 0], [-1, -1, -1, -1], [0, 1, 2, 3]):
        got = metrics.internal(x, np.array(labels))
        assert got["silhouette"] is got["davies_bouldin"] is got["calinski_harabasz"] is None


def test_the_silhouette_of_many_rows_is_of_a_fixed_sample(monkeypatch):
    monkeypatch.setattr(metrics, "SILHOUETTE_ROWS", 100)
    x = np.random.default_rng(0).normal(size=(300, 2))
    got = metrics.internal(x, (x[:, 0] > 0).astype(int))
    assert got["silhouette_sample"] == 100
    assert got == metrics.internal(x, (x[:, 0] > 0).astype(int))
