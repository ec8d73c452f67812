"""What sets clusters apart, by hand; statistics over seeds; the ways to the plane."""

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csr_array

from dec.report.clusters import (
    Measured,
    describe,
    distinctive,
    effects,
    measured_columns,
    measured_curves,
    measured_images,
    members,
    neighbour,
    phrases,
    top,
)
from dec.report.maps import MOST, project
from dec.runs.results import holm, interval, mean_sd, paired


def measured(**columns):
    """`brand__Nokia` is the category Nokia of the column brand."""
    values = np.stack(list(columns.values()), axis=1).astype(np.float32)
    binary = np.array(["__" in name for name in columns])
    return Measured([n.replace("__", " = ") for n in columns], [n.partition("__")[0] for n in columns], binary, values)


def test_effect_sizes_by_hand():
    given = measured(price=[1, 2, 3, 7, 8, 9], brand__Nokia=[1, 1, 0, 0, 0, 0])
    found = effects(given, np.array([0, 0, 0, 1, 1, 1]), 2)
    assert found.size[0, 0] == pytest.approx(-6)  # (2 - 8) / 1
    assert found.size[0, 1] == pytest.approx(2 * np.arcsin(np.sqrt(2 / 3)))
    np.testing.assert_allclose(found.size[1], -found.size[0])
    np.testing.assert_allclose(found.inside, [[2, 2 / 3], [8, 0]], atol=1e-6)
    np.testing.assert_allclose(found.rest, found.inside[::-1])
    np.testing.assert_allclose(found.scaled[:, 0], np.array([-3, 3]) / np.sqrt(29 / 3), rtol=1e-6)


def test_effects_leave_missing_values_out_and_keep_their_digits():
    x = np.array([1, 2, 3, np.nan, 7, 8, 9]) + 1e6
    found = effects(measured(x=x, constant=np.ones(7), nothing=np.full(7, np.nan)), np.array([0] * 4 + [1] * 3), 3)
    assert found.size[0, 0] == pytest.approx(-6, rel=1e-3)
    assert effects(measured(x=[1.0, 1, 2]), np.array([0, 0, 1]), 2).size[:, 0].tolist() == [-100, 100]
    assert (found.size[:, 1:] == 0).all() and (found.size[2] == 0).all()  # the last cluster is empty


def test_noise_is_of_the_rest():
    found = effects(measured(x=[0.0, 2, 10, 12]), np.array([0, 0, -1, -1]), 1)
    assert (found.inside[0, 0], found.rest[0, 0]) == (1, 11)


def test_the_largest_effects_one_of_a_column():
    columns = ["price", "brand", "brand", "rating"]
    assert top(np.array([0.9, 0.6, -2.0, 0.3]), columns, most=3) == [2, 0]
    assert top(np.array([0.9, 0.6, -2.0, 0.3]), columns, most=1) == [2]


def test_phrases():
    own = np.array([0] * 4 + [1] * 4)
    given = measured(price=[400, 410, 420, 5000, 90, 100, 110, 120], brand__Nokia=[1, 1, 1, 0, 0, 0, 0, 0])
    lines = phrases(given, effects(given, own, 2), own, 1)
    assert lines == ["brand = Nokia in 0% (elsewhere 75%)",
                     "price lower (105 in the median, elsewhere 415)"]
    days = Measured(["bought"], ["bought"], np.array([False]), np.array([[0], [0], [365], [364]], np.float32),
                    frozenset({"bought"}))
    own = np.array([0, 0, 1, 1])
    assert phrases(days, effects(days, own, 2), own, 1) == [
        "bought much higher (1970-12-31 in the median, elsewhere 1970-01-01)"]


def test_a_phrase_does_not_contradict_its_numbers():
    """The cluster's mean is lower though its median is higher: the means are told."""
    own = np.array([0] * 5 + [1] * 5)
    given = measured(step=[0, 0, 108, 108, 108, 105, 105, 105, 105, 105])
    assert phrases(given, effects(given, own, 2), own, 0) == ["step lower (64.8 on average, elsewhere 105)"]


def test_description():
    assert describe(3, 50, 200, ["price higher"], [("cat", 0.9)]) == (
        "Cluster 3 has 50 of 200 rows (25.0%), of which 90% are cat. Set apart by: price higher.")
    assert "No measure sets it clearly apart" in describe(0, 1, 2, [], [])
    assert describe(0, 1, 2, None, []) == "Cluster 0 has 1 of 2 rows (50.0%)."  # nothing could be measured


def test_words_by_contrast():
    rows = csr_array([[0.8, 0.5, 0, 0.3], [0.6, 0.5, 0, 0], [0, 0.5, 0.9, 0]])
    assert [found.tolist() for found in distinctive(rows, np.array([0, 0, 1]), 3)] == [[0, 3], [2], []]


def test_members_and_neighbours():
    codes = np.array([[0.0], [1], [5], [10], [11], [30]])
    clusters = np.array([0, 0, 0, 1, 1, 2])
    centres = np.array([[2], [10.5], [30], [np.nan]])
    ordered = members(codes, clusters, np.array([0.9, 0.5, 0.7, 1, 0.2, 1]), centres)
    assert len(ordered) == 4 and len(ordered[3].nearest) == 0
    assert list(ordered[0].nearest) == [1, 0, 2]
    assert list(ordered[0].doubtful) == [1, 2, 0]
    assert [neighbour(centres, j) for j in range(3)] == [1, 0, 1]
    ordered = members(np.empty((3, 0)), np.array([0, 0, -1]), np.array([0.2, 0.9, 0.5]), np.empty((1, 0)))
    assert list(ordered[0].nearest) == [1, 0] and neighbour(np.empty((1, 0)), 0) is None


