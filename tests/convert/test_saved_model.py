"""The SavedModel serves any batch; all kinds of model file give the same pose."""

import numpy as np
import pytest
import tensorflow as tf

from flpn_tf.convert.saved_model import export_saved_model
from flpn_tf.errors import InputError
from flpn_tf.runtime.estimator import PoseEstimator
from flpn_tf.spec import SPEC_FILE, PoseSpec


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    return export_saved_model(network, tmp_path_factory.mktemp("export") / "small")


@pytest.mark.parametrize("count", [1, 3])
def test_serves_any_batch(exported, crops, expected, count):
    serve = tf.saved_model.load(str(exported)).signatures["serving_default"]
    served = serve(image=tf.constant(crops[:count]))["heatmaps"].numpy()
    assert np.abs(served - expected[:count]).max() < 1e-4 * np.abs(expected).max()


def test_holds_the_spec_and_no_xla_only_functions(exported, network):
    text = (exported / "assets" / SPEC_FILE).read_text()
    assert PoseSpec.from_json(text).weights_sha256 == network.weights_sha256()
    assert b"_XlaMustCompile" not in (exported / "saved_model.pb").read_bytes()


def test_refuses_to_overwrite(exported, network):
    before = (exported / "saved_model.pb").read_bytes()
    with pytest.raises(InputError, match="exists already"):
        export_saved_model(network, exported)
    assert (exported / "saved_model.pb").read_bytes() == before
    assert [path.name for path in exported.parent.iterdir()] == [exported.name]


def test_every_kind_of_file_gives_the_same_pose(exported, artefacts, network, tmp_path):
    network.save(tmp_path / "small.keras")
    photo = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    boxes = [[10, 5, 100, 90], [40.5, 20, 80, 60]]
    paths = [tmp_path / "small.keras", exported, artefacts["float32"]]
    first, *others = (PoseEstimator(path).estimate(photo, boxes) for path in paths)
    for poses in others:
        assert np.abs(poses.keypoints - first.keypoints).max() < 0.01
        assert np.abs(poses.scores - first.scores).max() < 1e-3
