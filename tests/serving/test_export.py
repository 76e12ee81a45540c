"""What `flpn export` writes: versions that a server may be watching, and what it needs to serve them."""

import os
import stat

import dot_model
import helpers
import numpy as np
import pytest
import tensorflow as tf
import yaml
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from flpn_tf.convert.serving import deployment, warmup
from flpn_tf.convert.serving.export import export
from flpn_tf.errors import InputError
from flpn_tf.runtime.estimator import PoseEstimator
from flpn_tf.spec import SPEC_FILE, PoseSpec


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(str(exported / "1"))


def test_signatures(loaded):
    height, width = dot_model.HEIGHT, dot_model.WIDTH
    crops = {"image": ((None, height, width, 3), tf.uint8)}
    maps = ((None, height // 4, width // 4, 3), tf.float32)
    points = ((None, 3, 3), tf.float32)
    photos = {"image_bytes": ((None,), tf.string), "boxes": ((None, 4), tf.float32)}
    expected = {
        "serving_default": (crops, {"keypoints": points, "heatmaps": maps}),
        "serve_jpeg": (photos, {"keypoints": points, "error": ((None,), tf.string)}),
        "heatmaps": (crops, {"heatmaps": maps}),
    }

    def facts(tensors):
        return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}

    found = {
        name: (facts(function.structured_input_signature[1]), facts(function.structured_outputs))
        for name, function in loaded.signatures.items()
    }
    assert found == expected


@pytest.mark.parametrize("count", [1, 3])
def test_crops_of_any_batch(loaded, network, count):
    rng = np.random.default_rng(1)
    crops = np.stack(
        [dot_model.photo_with_dots(64, 48, rng.uniform(8, 40, (3, 2)), radius=3.0) for _ in range(count)]
    )
    found = loaded.signatures["serving_default"](image=tf.constant(crops))
    heatmaps = network.predict_on_batch(crops.astype(np.float32))
    np.testing.assert_allclose(found["heatmaps"], heatmaps, atol=1e-5)
    np.testing.assert_allclose(found["keypoints"], network.codec.decode(heatmaps), atol=1e-2)
    alone = loaded.signatures["heatmaps"](image=tf.constant(crops))["heatmaps"]
    np.testing.assert_array_equal(alone, found["heatmaps"])


def test_holds_the_spec_and_no_xla_only_functions(exported, network):
    text = (exported / "1" / "assets" / SPEC_FILE).read_text()
    assert PoseSpec.from_json(text).weights_sha256 == network.weights_sha256()
    assert b"_XlaMustCompile" not in (exported / "1" / "saved_model.pb").read_bytes()


def test_warm_up_requests_are_answered(exported, loaded):
    path = exported / "1" / "assets.extra" / "tf_serving_warmup_requests"
    assert path.name == warmup.FILE
    asked = []
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == "dots"
        signature = loaded.signatures[request.model_spec.signature_name]
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        answer = signature(**{name: tf.constant(value) for name, value in inputs.items()})
        assert "error" not in answer or answer["error"].numpy() == b""
        asked.append(request.model_spec.signature_name)
    assert sorted(asked) == sorted(loaded.signatures)


def test_files_for_servers(exported):
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((exported / "models.config").read_text(), config)
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("dots", "/models/dots", "tensorflow")
    assert f"max_batch_size {{ value: {deployment.BATCH} }}" in (exported / "batching.config").read_text()
    manifest = yaml.safe_load((exported / "kserve.yaml").read_text())
    assert manifest["kind"] == "InferenceService"
    assert manifest["spec"]["predictor"]["model"]["modelFormat"] == {"name": "tensorflow"}


def test_a_kubernetes_name_is_made_of_any(network):
    for name, service in {
        "Pose_50": "pose-50",
        "a-": "a",
        "flpn": "flpn",
        "on": "on",
        "5": "model-5",
    }.items():
        assert yaml.safe_load(deployment.texts(name)["kserve.yaml"])["metadata"]["name"] == service


def test_versions(network, tmp_path):
    folder = tmp_path / "deep" / "dots"
    assert export(network, folder) == folder / "1"
    (folder / "models.config").write_text("mine")
    assert export(network, folder, version=9) == folder / "9"
    assert export(network, folder) == folder / "10"
    assert (folder / "models.config").read_text() == "mine"
    with pytest.raises(InputError, match="9: exists already; choose another version"):
        export(network, folder, version=9)
    assert {path.name for path in folder.iterdir()} == {"1", "9", "10", *deployment.texts("dots")}
    assert PoseEstimator(folder).path == folder / "10"
    assert PoseEstimator(folder / "9").spec.name == "dots"


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("two words", 1, "the folder's name is the model's on the server"),
        ("dots", 0, "a version is a number from 1 to"),
        ("dots", 2**63, "a version is a number from 1 to"),
    ],
)
def test_refusals(network, tmp_path, name, version, message):
    with pytest.raises(InputError, match=message):
        export(network, tmp_path / name, version)
    assert list(tmp_path.iterdir()) == []


