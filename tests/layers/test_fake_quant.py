"""Fake quantisation rounds as int8 does, and is nowhere where it was not asked for."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import small_network
from helpers import difference, random_maps, randomise
from keras import ops

from flpn_tf.layers import FakeQuant
from flpn_tf.layers.fake_quant import MOMENTUM, fake_quantised, is_range, round_kernel
from flpn_tf.models import FLPN

SIZE = (64, 64)


def small():
    return randomise(small_network.SmallNetwork(SIZE, None, name="small"))


def pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 8, 8, 3)).astype("float32")
    return np.asarray(ops.image.resize(coarse, SIZE))


def test_kernel_is_on_the_grid_of_each_output_channel():
    kernel = random_maps(3, 3, 4, 8) * np.geomspace(1e-3, 10, 8, dtype="float32")
    kernel[..., 5] = 0  # a dead channel has no scale
    rounded = np.asarray(round_kernel(kernel))
    scale = np.abs(kernel).max(axis=(0, 1, 2)) / 127
    expected = np.rint(kernel / np.where(scale > 0, scale, 1)) * scale
    np.testing.assert_allclose(rounded, expected, atol=1e-6 * scale.max())
    np.testing.assert_allclose(np.abs(rounded).max(axis=(0, 1, 2)) / 127, scale, rtol=1e-6)


def test_kernel_passes_its_gradient():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("takes the gradient by TensorFlow")
    import tensorflow as tf

    kernel, factors = tf.constant(random_maps(3, 3, 2, 4)), random_maps(3, 3, 2, 4, seed=2)
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        loss = tf.reduce_sum(round_kernel(kernel) * factors)
    np.testing.assert_allclose(tape.gradient(loss, kernel), factors)


def expected_range(batches):
    """The moving average by hand, in float64."""
    low = high = 0.0
    for seen, batch in enumerate(batches):
        momentum = min(MOMENTUM, seen / (seen + 1))
        low = momentum * low + (1 - momentum) * min(0.0, float(batch.min()))
        high = momentum * high + (1 - momentum) * max(0.0, float(batch.max()))
    return low, high


@pytest.mark.parametrize("shift", [0.0, 5.0, -5.0])
def test_range_is_the_moving_average_and_holds_zero(shift):
    layer = FakeQuant()
    batches = [random_maps(4, 6, seed=seed) * (1 + seed % 7) + shift for seed in range(150)]
    for batch in batches:
        layer(batch, training=True)
    found = float(layer.low), float(layer.high)
    assert found == pytest.approx(expected_range(batches), rel=1e-4, abs=1e-5)
    assert found[0] <= 0 <= found[1]
    layer(batches[0] * 100)
    layer(batches[0] * 100, training=True, observe=False)
    assert (float(layer.low), float(layer.high)) == found


def test_values_are_of_256_levels_with_zero_among_them():
    layer = FakeQuant()
    maps = random_maps(64, 64)
    layer(maps, training=True)
    rounded = np.asarray(layer(np.append(maps.ravel(), 0).astype("float32")))
    levels = np.unique(rounded)
    step = (maps.max() - maps.min()) / 255
    assert 100 < len(levels) <= 256
    assert 0 in levels
    np.testing.assert_allclose(rounded[:-1], maps.ravel(), atol=0.51 * step)


def test_a_part_is_not_cut_by_the_range_so_far():
    layer = FakeQuant()
    part = random_maps(8, 8)
    assert difference(layer(part, training=True, observe=False), part) < 0.01 * np.abs(part).max()


def test_a_network_that_was_not_asked_holds_nothing_of_it():
    assert not any(is_range(weight) for weight in small().weights)
    with fake_quantised():
        assert not FLPN(width=0.25, image_size=(64, 64)).with_qat(False).qat
    assert not small().qat


def test_quantised_copy_has_the_weights_and_comes_near():
    network = small()
    copy = network.with_qat()
    assert copy.qat
    assert not copy.has_ranges
    for ours, theirs in zip(copy.plain_weights, network.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    pixels = pictures(16)
    for _ in range(3):
        copy(pixels, training=True)
    assert copy.has_ranges
    expected = np.asarray(network(pixels, training=False))
    error = np.linalg.norm(np.asarray(copy(pixels, training=False)) - expected) / np.linalg.norm(expected)
    assert 1e-4 < error < 0.15
    back = copy.with_qat(False)
    assert difference(back(pixels, training=False), expected) == 0


def test_training_keeps_the_statistics_of_the_batch_norms():
    copy = small().with_qat()
    before = [np.array(w) for w in copy.weights if w.name.startswith("moving_")]
    copy(pictures(4), training=True)
    for weight, value in zip((w for w in copy.weights if w.name.startswith("moving_")), before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_saved_network_has_its_ranges(tmp_path):
    copy = small().with_qat()
    pixels = pictures(4)
    copy(pixels, training=True)
    copy.save(tmp_path / "copy.keras")
    loaded = keras.models.load_model(tmp_path / "copy.keras")
    assert loaded.qat
    assert loaded.has_ranges
    assert difference(loaded(pixels, training=False), copy(pixels, training=False)) == 0


def test_both_parts_of_a_smart_module_have_one_range():
    """A concatenation in int8 has one scale; with two, the converter would add operations."""
    module = small().with_qat().get_layer("block").branch[0]
    assert sum(is_range(weight) for weight in module.weights) == 3  # low, high, seen
    module.output_range.high.assign(1e-3)
    maps = np.asarray(module(np.abs(random_maps(1, 16, 16, 16))))
    assert maps.max() == pytest.approx(1e-3)
    assert (maps[..., : maps.shape[-1] // 2].max(), maps[..., maps.shape[-1] // 2 :].max()) == (
        maps.max(),
        maps.max(),
    )


def test_devices_go_on_with_the_mean_of_their_ranges():
    """Each keeping its own, only the first one's would be saved."""
    pytest.importorskip("tensorflow")
    program = Path(__file__).with_name("ranges_of_two_devices.py")
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    found = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, timeout=300
    )
    assert found.stdout.split() == ["5.0", "5.0"], found.stderr
