"""Files that several tests of the detectors use; each is made once a session."""

import painted_networks
import pytest


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def ssd_file(models):
    """Finds the painted people; class 0 is the background, 1 people, 2 others."""
    path = models / "ssd.tflite"
    path.write_bytes(painted_networks.tflite_bytes(painted_networks.ssd_candidates))
    return path
