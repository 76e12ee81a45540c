"""One small network with random weights, converted once into every format."""

import keras
import numpy as np
import pytest
from converted import Artefacts
from helpers import assert_context_matters, randomise

from flpn_tf.convert import tflite
from flpn_tf.models import FLPN


@pytest.fixture(scope="session")
def network():
    network = randomise(FLPN(width=0.25, image_size=(64, 96), name="small"))
    # A trained network's maps are of order one; without this the logits drown everything else.
    head = network.get_layer("heatmaps")
    head.kernel.assign(head.kernel * 0.1)
    return network


@pytest.fixture(scope="session")
def crops():
    """Smooth pictures: noise would average out in the first layers and leave the rest untested."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (tflite.CALIBRATION_CROPS, 8, 12, 3)).astype("float32")
    return np.asarray(keras.ops.image.resize(coarse, (64, 96))).round().astype("uint8")


@pytest.fixture(scope="session")
def expected(network, crops):
    """The network's own heatmaps of the first crops."""
    assert_context_matters(network, crops[:8].astype("float32"))
    return np.asarray(network(crops[:8].astype("float32"), training=False))


@pytest.fixture(scope="session")
def artefacts(network, crops, tmp_path_factory):
    return Artefacts(network, crops, tmp_path_factory, "plain")


@pytest.fixture(scope="session")
def with_keypoints(network, crops, tmp_path_factory):
    """As `artefacts`, with the signature that decodes."""
    return Artefacts(network, crops, tmp_path_factory, "keypoints", keypoints=True)
