"""Files written here, read in a process that only did `import flpn_tf`."""

import importlib.util
import re

import keras
import numpy as np
import pytest
from helpers import assert_context_matters, random_pixels, randomise, run_python

from flpn_tf.errors import InputError
from flpn_tf.layers import GlobalContext
from flpn_tf.models import FLPN
from flpn_tf.models.load import load_network
from flpn_tf.skeleton import MPII_16
from flpn_tf.training.loss import HeatmapLoss

LIGHT = """
    import sys
    import flpn_tf
    assert not {"keras", "tensorflow", "jax"} & set(sys.modules), "import flpn_tf must stay light"
"""
COMPARE = """
    import numpy as np
    case = np.load("case.npz")
    heatmaps = np.asarray(model(case["pixels"]))
    print("difference", np.abs(heatmaps - case["heatmaps"]).max() / np.abs(case["heatmaps"]).max())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    model = randomise(FLPN(width=0.25, image_size=(64, 64), skeleton=MPII_16))
    model.compile("adam", HeatmapLoss())
    pixels = random_pixels(2, 64, 64, 3)
    assert_context_matters(model, pixels)
    np.savez(folder / "case.npz", pixels=pixels, heatmaps=model(pixels))
    np.savez(folder / "weights.npz", *model.get_weights())
    model.save(folder / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    return folder


def differences(printed):
    return [float(line.split()[1]) for line in printed.splitlines() if line.startswith("difference")]


def test_keras_file_in_a_fresh_process(folder):
    code = f"""
    import flpn_tf, keras
    model = keras.models.load_model("model.keras")
    assert type(model) is flpn_tf.FLPN
    assert model.skeleton.name == "mpii_16"
    {COMPARE}
    """
    assert differences(run_python(code, folder)) == [0]


@pytest.mark.parametrize("first", ["import keras, flpn_tf", "import flpn_tf.layers"])
def test_whatever_is_imported_first(tmp_path, first):
    keras.Sequential([keras.Input((8, 8, 4)), GlobalContext(0.5)]).save(tmp_path / "layer.keras")
    code = f"""
    {first}
    from keras.models import load_model
    print(type(load_model("layer.keras").layers[0]).__name__)
    """
    assert run_python(code, tmp_path).split()[-1] == "GlobalContext"


WEIGHTS = """
    model = flpn_tf.FLPN(width=0.25, image_size=(64, 64), keypoints=16)
    model.load_weights("model.weights.h5")
"""


def test_weights_file_in_a_fresh_process(folder):
    assert differences(run_python(f"{LIGHT}{WEIGHTS}{COMPARE}", folder)) == [0]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_jax_gives_the_same_heatmaps(folder):
    code = f"""
    {LIGHT}
    import keras, numpy
    assert keras.backend.backend() == "jax"
    model = keras.models.load_model("model.keras")
    assert "tensorflow" not in sys.modules
    stored = numpy.load("weights.npz").values()
    assert all((a == b).all() for a, b in zip(model.get_weights(), stored, strict=True))
    model = model.predict  # compiled: op by op takes twice as long
    {COMPARE}
    """
    (value,) = differences(run_python(code, folder, KERAS_BACKEND="jax"))
    assert value < 1e-5


def test_a_failing_registration_leaves_keras_importable(tmp_path):
    code = """
    import sys, warnings
    import flpn_tf
    sys.modules["flpn_tf.models"] = None  # importing it now raises ImportError
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        import keras
    assert keras.layers.Dense
    print([str(w.message) for w in caught])
    """
    assert "flpn_tf could not register the Keras classes of flpn_tf.models" in run_python(code, tmp_path)


def test_lazy_attributes(tmp_path):
    code = f"""
    {LIGHT}
    assert flpn_tf.Skeleton.unnamed(3).names == ("keypoint_0", "keypoint_1", "keypoint_2")
    assert {{"FLPN", "PoseEstimator", "Skeleton", "__version__"}} <= set(dir(flpn_tf))
    try:
        flpn_tf.Flpn
    except AttributeError as error:
        print(error)
    assert flpn_tf.PoseEstimator.__name__ == "PoseEstimator"
    assert not {{"keras", "tensorflow", "jax"}} & set(sys.modules)
    """
    assert "module 'flpn_tf' has no attribute 'Flpn'" in run_python(code, tmp_path)


def test_a_network_of_an_unknown_compression_is_no_traceback(folder, tmp_path):
    """What damaged bytes of the archive's directory can say."""
    content = bytearray((folder / "model.keras").read_bytes())
    for entry in re.finditer(rb"PK\x01\x02", bytes(content)):
        content[entry.start() + 10 : entry.start() + 12] = (77).to_bytes(2, "little")
    (tmp_path / "damaged.keras").write_bytes(content)
    with pytest.raises(InputError, match="damaged.keras: is not a .keras model"):
        load_network(tmp_path / "damaged.keras")
