import io
import re
import time
import zipfile

import h5py
import keras
import numpy as np
import pytest
from helpers import random_pixels, randomise

from flpn_tf.errors import InputError
from flpn_tf.models import FLPN
from flpn_tf.models.half_precision import save_half
from flpn_tf.training.loss import HeatmapLoss


@pytest.fixture(scope="module")
def network():
    network = randomise(FLPN(width=0.25, image_size=(64, 64), keypoints=4))
    network.compile("adam", HeatmapLoss())
    network.optimizer.build(network.trainable_variables)
    return network


@pytest.fixture(scope="module")
def saved(network, tmp_path_factory):
    return save_half(network, tmp_path_factory.mktemp("half") / "half.keras")


@pytest.fixture(scope="module")
def loaded(saved):
    return keras.models.load_model(saved)


def arrays(path):
    found = {}
    with zipfile.ZipFile(path) as archive:
        file = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
        file.visititems(
            lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {})
        )
    return found


def test_kernels_are_halves_and_all_else_is_whole(network, saved):
    stored = arrays(saved).values()
    assert {value.dtype for value in stored if value.ndim > 1} == {np.dtype("float16")}
    assert {value.dtype for value in stored if value.ndim < 2} == {np.dtype("float32")}
    assert len(stored) == len(network.weights)  # no optimiser's


def test_keras_loads_it_as_any_other(network, loaded):
    assert type(loaded) is FLPN
    assert not loaded.compiled
    for ours, theirs in zip(network.weights, loaded.weights, strict=True):
        assert theirs.dtype == "float32"
        value = np.asarray(ours)
        expected = value.astype("float16") if value.ndim > 1 else value
        np.testing.assert_array_equal(np.asarray(theirs), expected.astype("float32"), err_msg=ours.path)


def test_heatmaps_hardly_move(network, loaded):
    pixels = random_pixels(2, 64, 64, 3)
    before, after = (np.asarray(model(pixels, training=False)) for model in (network, loaded))
    assert 0 < np.abs(after - before).max() < 5e-3 * np.abs(before).max()


def test_the_same_weights_give_the_same_bytes(saved, loaded, tmp_path):
    """Seconds later, and from a loaded file too."""
    time.sleep(max(0.0, saved.stat().st_mtime + 2 - time.time()))  # a zip counts pairs of seconds
    assert save_half(loaded, tmp_path / "again.keras").read_bytes() == saved.read_bytes()


def test_it_is_less_than_half_as_large(network, saved, tmp_path):
    network.save(tmp_path / "whole.keras", include_optimizer=False)
    assert saved.stat().st_size < (tmp_path / "whole.keras").stat().st_size / 2


@pytest.fixture
def dense():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="last")])


@pytest.mark.parametrize("value", [65520.0, np.inf, np.nan])
def test_what_float16_cannot_hold_is_refused(dense, tmp_path, value):
    old = tmp_path / "old.keras"
    old.write_bytes(b"old")
    dense.layers[0].kernel.assign([[0, 0, value], [0, 0, 0]])
    with pytest.raises(InputError, match=re.escape(f"float16 has no number for. Received: {value}") + "$"):
        save_half(dense, old)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize("value", [65504.0, -65519.0])
def test_the_largest_are_kept(dense, tmp_path, value):
    dense.layers[0].kernel.assign([[0, 0, value], [0, 0, 0]])
    dense.layers[0].bias.assign([0, 0, 1e6])
    kernel, bias = keras.models.load_model(save_half(dense, tmp_path / "half.keras")).get_weights()
    assert (abs(kernel).max(), bias.max()) == (65504, 1e6)


@pytest.mark.parametrize("name", ["half.h5", "missing/half.keras"])
def test_paths_that_cannot_be_are_refused(dense, tmp_path, name):
    with pytest.raises(InputError, match="Received: "):
        save_half(dense, tmp_path / name)
