"""Quantisation-aware training by tfmot: the twin is the network, and its result is an int8 model."""

import csv
import importlib.util
from dataclasses import replace

import keras
import numpy as np
import pytest
import small_network
import synthetic_people
from helpers import assert_integers_only, difference, random_maps, random_pixels, randomise
from runs import config, contents

from flpn_tf.errors import InputError
from flpn_tf.layers import SmartBottleneck
from flpn_tf.models import parts
from flpn_tf.models.load import load_network
from flpn_tf.models.pose_network import PoseNetwork
from flpn_tf.runtime.backends import open_backend
from flpn_tf.runtime.estimator import PoseEstimator
from flpn_tf.training import qat_tfmot
from flpn_tf.training.config import TeacherConfig

if any(importlib.util.find_spec(name) is None for name in ("tf_keras", "tensorflow_model_optimization")):
    pytest.skip("tfmot is not installed: pip install -e '.[qat-tfmot]'", allow_module_level=True)
if keras.backend.backend() != "tensorflow":
    pytest.skip("tfmot needs the TensorFlow backend", allow_module_level=True)

SIZE = (64, 64)


def network(stem, block, head):
    inputs = parts.pixel_input(SIZE)
    network = PoseNetwork(inputs, head(block(stem(inputs))), synthetic_people.SKELETON)
    network.image_size = SIZE
    return network


def block_of(name, **options):
    return lambda x: parts.block_class(name)(16, 64, 2, name="block", **options)(x)


def head(grouped=True, **options):
    return lambda x: parts.deconv_head(x, 7, 32, 1, grouped, **options)


NETWORKS = {
    "smart_with_context": (block_of("smart", global_context=True), head()),
    "smart_with_maps_cut_off": (
        lambda x: SmartBottleneck(12, 60, 2, ratio=8, global_context=False, name="block")(x),
        head(),
    ),
    "standard_and_dense_head": (block_of("standard"), head(grouped=False)),
    "lpn": (block_of("lpn"), head(pointwise=True)),
}
STEMS = {
    "grouped": lambda x: parts.grouped_stem(x, 16, 8),
    "pooled": lambda x: parts.pooled_stem(x, 16),
}


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("name", NETWORKS)
def test_twin_computes_what_the_network_computes(name, stem):
    from flpn_tf.training.tf_keras_twin import Twin

    ours = randomise(network(STEMS[stem], *NETWORKS[name]))
    pixels = random_pixels(2, *SIZE, 3)
    assert difference(Twin(ours).model(pixels), ours(pixels, training=False)) < 1e-4


def test_trained_weights_go_back_into_the_network():
    from flpn_tf.training.tf_keras_twin import Twin

    ours, others = (
        randomise(network(STEMS["grouped"], *NETWORKS["smart_with_context"]), seed) for seed in (0, 1)
    )
    pixels = random_pixels(2, *SIZE, 3)
    expected = np.asarray(others(pixels, training=False))
    assert difference(ours(pixels, training=False), expected) > 0.1
    theirs = Twin(others).model
    Twin(ours).write_back(lambda name: theirs.get_layer(name).get_weights())
    assert difference(ours(pixels, training=False), expected) < 1e-4


def on_grid(kernel, rounded):
    """Whether `rounded` is `kernel` on 255 levels of each last axis, the largest value kept."""
    scale = np.abs(kernel).max(axis=tuple(range(kernel.ndim - 1))) / 127
    np.testing.assert_allclose(rounded / scale, np.rint(rounded / scale), atol=1e-3)
    assert (np.abs(rounded - kernel) < 0.501 * scale).all()


def rounded(kernel, **options):
    import tf_keras

    from flpn_tf.training.tfmot_quantizers import KernelQuantizer

    quantizer = KernelQuantizer(**options)
    ends = quantizer.build(kernel.shape, "kernel", tf_keras.layers.Layer())
    return quantizer(keras.ops.convert_to_tensor(kernel), True, weights=ends).numpy()


def test_kernel_has_a_scale_for_each_output_channel():
    kernel = random_maps(3, 3, 4, 8) * np.geomspace(0.01, 10, 8, dtype="float32")
    on_grid(kernel, rounded(kernel))


def test_kernel_of_pixels_is_rounded_as_it_is_run():
    kernel, divisors = random_maps(3, 3, 3, 8), (1.0, 10.0, 100.0)
    scaled = np.reshape(divisors, (3, 1)).astype("float32")
    on_grid(kernel / scaled, rounded(kernel, divisors=divisors) / scaled)


def test_each_phase_of_a_deconvolution_has_its_own_scales():
    kernel = random_maps(4, 4, 3, 5)
    kernel[1::2, ::2] *= 50
    result = rounded(kernel, phases=True)
    for rows in (slice(0, None, 2), slice(1, None, 2)):
        for columns in (slice(0, None, 2), slice(1, None, 2)):
            on_grid(kernel[rows, columns], result[rows, columns])


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qat_tfmot, "build_model", small_network.build)
        yield


def train(data, output, init, **schedule):
    values = {"epochs": 2, "learning_rate": 1e-3, "warmup_steps": 0}
    return qat_tfmot.train_tfmot(config(**values | schedule), data, output, init)


