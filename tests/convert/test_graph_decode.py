"""Keypoints decoded by the graph are the codec's."""

import numpy as np
import pytest
import tensorflow as tf

from flpn_tf.codec import DECODE_RULES, HeatmapCodec
from flpn_tf.convert.graph_decode import decode
from flpn_tf.convert.keypoint_signature import SIGNATURE
from flpn_tf.runtime.backends import open_backend
from flpn_tf.runtime.interpreter import plain_interpreter
from flpn_tf.spec import PoseSpec

HEIGHT, WIDTH = 20, 16
EXACT = 1e-3  # crop pixels: float32's rounding


def both(codec, maps, dtype=tf.float32):
    """(codec's, graph's) keypoints (K, 3) of (h, w, K) maps, both given the maps as `dtype` holds them."""
    maps = maps[np.newaxis].astype(dtype.as_numpy_dtype)
    found = decode(tf.constant(maps), codec).numpy()[0]
    return codec.decode(maps.astype(np.float32))[0], found.astype(np.float64)


def every_position(codec):
    """A gaussian of some height about every pixel of the map, borders included: (h, w, h·w)."""
    rng = np.random.default_rng(0)
    y, x = (axis.ravel() for axis in np.mgrid[:HEIGHT, :WIDTH])
    points = codec.stride * (np.stack([x, y], axis=1) + rng.uniform(-0.5, 0.5, (len(x), 2)))
    maps, _ = codec.encode(points, np.ones(len(points)))
    return maps * rng.uniform(0.1, 1.2, len(points))


def noisy(codec):
    maps = every_position(codec)
    return maps + np.random.default_rng(1).normal(0, 0.05, maps.shape)


def quantised(codec):
    """With many equal values, as int8 has them."""
    return np.round(every_position(codec) * 40) / 40


def ties(_):
    """Two or more highest pixels, also in one row, one column, and everywhere."""
    maps = np.zeros((HEIGHT, WIDTH, 5))
    maps[[5, 9], [7, 3], 0] = 0.8
    maps[4, [2, 11], 1] = 0.8
    maps[[3, 17], 6, 2] = 0.8
    maps[..., 3] = 0.25
    maps[[0, HEIGHT - 1], [WIDTH - 1, 0], 4] = 1.0
    return maps


def without_a_joint(_):
    """Nothing above 0, or next to nothing."""
    maps = np.random.default_rng(2).uniform(-1.0, 0.0, (HEIGHT, WIDTH, 3))
    maps[..., 1] = 0.0
    maps[..., 2] -= 0.5
    maps[8, 4, 2] = 1e-3
    return maps


@pytest.mark.parametrize("maps", [every_position, noisy, quantised, ties, without_a_joint])
@pytest.mark.parametrize("rule", DECODE_RULES)
def test_equals_the_codec(rule, maps):
    codec = HeatmapCodec(HEIGHT, WIDTH, decode_rule=rule)
    expected, found = both(codec, maps(codec))
    np.testing.assert_allclose(found[..., :2], expected[..., :2], rtol=0, atol=EXACT)
    np.testing.assert_array_equal(found[..., 2], expected[..., 2])


@pytest.mark.parametrize("sigma, stride", [(1.0, 4), (3.0, 2)])
def test_takes_sigma_and_stride_of_the_codec(sigma, stride):
    codec = HeatmapCodec(HEIGHT, WIDTH, stride, sigma)
    expected, found = both(codec, every_position(codec))
    np.testing.assert_allclose(found, expected, rtol=0, atol=EXACT)


@pytest.mark.parametrize("maps", [every_position, noisy, quantised, ties, without_a_joint])
@pytest.mark.parametrize("rule", ["argmax", "quarter"])
def test_float16_rounds_nothing_but_dark(rule, maps):
    codec = HeatmapCodec(HEIGHT, WIDTH, decode_rule=rule)
    expected, found = both(codec, maps(codec), tf.float16)
    np.testing.assert_array_equal(found, expected)


def test_float16_dark_stays_near():
    """In float16 arithmetic throughout: a step of the result is already 1/16 pixel from 64 on."""
    codec = HeatmapCodec(HEIGHT, WIDTH)
    expected, found = both(codec, every_position(codec), tf.float16)
    error = np.abs(found - expected)[..., :2]
    assert error.mean() < 0.02
    assert error.max() < 0.15


@pytest.mark.parametrize("scale", [1e-2, 1.0, 900.0])
def test_float16_neither_overflows_nor_vanishes(scale):
    codec = HeatmapCodec(HEIGHT, WIDTH)
    expected, found = both(codec, scale * every_position(codec), tf.float16)
    assert np.abs(found - expected)[..., :2].max() < 0.15


@pytest.mark.parametrize("to", ["float32", "float16", "int8"])
def test_signature_gives_what_the_heatmaps_decode_to(with_keypoints, crops, to):
    spec = PoseSpec.read_from_tflite(with_keypoints[to])
    interpreter = plain_interpreter(with_keypoints[to])
    first, second = (interpreter.get_signature_runner(key) for key in ("serving_default", SIGNATURE))
    for crop in crops[:4]:
        heatmaps = first(image=crop[np.newaxis])["heatmaps"].astype(np.float32)
        expected = spec.codec.decode((heatmaps - spec.output_zero_point) * np.float32(spec.output_scale))
        found = second(image=crop[np.newaxis])["keypoints"]
        # Random weights make flat maps: DARK divides the logarithms' rounding by little curvature.
        np.testing.assert_allclose(found, expected, rtol=0, atol=10 * EXACT)


@pytest.mark.parametrize("to", ["float16", "int8"])
def test_the_first_signature_stays_as_it_was(with_keypoints, artefacts, crops, to):
    first, second = (open_backend(path).predict(crops[:2]) for path in (artefacts[to], with_keypoints[to]))
    np.testing.assert_array_equal(first, second)


def test_weights_are_stored_once(with_keypoints, artefacts):
    added = with_keypoints["float16"].stat().st_size - artefacts["float16"].stat().st_size
    assert 0 < added < 60_000
