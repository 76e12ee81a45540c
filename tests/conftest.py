"""Applies to all tests. Being here, it also lets any test module `import helpers`."""

import os

import pytest

# Before TensorFlow is imported: its start-up notices would drown the progress.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def dots_tflite(tmp_path_factory):
    """`dot_model` in a file: uint8 RGB in, float32 heatmaps out."""
    import dot_model

    path = tmp_path_factory.mktemp("dots") / "dots.tflite"
    path.write_bytes(dot_model.spec().append_to_tflite(dot_model.tflite_bytes()))
    return path