def test_what_is_measured_of_columns():
    brand = np.array(["Nokia", "Sony", "Nokia", np.nan, "Sony", "once"], object)
    found = measured_columns({"price": np.array([1.0, 2, 3, np.nan, 5, 6]), "brand": brand,
                              "new": np.array([0.0, 1, 1, 0, 0, 0])}, frozenset({"price"}))
    assert found.names == ["price", "brand = Nokia", "brand = Sony", "new"]
    assert found.columns == ["price", "brand", "brand", "new"] and found.binary.tolist() == [False, True, True, True]
    np.testing.assert_array_equal(found.values[:, 1:], [[1, 0, 0], [0, 1, 1], [1, 0, 1], [np.nan, np.nan, 0],
                                                        [0, 1, 0], [0, 0, 0]])
    assert measured_columns({"id": np.array(["a", "b"], object)}, frozenset()) is None  # each category once


def test_what_is_measured_of_images_and_curves():
    images = np.zeros((2, 5, 7), np.uint8)
    images[0, 1:4, 3], images[1, 2, 1:6] = 255, 255  # a standing and a lying stroke
    found = dict(zip((m := measured_images(images)).names, m.values.T))
    assert found["width"][0] == 0 < found["width"][1] and found["height"][1] == 0 < found["height"][0]
    np.testing.assert_allclose(found["brightness"], [3 / 35, 5 / 35], rtol=1e-6)
    np.testing.assert_allclose(found["position from the left"], [3, 3])
    dark = dict(zip((m := measured_images(255 - images)).names, m.values.T))
    np.testing.assert_allclose(dark["width"], found["width"])
    curves = np.array([[[1.0], [3], [2]], [[4.0], [0], [np.nan]]])
    found = dict(zip((m := measured_curves(curves)).names, m.values.T))
    np.testing.assert_allclose(found["level of channel 0"], [2, 2])
    np.testing.assert_allclose(found["variation of channel 0"], [np.sqrt(2 / 3), 2])
    assert list(found["peak step of channel 0"]) == [1, 0] and list(found["length"]) == [3, 2]


def test_the_interval_of_a_mean():
    np.testing.assert_allclose(interval([1.0, 2.0, 3.0]), 2 + np.array([-1, 1]) * 4.30265 / np.sqrt(3), rtol=1e-5)
    assert interval([1.0, 2.0]) == interval([]) == (None, None) and mean_sd([1.0, 2.0, 3.0]) == (2, 1)


def test_paired_tests_by_their_number():
    first, second = {0: 0.9, 1: 0.8, 2: 0.95, 9: 0.1}, {0: 0.7, 1: 0.75, 2: 0.7, 8: 0.9}
    found = paired(first, second)
    assert (found.n, found.test) == (3, "paired t") and found.difference == pytest.approx(0.5 / 3)
    assert found.p == pytest.approx(stats.ttest_rel([0.9, 0.8, 0.95], [0.7, 0.75, 0.7]).pvalue)
    six = paired({i: 1 + i / 10 for i in range(6)}, {i: 1 - i / 7 - 0.1 for i in range(6)})
    assert (six.test, six.p) == ("Wilcoxon", pytest.approx(2 / 2**6))
    assert np.isnan(paired({0: 1.0}, {0: 0.5}).p) and paired({0: 1.0}, {1: 0.5}).n == 0
    assert np.isnan(paired({0: 1.0, 1: 2.0}, {0: 0.5, 1: 1.5}).p)  # no spread


def test_holm():
    np.testing.assert_allclose(holm([0.04, 0.01, np.nan, 0.03]), [0.06, 0.03, np.nan, 0.06])
    np.testing.assert_allclose(holm([0.9, 0.6]), [1, 1])


def test_ways_to_the_plane(monkeypatch):
    rng = np.random.default_rng(0)
    line = rng.normal(size=(40, 1)) * [[3.0, 4.0, 0]] + rng.normal(size=(40, 3)) * 1e-3
    at, points, about, axes = project(line, "pca")
    assert len(at) == 40 and points.shape == (40, 2) and "100%" in about and axes == "PCA"
    assert abs(np.corrcoef(points[:, 0], line[:, 0])[0, 1]) > 0.999
    assert project(line[:, :1], "pca")[1].shape == (40, 2) and project(line, "pca", 3)[1].shape == (40, 3)
    monkeypatch.setitem(MOST, "tsne", 30)
    at, points, about, axes = project(line, "tsne")
    assert points.shape == (30, 2) and len(set(at)) == 30 and "perplexity 10" in about and axes == "t-SNE"


@pytest.mark.filterwarnings("error")
def test_codes_that_are_too_few_or_all_alike_for_neighbours_have_another_map():
    """t-SNE of equal rows would end the process."""
    for codes in (np.ones((30, 3)), np.eye(4)):
        _, points, about, axes = project(codes, "tsne")
        assert np.isfinite(points).all() and "principal components" in about and axes == "PCA"
