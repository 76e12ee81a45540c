import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from flpn_tf.codec import DECODE_RULES, HeatmapCodec, flip_heatmaps
from flpn_tf.errors import InputError
from flpn_tf.skeleton import COCO_17

HEIGHT, WIDTH = 64, 48
LIMITS = {"argmax": 0.5, "quarter": 0.26, "dark": 0.05}
fractions = st.floats(0, 1)


def decode_error(rule, point, height=HEIGHT, width=WIDTH):
    """Largest axis error in heatmap pixels of encode → decode for one point given in heatmap pixels."""
    codec = HeatmapCodec(height, width, decode_rule=rule)
    point = np.array([point])
    heatmaps, weights = codec.encode(point * codec.stride, [1])
    assert weights == 1
    return np.abs(codec.decode(heatmaps)[:, :2] / codec.stride - point).max()


@pytest.mark.parametrize("rule", DECODE_RULES)
@settings(deadline=None, max_examples=200)
@given(x=fractions, y=fractions)
@example(x=0.0, y=0.0)
@example(x=1.0, y=1.0)
@example(x=0.0, y=1.0)
@example(x=0.5 / (WIDTH - 1), y=1 - 0.49 / (HEIGHT - 1))
def test_sub_pixel_round_trip_border_included(rule, x, y):
    assert decode_error(rule, (x * (WIDTH - 1), y * (HEIGHT - 1))) <= LIMITS[rule] + 1e-9


@pytest.mark.parametrize("rule", ["quarter", "dark"])
def test_round_trip_along_the_whole_border(rule):
    steps = np.linspace(0, 1, 97)
    near = np.concatenate([np.linspace(0, 7, 57), WIDTH - 1 - np.linspace(0, 7, 57)])
    points = np.array([(x, y * (HEIGHT - 1)) for x in near for y in steps])
    codec = HeatmapCodec(HEIGHT, WIDTH, decode_rule=rule)
    heatmaps, _ = codec.encode(points * codec.stride, np.ones(len(points)))
    assert np.abs(codec.decode(heatmaps)[:, :2] / codec.stride - points).max() <= LIMITS[rule]


@settings(deadline=None, max_examples=60)
@given(st.integers(3, 40), st.integers(3, 40), fractions, fractions)
def test_dark_round_trip_on_maps_of_any_size(height, width, x, y):
    assert decode_error("dark", (x * (width - 1), y * (height - 1)), height, width) < LIMITS["dark"]


def test_dark_finds_points_up_to_a_pixel_outside_the_map():
    assert decode_error("dark", (-0.8, HEIGHT - 1 + 0.7)) < LIMITS["dark"]


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
def test_encode_is_a_windowed_gaussian_at_the_point(sigma):
    codec = HeatmapCodec(HEIGHT, WIDTH, sigma=sigma)
    heatmaps, weights = codec.encode([[80.0, 100.0], [81.3, 101.9]], [2, 1])
    assert heatmaps.shape == (HEIGHT, WIDTH, 2)
    assert heatmaps.dtype == weights.dtype == np.float32
    assert heatmaps[25, 20, 0] == 1
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for k, (cx, cy) in enumerate([(20, 25), (81.3 / 4, 101.9 / 4)]):
        expected = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2))
        window = (np.abs(x - cx) <= 3 * sigma) & (np.abs(y - cy) <= 3 * sigma)
        np.testing.assert_allclose(heatmaps[..., k], np.where(window, expected, 0), atol=1e-6)


def test_biased_encode_rounds_to_the_nearest_pixel():
    codec = HeatmapCodec(HEIGHT, WIDTH, unbiased=False)
    heatmaps, _ = codec.encode([[81.9, 98.0]], [1])
    assert heatmaps[25, 20, 0] == 1
    assert (heatmaps == 1).sum() == 1


