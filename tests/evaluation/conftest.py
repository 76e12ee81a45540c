"""Drawn people, and a model that knows where they are."""

import pytest
import synthetic_people


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Eight people, one a photo."""
    return synthetic_people.write(tmp_path_factory.mktemp("data") / "people", synthetic_people.document())


@pytest.fixture
def model_of(monkeypatch, tmp_path):
    """Backend → the path of a model file for which it answers."""

    def path(backend):
        monkeypatch.setattr("flpn_tf.runtime.estimator.open_backend", lambda path, threads: backend)
        (tmp_path / "m.tflite").write_bytes(b"model")
        return tmp_path / "m.tflite"

    return path
