import numpy as np

from dec.selection.agreement import agreement


def test_by_hand():
    """Two equal partitions under other names and one with ARI -0.5 to both."""
    same, renamed, other = [0, 0, 1, 1], [5, 5, 2, 2], [0, 1, 0, 1]
    np.testing.assert_allclose(agreement(np.array([same, renamed, other])), [0.25, 0.25, -0.5])


def test_alone_it_is_undefined():
    assert np.isnan(agreement(np.array([[0, 1, 1]]))).all()
