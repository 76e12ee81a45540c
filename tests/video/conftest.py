import dot_model
import pytest

from flpn_tf.runtime.estimator import PoseEstimator


@pytest.fixture(scope="session")
def dots_tflite(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "dots.tflite"
    path.write_bytes(dot_model.spec().append_to_tflite(dot_model.tflite_bytes()))
    return path


@pytest.fixture
def estimator(dots_tflite):
    return PoseEstimator(dots_tflite)
