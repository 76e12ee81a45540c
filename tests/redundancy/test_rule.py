"""From similarity to a ratio."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flpn_tf.errors import InputError
from flpn_tf.redundancy.rule import Rule, alike, intrinsic_share


def groups(sizes):
    """The similarity of groups of maps that are the same."""
    names = np.repeat(np.arange(len(sizes)), sizes)
    return (names[:, np.newaxis] == names).astype(float)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=12), st.randoms())
def test_groups_of_the_same_maps_count_once_each(sizes, random):
    similarity = groups(sizes)
    order = list(range(len(similarity)))
    random.shuffle(order)
    similarity = similarity[order][:, order]
    counts = alike(similarity, np.arange(len(order)), 0.8)
    assert intrinsic_share(counts) * sum(sizes) == pytest.approx(len(sizes))


@pytest.mark.parametrize(
    ("sizes", "ratio"),
    [([64], 16), ([1] * 64, 2), ([16] * 4, 16), ([8] * 8, 8), ([4] * 16, 4), ([3] * 30, 2), ([2] * 50, 2)]
    + [([15] * 4, 8), ([7] * 9, 4), ([1] * 63 + [64], 2), ([1] * 15 + [49], 4)],
)
def test_the_ratio_leaves_as_many_intrinsic_maps_as_there_are_distinct_ones(sizes, ratio):
    share = intrinsic_share(alike(groups(sizes), np.arange(sum(sizes)), 0.8))
    assert Rule().ratio(share) == ratio
    assert Rule().fits(share) == (share <= 1 / ratio + 1e-9)
    assert Rule().fits(share) or ratio == 2


def test_a_sample_of_maps_estimates_the_share():
    similarity = groups([4] * 100)
    rows = np.random.default_rng(0).choice(400, 40, replace=False)
    assert intrinsic_share(alike(similarity[rows], rows, 0.8)) == pytest.approx(0.25)


@pytest.mark.parametrize(("threshold", "count"), [(0.7, 1), (0.7 + 1e-5, 0)])
def test_maps_are_alike_from_the_threshold_on(threshold, count):
    similarity = np.array([[1, 0.7], [0.7, 1]])
    np.testing.assert_array_equal(alike(similarity, np.arange(2), threshold), [count, count])


def test_the_similarity_is_left_as_it_was():
    similarity = groups([2, 2])
    alike(similarity, np.arange(4), 0.8)
    np.testing.assert_array_equal(similarity, groups([2, 2]))


@pytest.mark.parametrize(
    "arguments",
    [{"threshold": 0}, {"threshold": 1.1}, {"ratios": ()}, {"ratios": (4, 2)}, {"ratios": (0, 2)}],
)
def test_a_bad_rule(arguments):
    with pytest.raises(InputError, match="Received: "):
        Rule(**arguments)
