"""SSIM between maps beside scikit-image, TensorFlow and a loop in numpy."""

import numpy as np
import pytest
import tensorflow as tf
from skimage.metrics import structural_similarity

from flpn_tf.redundancy.ssim import fitted_filter_size, scaled, ssim_sums


def some_maps(height, width, channels, images=1, seed=0):
    """Noise, smooth maps and near copies, so that similarities lie all over −1 to 1."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(images, height, width, channels))
    y, x = np.mgrid[:height, :width]
    for channel in range(1, channels, 3):
        maps[..., channel] = np.sin(x / rng.uniform(1, 9) + y / rng.uniform(1, 9))
    for channel in range(2, channels, 3):
        maps[..., channel] = rng.choice([-1, 1]) * maps[..., channel - 1] + 0.3 * maps[..., channel]
    return scaled(maps)[0]


def pairwise(maps, similarity):
    """(C, C) of the first image, by a function of two maps (H, W)."""
    image = maps[0].astype(np.float64)
    channels = image.shape[-1]
    values = [[similarity(image[..., i], image[..., j]) for j in range(channels)] for i in range(channels)]
    return np.maximum(values, 0)


def by_loops(one, other, size):
    weights = np.exp(-((np.arange(size) - (size - 1) / 2) ** 2) / (2 * 1.5**2))
    weights = np.outer(weights, weights)
    weights /= weights.sum()
    values = []
    for top in range(one.shape[0] - size + 1):
        for left in range(one.shape[1] - size + 1):
            a, b = (m[top : top + size, left : left + size] for m in (one, other))
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            variance_a, variance_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
            values.append(
                (2 * mean_a * mean_b + 1e-4)
                * (2 * covariance + 9e-4)
                / ((mean_a**2 + mean_b**2 + 1e-4) * (variance_a + variance_b + 9e-4))
            )
    return np.mean(values)


def test_beside_scikit_image():
    maps = some_maps(40, 33, 9)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    reference = pairwise(maps, lambda a, b: structural_similarity(a, b, **options))
    assert (reference > 0.1).sum() > 9  # not only each map and itself
    assert (reference == 0).any()
    np.testing.assert_allclose(ssim_sums(maps), reference, atol=1e-4)


@pytest.mark.parametrize(("height", "width", "size"), [(40, 33, 11), (8, 6, 5), (4, 3, 3), (12, 16, 4)])
def test_beside_tensorflow(height, width, size):
    maps = some_maps(height, width, 7)

    def similarity(a, b):
        a, b = (tf.constant(m[..., np.newaxis], tf.float32) for m in (a, b))
        return float(tf.image.ssim(a, b, 1.0, filter_size=size))

    np.testing.assert_allclose(ssim_sums(maps, None, size), pairwise(maps, similarity), atol=1e-5)


@pytest.mark.parametrize(("height", "width", "size"), [(8, 6, 5), (3, 3, 3), (5, 20, 5), (13, 12, 11)])
def test_smaller_windows_beside_loops(height, width, size):
    assert fitted_filter_size(height, width) == size
    maps = some_maps(height, width, 6)
    reference = pairwise(maps, lambda a, b: by_loops(a, b, size))
    np.testing.assert_allclose(ssim_sums(maps), reference, atol=1e-5)


def test_a_map_and_itself_or_its_mirror_image_in_value():
    maps = some_maps(20, 16, 3)
    maps = np.concatenate([maps, maps, 1 - maps], axis=-1)
    found = ssim_sums(maps)
    np.testing.assert_allclose(np.diag(found[:3, 3:6]), 1, atol=1e-5)
    # The local contrasts are opposite, which SSIM counts below 0.
    np.testing.assert_array_equal(np.diag(found[:3, 6:]), 0)


def test_neither_order_nor_batches_matter():
    maps = some_maps(24, 18, 10, images=5)
    whole = ssim_sums(maps)
    order = np.random.default_rng(1).permutation(10)
    np.testing.assert_allclose(ssim_sums(maps[..., order]), whole[order][:, order], atol=1e-5)
    np.testing.assert_allclose(ssim_sums(maps[:2]) + ssim_sums(maps[2:]), whole, atol=1e-5)
    np.testing.assert_allclose(ssim_sums(maps, np.array([7, 2])), whole[[7, 2]], atol=1e-5)


def test_scaling_is_of_each_map_of_each_image():
    maps = np.random.default_rng(0).normal(size=(2, 9, 7, 3)) * [1e-3, 1, 1e6] + [-5, 0, 1e5]
    found, constant = scaled(maps)
    assert not constant.any()
    np.testing.assert_array_equal(found.min((1, 2)), 0)
    np.testing.assert_array_equal(found.max((1, 2)), 1)
    np.testing.assert_allclose(ssim_sums(found), ssim_sums(scaled(3 * maps + 2)[0]), atol=1e-3)


def test_constant_maps_are_like_each_other():
    maps = np.random.default_rng(0).normal(size=(1, 12, 12, 4))
    maps[..., 1], maps[..., 2] = 1e-3, -7
    maps[0, 0, 0, 2] += 1e-7  # the last digit of a sum in float32
    found, constant = scaled(maps)
    np.testing.assert_array_equal(constant, [[False, True, True, False]])
    similarity = ssim_sums(found)
    assert similarity[1, 2] == pytest.approx(1, abs=1e-6)
    assert similarity[0, 1] < 0.3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_values_that_are_not_finite(value):
    """The last is finite, its distance to the others is not."""
    maps = np.full((2, 8, 8, 3), -3e38, np.float32)
    maps[1, 4, 4, 2] = value
    with pytest.raises(ValueError, match="Received: NaN or infinity"):
        scaled(maps)


def test_one_map_has_nothing_to_be_like():
    with pytest.raises(ValueError, match="2 maps or more. Received: 1"):
        ssim_sums(np.zeros((1, 8, 8, 1), np.float32))


@pytest.mark.parametrize("size", [(2, 9), (9, 1)])
def test_maps_without_room_for_a_window(size):
    with pytest.raises(ValueError, match=f"Received: {size[0]}x{size[1]}"):
        fitted_filter_size(*size)
