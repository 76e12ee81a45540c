"""Small models that every test of the runtime may use; each is made once a session."""

import dot_model
import pytest


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def bare_tflite(models):
    """A `.tflite` without pose_spec.json."""
    path = models / "bare.tflite"
    path.write_bytes(dot_model.tflite_bytes())
    return path


@pytest.fixture(scope="session")
def dots_saved_model(models):
    return dot_model.save_saved_model(models / "dots_saved_model")
