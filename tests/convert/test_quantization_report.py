"""What a conversion is said to cost, beside plain numpy and a network that is spoilt in one known layer."""

import dataclasses
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import difference

from flpn_tf.convert import tflite
from flpn_tf.convert.layer_loss import layer_losses, sqnr_db
from flpn_tf.convert.quantization_report import in_words, quantization_report, shared_photos
from flpn_tf.data.records import People, PersonRecord
from flpn_tf.evaluation.analysis import Analysis
from flpn_tf.evaluation.evaluate import Evaluation
from flpn_tf.evaluation.pose_set import PoseSet
from flpn_tf.runtime.backends import open_backend
from flpn_tf.skeleton import COCO_17


@pytest.fixture(scope="module")
def losses(network, crops, artefacts):
    """Format → `layer_losses` of four crops, found when first asked for."""

    class Losses(dict):
        def __missing__(self, to):
            reference, artefact = (artefacts[name].read_bytes() for name in ("float32", to))
            self[to] = layer_losses(network, reference, artefact, crops[:4])
            return self[to]

    return Losses()


@pytest.mark.slow
@pytest.mark.parametrize("to", ["float16", "int8"])
def test_every_layer_is_there_under_the_name_the_network_has_for_it(losses, network, to):
    found = losses[to]
    names = [loss.layer for loss in found]
    expected = {"stem_1", "stem_2", "deconv0", "deconv1", "deconv2", "heatmaps"}
    for block in (layer for layer in network.layers if layer.name.startswith("stage")):
        expected |= {f"{block.name}{part}" for part in ("", "/reduce", "/depthwise", "/expand", "/context")}
    shortcuts = {f"stage{stage}_block0/shortcut" for stage in range(4)}
    assert set(names) == expected | shortcuts
    assert len(set(names)) == len(names)
    after = [loss.heatmaps_sqnr_db for loss in found]
    assert after == sorted(after)
    assert 0 < after[0] < np.inf


def test_float32_loses_nothing(losses):
    assert {(loss.sqnr_db, loss.heatmaps_sqnr_db) for loss in losses["float32"]} == {(np.inf, np.inf)}