def test_refuses_a_saved_model_as_folder(network, exported):
    before = sorted(path.name for path in (exported / "1").iterdir())
    with pytest.raises(InputError, match="is a SavedModel itself"):
        export(network, exported / "1")
    assert sorted(path.name for path in (exported / "1").iterdir()) == before


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), tf.errors.OutOfRangeError(None, None, "File too large")]
)
def test_a_failed_export_leaves_nothing(network, tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(warmup, "write", fail)
    with pytest.raises(InputError, match=r"dots: cannot be written \((No space|File too)"):
        export(network, tmp_path / "dots")
    assert list((tmp_path / "dots").iterdir()) == []


def test_others_may_read_it_as_the_umask_has_it(network, tmp_path):
    before = os.umask(0o027)
    try:
        version = export(network, tmp_path / "dots")
    finally:
        os.umask(before)
    assert stat.S_IMODE(version.stat().st_mode) == 0o750
    assert stat.S_IMODE((version.parent / "models.config").stat().st_mode) == 0o640


def test_every_weight_is_stored_once(exported, network):
    names = [
        name for name, shape in tf.train.list_variables(str(exported / "1/variables/variables")) if shape
    ]
    assert len(names) == len([value for value in network.variables if value.shape])


def test_without_the_serving_stubs(network, tmp_path, monkeypatch, capfd):
    network.save(tmp_path / "dots.keras")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if "serving" in name else name)
    assert helpers.exit_code(monkeypatch, "export", tmp_path / "dots.keras", tmp_path / "dots") == 2
    assert "this command needs tensorflow_serving; install it with" in capfd.readouterr().err


def test_of_two_exports_at_once_the_second_is_refused(network, tmp_path, monkeypatch):
    folder = tmp_path / "dots"
    monkeypatch.setattr(warmup, "write", lambda *_: (folder / "1" / "variables").mkdir(parents=True))
    with pytest.raises(InputError, match="1: exists already"):
        export(network, folder)
    assert [path.name for path in folder.rglob("*")] == ["1", "variables"]


def test_every_kind_of_file_gives_the_same_pose(exported, network, crowd, tmp_path):
    network.save(tmp_path / "dots.keras")
    photo, boxes = crowd
    paths = tmp_path / "dots.keras", exported
    first, second = (PoseEstimator(path).estimate(photo, boxes) for path in paths)
    assert np.abs(second.keypoints - first.keypoints).max() < 0.01


def test_the_command(network, tmp_path, monkeypatch, capfd):
    network.save(tmp_path / "dots.keras")
    options = (tmp_path / "dots.keras", tmp_path / "dots", "--flip")
    assert helpers.exit_code(monkeypatch, "export", *options, "--version", 3) == 0
    assert capfd.readouterr().out.strip() == str(tmp_path / "dots" / "3")
    assert helpers.exit_code(monkeypatch, "export", *options, "--version", 3) == 2
    assert "exists already" in capfd.readouterr().err