def test_weights_are_zero_for_unlabelled_and_unreachable_joints():
    codec = HeatmapCodec(HEIGHT, WIDTH)
    reach = 6 * codec.stride
    points = [[50, 50], [50, 50], [-reach, 50], [-reach - 1, 50], [50, 63 * 4 + reach + 1], [np.nan, 3]]
    heatmaps, weights = codec.encode(points, [0, 1, 2, 2, 2, 1])
    np.testing.assert_array_equal(weights, [0, 1, 1, 0, 0, 0])
    assert (heatmaps.max(axis=(0, 1)) > 0).tolist() == weights.astype(bool).tolist()


def newton_reference(heatmap, sigma=2.0):
    """DARK for one map whose peak is far from the border, with SciPy's gaussian filter."""
    smooth = np.log(np.maximum(ndimage.gaussian_filter(heatmap, sigma, truncate=2.5), heatmap.max() * 1e-3))
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    near = smooth[y - 1 : y + 2, x - 1 : x + 2]
    gradient = np.array([near[1, 2] - near[1, 0], near[2, 1] - near[0, 1]]) / 2
    mixed = (near[2, 2] - near[2, 0] - near[0, 2] + near[0, 0]) / 4
    hessian = np.array(
        [
            [near[1, 2] - 2 * near[1, 1] + near[1, 0], mixed],
            [mixed, near[2, 1] - 2 * near[1, 1] + near[0, 1]],
        ]
    )
    return np.array([x, y]) - np.clip(np.linalg.solve(hessian, gradient), -1, 1)


def test_dark_equals_an_independent_newton_step_on_noisy_maps():
    rng = np.random.default_rng(0)
    codec = HeatmapCodec(HEIGHT, WIDTH)
    points = rng.uniform([9, 9], [WIDTH - 10, HEIGHT - 10], (40, 2))
    heatmaps, _ = codec.encode(points * 4, np.ones(40))
    heatmaps = 0.7 * heatmaps + rng.normal(0, 0.01, heatmaps.shape)
    found = codec.decode(heatmaps)[:, :2] / 4
    expected = [newton_reference(heatmaps[..., k]) for k in range(40)]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_dark_withstands_noise_near_the_border():
    """Without smoothing there the mean error is 0.20, with smoothing padded with zeros 0.28."""
    rng = np.random.default_rng(1)
    codec = HeatmapCodec(HEIGHT, WIDTH)
    count = 600
    points = rng.uniform(0, 1, (count, 2)) * [WIDTH - 1, HEIGHT - 1]
    points[: count // 2, 0] = rng.uniform(0, 4, count // 2)
    points[count // 2 :, 1] = HEIGHT - 1 - rng.uniform(0, 4, count - count // 2)
    heatmaps, _ = codec.encode(points * 4, np.ones(count))
    noisy = 0.6 * heatmaps + rng.normal(0, 0.02, heatmaps.shape)
    assert np.abs(codec.decode(noisy)[:, :2] / 4 - points).mean() < 0.12


def test_dark_survives_eight_bit_heatmaps():
    rng = np.random.default_rng(2)
    codec = HeatmapCodec(HEIGHT, WIDTH)
    points = rng.uniform(0, 1, (300, 2)) * [WIDTH - 1, HEIGHT - 1]
    heatmaps, _ = codec.encode(points * 4, np.ones(300))
    steps = np.rint(0.8 * heatmaps * 255) / 255
    assert np.abs(codec.decode(steps)[:, :2] / 4 - points).max() < LIMITS["dark"]


@pytest.mark.parametrize("rule", DECODE_RULES)
def test_a_batch_decodes_as_its_parts(rule):
    rng = np.random.default_rng(3)
    codec = HeatmapCodec(HEIGHT, WIDTH, decode_rule=rule)
    heatmaps = rng.random((2, 3, HEIGHT, WIDTH, 5)).astype(np.float32)
    together = codec.decode(heatmaps)
    assert together.shape == (2, 3, 5, 3)
    for i, j, k in np.ndindex(2, 3, 5):
        np.testing.assert_array_equal(codec.decode(heatmaps[i, j, ..., k : k + 1])[0], together[i, j, k])
    np.testing.assert_array_equal(together[..., 2], heatmaps.max(axis=(2, 3)))
    assert codec.decode(heatmaps[:0]).shape == (0, 3, 5, 3)


@pytest.mark.parametrize("rule", DECODE_RULES)
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, -np.inf])
def test_a_map_with_nothing_in_it_gives_score_zero(rule, value):
    found = HeatmapCodec(HEIGHT, WIDTH, decode_rule=rule).decode(np.full((HEIGHT, WIDTH, 2), value))
    assert np.isfinite(found).all()
    assert (found[:, 2] == 0).all()