def test_the_first_layer_alone_is_the_first_layer_of_the_whole(losses, network, crops, artefacts):
    """Before it nothing is lost, so the file itself, run whole, shows its loss; against Keras's own layer."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    layer = keras.Model(network.inputs, network.get_layer("stem_1").output)
    expected = np.asarray(layer(crops[:4].astype("float32"), training=False))
    interpreter = Interpreter(
        model_path=str(artefacts["int8"]),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    (detail,) = (  # not the constants that are named after it
        tensor
        for tensor in interpreter.get_tensor_details()
        if "/stem_1_1/Relu" in tensor["name"] and tensor["shape"].tolist() == [1, *expected.shape[1:]]
    )
    scale, zero_point = detail["quantization"]
    found = []
    for crop in crops[:4]:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], crop[np.newaxis])
        interpreter.invoke()
        found.append((interpreter.get_tensor(detail["index"])[0].astype(float) - zero_point) * scale)
    (loss,) = (loss for loss in losses["int8"] if loss.layer == "stem_1")
    assert abs(loss.sqnr_db - sqnr_db(expected, np.array(found))) < 0.1


@pytest.mark.slow
def test_a_layer_made_bad_to_quantise_is_found(network, crops, losses):
    """One channel of it is 400 times as large, and the next layer makes up for that: nothing in float."""
    spoilt = type(network).from_config(network.get_config())
    spoilt.set_weights(network.get_weights())
    block = spoilt.get_layer("stage1_block1")
    norm = next(weight for weight in block.weights if "/depthwise/" in weight.path and weight.name == "gamma")
    shift = next(weight for weight in block.weights if "/depthwise/" in weight.path and weight.name == "beta")
    kernel = next(w for w in block.weights if "/expand/primary/" in w.path and w.name == "kernel")
    scale = np.ones(norm.shape, "float32")
    scale[0] = 400
    norm.assign(norm.numpy() * scale)
    shift.assign(shift.numpy() * scale)
    kernel.assign(kernel.numpy() / scale[:, np.newaxis])
    pixels = crops[:4].astype("float32")
    assert difference(spoilt(pixels, training=False), network(pixels, training=False)) < 1e-4
    reference, artefact = tflite.convert(spoilt, "float32"), tflite.convert(spoilt, "int8", crops)
    before = {loss.layer: loss.heatmaps_sqnr_db for loss in losses["int8"]}
    found = layer_losses(spoilt, reference, artefact, crops[:4])
    worse = {loss.layer: before[loss.layer] - loss.heatmaps_sqnr_db for loss in found}
    assert max(worse, key=worse.get) == "stage1_block1/depthwise"
    assert worse["stage1_block1/depthwise"] > 10


def test_sqnr_by_hand():
    assert sqnr_db(np.array([3.0, 4.0]), np.array([3.0, 4.5])) == pytest.approx(20)
    assert sqnr_db(np.ones(3), np.ones(3)) == np.inf


def evaluation(model, sha256, metrics):
    """Of two people; the second pose of a worse model has all joints elsewhere."""
    joints = np.append(np.random.default_rng(0).uniform(0, 99, (2, 17, 2)), np.full((2, 17, 1), 2), axis=2)
    box = np.array([0.0, 0, 99, 99])
    people = [PersonRecord(f"{i}", i, i, box, 9801.0, joints[i], COCO_17) for i in range(2)]
    found = joints.copy()
    if metrics["Mean"] < 100:
        found[1] += 1000
    poses = PoseSet(np.arange(2), found, np.ones(2), np.ones(2))
    facts = {
        "data": "d/a.json",
        "data_sha256": "0" * 64,
        "dataset": "lsp",
        "boxes": "gt",
        "boxes_sha256": None,
    }
    facts |= {"flip": False, "decode": "dark", "nms": None, "people": 2, "sigmas": {}}
    facts |= {"model": model, "model_sha256": sha256, "metrics": metrics}
    return Evaluation(
        facts, People(people, Path("d"), "0", format="lsp"), poses, Analysis(poses, *[None] * 4)
    )


def test_the_report(network, crops, artefacts):
    before, after = evaluation("n.keras", "a", {"Mean": 100.0}), evaluation("n.tflite", "b", {"Mean": 50.0})
    reference = artefacts["float32"].read_bytes()
    report = quantization_report(network, "int8", artefacts["int8"], reference, crops[:16], before, after)
    expected = np.asarray(network(crops[:16].astype("float32"), training=False))
    found = open_backend(artefacts["int8"]).predict(crops[:16])
    ratio = (expected.astype(float) ** 2).mean() / ((found - expected).astype(float) ** 2).mean()
    assert report["sqnr_db"] == pytest.approx(10 * np.log10(ratio), abs=0.01)
    first, second = network.codec.decode(expected), network.codec.decode(found)
    moved = np.hypot(*(second - first)[..., :2].reshape(-1, 2).T)[first[..., 2].ravel() > 0.2]
    assert len(moved) > 20
    expected = {"mean": np.mean(moved), "p95": np.percentile(moved, 95), "joints": len(moved)}
    assert report["displacement_px"] == pytest.approx(expected, rel=0.01)
    assert report["bytes"] == artefacts["int8"].stat().st_size
    assert (report["format"], report["crops"]) == ("int8", 16)
    assert report["evaluation"]["metrics"] == {"model": {"Mean": 100.0}, "artefact": {"Mean": 50.0}}
    assert report["evaluation"]["drop"]["Mean"] == {"value": 50, "low": 0, "high": 100}
    text = in_words(report)
    assert "      Mean 100.00 -> 50.00, drop 50.00 (95 %: 0.00 to 100.00)" in text
    worst = report["layers"][0]
    assert any(line.split()[:1] == [worst["layer"]] for line in text)


def test_the_shown_layers_of_a_file_that_loses_nothing(network, crops, artefacts):
    same = evaluation("n.keras", "a", {"Mean": 100.0})
    reference = artefacts["float32"].read_bytes()
    report = quantization_report(network, "float32", artefacts["float32"], reference, crops[:2], same, same)
    assert report["sqnr_db"] > 90
    assert report["displacement_px"]["mean"] < 0.01
    assert report["evaluation"]["drop"] == {"Mean": {"value": 0, "low": 0, "high": 0}}
    assert {layer["heatmaps_sqnr_db"] for layer in report["layers"]} == {None}
    assert "none" in in_words(report)[-1]


def test_photos_are_known_by_their_content(tmp_path):
    one = PersonRecord(tmp_path / "a.jpg", 1, 1, np.zeros(4), 1.0, np.zeros((17, 3)), COCO_17)
    (tmp_path / "a.jpg").write_bytes(b"one photo")
    (tmp_path / "b.jpg").write_bytes(b"two photo")
    shutil.copy(tmp_path / "a.jpg", tmp_path / "c.jpg")
    other, again, gone = (dataclasses.replace(one, image=tmp_path / f"{name}.jpg") for name in "bcx")
    assert shared_photos([one, one], [again, gone]) == [one.image]
    assert shared_photos([one, gone], [other]) == []