@pytest.fixture(scope="module")
def finished(data, init, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "finished"
    assert train(data, output, init) == output / "model.keras"
    return output


@pytest.mark.slow
def test_trains(finished, init):
    with (finished / "log.csv").open() as stream:
        losses = [float(row["loss"]) for row in csv.DictReader(stream)]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert losses[1] < losses[0]
    assert not any(
        weight.name.startswith("range_") for weight in load_network(finished / "model.keras").weights
    )


@pytest.mark.slow
def test_both_models_compute_the_same(finished, init):
    pixels = np.random.default_rng(5).integers(0, 256, (2, *SIZE, 3), dtype="uint8")
    trained, before = (load_network(path) for path in (finished / "model.keras", init))
    expected, old = (
        np.asarray(model(pixels.astype("float32"), training=False)) for model in (trained, before)
    )
    error = np.linalg.norm(open_backend(finished / "model_int8.tflite").predict(pixels) - expected)
    assert error < 0.2 * np.linalg.norm(expected)
    assert error < 0.5 * np.linalg.norm(old - expected)


@pytest.mark.slow
def test_int8_model_has_no_float_tensor_and_finds_poses(finished):
    assert_integers_only(finished / "model_int8.tflite")
    photo = synthetic_people.draw(synthetic_people.joints(np.random.default_rng(0)))
    estimator = PoseEstimator(finished / "model_int8.tflite")
    assert estimator.spec.skeleton.names == synthetic_people.SKELETON.names
    assert estimator.spec.weights_sha256 == load_network(finished / "model.keras").weights_sha256()
    assert estimator.estimate(photo, [[0, 0, 100, 120]]).keypoints.shape == (1, 7, 3)


@pytest.mark.slow
def test_an_interrupted_run_goes_on(data, init, finished, tmp_path, monkeypatch):
    class StopsAtOnce(qat_tfmot.StopRequest):
        asked = True

    output = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(qat_tfmot, "StopRequest", StopsAtOnce)
        with pytest.raises(KeyboardInterrupt):
            train(data, output, init)
    assert not (output / "log.csv").exists()  # one step, half an epoch
    train(data, output, init)
    assert (output / "log.csv").read_text() == (finished / "log.csv").read_text()
    ours, whole = (load_network(path / "model.keras").get_weights() for path in (output, finished))
    for one, other in zip(ours, whole, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_refused(data, init, finished, tmp_path):
    output = tmp_path / "run"
    output.mkdir()
    for name in ("config.yaml", "log.csv", "run.json"):
        (output / name).write_bytes((finished / name).read_bytes())
    checkpoint = (finished / "checkpoint_tfmot.npz").read_bytes()
    (output / "checkpoint_tfmot.npz").write_bytes(checkpoint[: len(checkpoint) // 2])
    before = contents(output)
    with pytest.raises(InputError, match="no checkpoint of this run"):
        train(data, output, init)
    assert contents(output) == before


def refused(message, data, tmp_path, init, values):
    with pytest.raises(InputError, match=message) as caught:
        qat_tfmot.train_tfmot(values, data, tmp_path / "run", init)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "message, change",
    [
        ("has no teacher", lambda c: replace(c, teacher=TeacherConfig("teacher.tflite"))),
        ("compute.precision", lambda c: replace(c, compute=replace(c.compute, precision="mixed_float16"))),
        ("compute.strategy", lambda c: replace(c, compute=replace(c.compute, strategy="mirrored"))),
        ("compute.augment_on", lambda c: replace(c, compute=replace(c.compute, augment_on="device"))),
        ("schedule.optimizer adam", lambda c: replace(c, schedule=replace(c.schedule, optimizer="muon"))),
        ("schedule.batch_size", lambda c: replace(c, schedule=replace(c.schedule, batch_size=9))),
    ],
)
def test_refuses_configs(data, init, tmp_path, message, change):
    refused(message, data, tmp_path, init, change(config()))


def test_refuses_a_checkpoint_without_its_config(data, init, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint_tfmot.npz").write_bytes(b"of other people")
    with pytest.raises(InputError, match="has a checkpoint without config.yaml"):
        qat_tfmot.train_tfmot(config(), data, tmp_path / "run", init)


def test_refuses_to_begin_without_weights(data, tmp_path):
    refused("--init", data, tmp_path, None, config())


def test_names_the_extra_that_is_missing(data, init, tmp_path, monkeypatch):
    monkeypatch.setattr(qat_tfmot.importlib.util, "find_spec", lambda name: None)
    refused(r"pip install 'flpn-tf\[qat-tfmot\]'", data, tmp_path, init, config())


def test_refuses_a_block_without_a_twin(data, tmp_path, monkeypatch):
    def build(model, skeleton):
        return network(STEMS["grouped"], block_of("mobilenetv3"), head())

    path = tmp_path / "other.keras"
    other = build(None, None)
    monkeypatch.setattr(qat_tfmot, "build_model", build)
    monkeypatch.setattr(qat_tfmot, "initialise", lambda model, path: model.set_weights(other.get_weights()))
    refused("block .MobileNetV3Bottleneck. has another activation", data, tmp_path, path, config())
