import pytest

from flpn_tf.runtime.estimator import PoseEstimator


@pytest.fixture
def estimator(dots_tflite):
    return PoseEstimator(dots_tflite)