@pytest.mark.parametrize("rule", DECODE_RULES)
def test_a_nan_pixel_does_not_hide_the_peak(rule):
    codec = HeatmapCodec(HEIGHT, WIDTH, decode_rule=rule)
    heatmaps, _ = codec.encode([[80, 100]], [1])
    for bad in (np.nan, np.inf, -np.inf):
        heatmaps[3, 4] = bad
        np.testing.assert_allclose(codec.decode(heatmaps), [[80, 100, 1]], atol=0.01)


@pytest.mark.parametrize("rule", DECODE_RULES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_peak_among_what_is_no_number(rule, value):
    heatmaps = np.full((HEIGHT, WIDTH, 1), value)
    heatmaps[25, 20] = 1
    found = HeatmapCodec(HEIGHT, WIDTH, decode_rule=rule).decode(heatmaps)
    np.testing.assert_array_equal(found, [[80, 100, 1]])


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32 - 1), st.sampled_from(DECODE_RULES))
def test_any_map_decodes_within_a_pixel_of_its_highest(seed, rule):
    rng = np.random.default_rng(seed)
    codec = HeatmapCodec(9, 7, decode_rule=rule)
    heatmap = rng.choice([0.0, 1e-30, 0.5, 1.0], (9, 7)) * rng.random((9, 7))
    x, y, _ = codec.decode(heatmap[..., None])[0]
    row, column = np.unravel_index(heatmap.astype(np.float32).argmax(), heatmap.shape)
    assert abs(x / 4 - column) <= 1
    assert abs(y / 4 - row) <= 1


def test_flip_heatmaps_brings_a_mirrored_crop_back():
    codec = HeatmapCodec(HEIGHT, WIDTH)
    rng = np.random.default_rng(4)
    crop_width = WIDTH * codec.stride
    points = rng.uniform([8, 8], [crop_width - 9, HEIGHT * codec.stride - 9], (len(COCO_17), 2))
    mirrored = points[COCO_17.flip_permutation] * [-1, 1] + [crop_width - 1, 0]
    heatmaps, _ = codec.encode(mirrored, np.ones(len(points)))
    found = codec.decode(flip_heatmaps(heatmaps, COCO_17))[:, :2]
    # A shift by whole pixels leaves a quarter of a heatmap pixel: 1 - (stride - 1) / stride.
    np.testing.assert_allclose(found - points, np.tile([1.0, 0.0], (len(points), 1)), atol=0.05)


def test_flip_heatmaps_moves_one_column_right_and_keeps_the_first():
    heatmaps = np.random.default_rng(5).random((2, 4, 6, len(COCO_17)))
    flipped = flip_heatmaps(heatmaps, COCO_17)
    mirrored = heatmaps[:, :, ::-1][..., COCO_17.flip_permutation]
    np.testing.assert_array_equal(flipped[:, :, 1:], mirrored[:, :, :-1])
    np.testing.assert_array_equal(flipped[:, :, 0], mirrored[:, :, 0])


@pytest.mark.parametrize(
    "arguments",
    [{"height": 2}, {"width": 0}, {"sigma": 0}, {"stride": -1}, {"decode_rule": "best"}],
)
def test_impossible_codecs_are_refused(arguments):
    with pytest.raises(InputError, match="Received: "):
        HeatmapCodec(**{"height": HEIGHT, "width": WIDTH} | arguments)


@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (WIDTH, HEIGHT, 17), (1, 32, 24, 17)])
def test_heatmaps_of_another_size_are_refused(shape):
    with pytest.raises(InputError, match="Received: shape"):
        HeatmapCodec(HEIGHT, WIDTH).decode(np.zeros(shape))
