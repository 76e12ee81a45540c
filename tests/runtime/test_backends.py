import subprocess
import sys

import dot_model
import keras
import numpy as np
import pytest
from dot_network import DotNetwork

from flpn_tf.errors import InputError
from flpn_tf.runtime.backends import open_backend
from flpn_tf.runtime.estimator import PoseEstimator


@pytest.fixture(scope="module")
def crops():
    return np.random.default_rng(0).integers(
        0, 256, (3, dot_model.HEIGHT, dot_model.WIDTH, 3), dtype=np.uint8
    )


@pytest.fixture(scope="module")
def expected(crops):
    """Heatmaps by a plain loop over the kernel's positions."""
    kernel = dot_model.kernel().astype(np.float64)
    reach, stride = kernel.shape[0] // 2, dot_model.STRIDE
    padded = np.pad(crops.astype(np.float64), ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    maps = np.zeros((len(crops), dot_model.HEIGHT // stride, dot_model.WIDTH // stride, 3))
    for i, j in np.ndindex(maps.shape[1:3]):
        y, x = i * stride, j * stride
        window = padded[:, y : y + len(kernel), x : x + len(kernel)]
        maps[:, i, j] = np.einsum("nyxc,yxck->nk", window, kernel)
    return maps


def test_tflite(dots_tflite, crops, expected):
    backend = open_backend(dots_tflite)
    assert backend.spec == dot_model.spec()
    heatmaps = backend.predict(crops)
    assert heatmaps.dtype == np.float32
    np.testing.assert_allclose(heatmaps, expected, atol=1e-4)
    assert backend.predict(crops[:0]).shape == (0, *expected.shape[1:])


def test_tflite_with_float_input_takes_the_same_pixels(tmp_path, crops, expected):
    path = tmp_path / "float.tflite"
    path.write_bytes(
        dot_model.spec(input_dtype="float32").append_to_tflite(dot_model.tflite_bytes("float32"))
    )
    np.testing.assert_allclose(open_backend(path).predict(crops), expected, atol=1e-4)


@pytest.fixture
def quantised(tmp_path):
    """A path to the uint8 model with a spec changed as asked; the right scale by default."""
    from ai_edge_litert.interpreter import Interpreter

    model = dot_model.tflite_bytes(quantised=True)
    scale, zero_point = Interpreter(model_content=model).get_output_details()[0]["quantization"]

    def write(**changes):
        values = {"output_dtype": "uint8", "output_scale": scale, "output_zero_point": zero_point} | changes
        path = tmp_path / "quantised.tflite"
        path.write_bytes(dot_model.spec(**values).append_to_tflite(model))
        return path

    return write


def test_quantised_output_comes_back_as_heatmaps(quantised):
    points = np.random.default_rng(1).uniform(8, 40, (3, 2))
    crop = dot_model.photo_with_dots(dot_model.HEIGHT, dot_model.WIDTH, points)[None]
    backend = open_backend(quantised())
    heatmaps = backend.predict(crop)
    exact = np.asarray(dot_model.graph(crop))
    assert exact.max() > 0.2
    np.testing.assert_allclose(heatmaps, exact, atol=3 * backend.spec.output_scale)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output_scale": 0.5}, "scale"),
        ({"output_zero_point": 77}, "zero point"),
        ({"output_dtype": "int8"}, "output tensor"),
        ({"input_dtype": "float32"}, "input tensor"),
        ({"input_height": 128, "output_height": 32}, "input tensor"),
        ({"stride": 2, "output_height": 32, "output_width": 24}, "output tensor"),
        ({"skeleton": dot_model.Skeleton.unnamed(4)}, "output tensor"),
    ],
)
def test_a_spec_that_disagrees_with_the_tensors_is_refused(quantised, changes, message):
    with pytest.raises(InputError, match=message):
        open_backend(quantised(**changes))


@pytest.mark.parametrize("batch", [None, 1])
def test_saved_model(tmp_path, crops, expected, batch):
    folder = dot_model.save_saved_model(tmp_path / "saved", batch)
    backend = open_backend(folder)
    np.testing.assert_allclose(backend.predict(crops), expected, atol=1e-4)
    assert backend.predict(crops[:0]).shape == (0, *expected.shape[1:])


def test_saved_model_without_spec_is_refused(tmp_path):
    folder = dot_model.save_saved_model(tmp_path / "saved", with_spec=False)
    with pytest.raises(InputError, match=r"no assets/pose_spec\.json"):
        open_backend(folder)


def test_a_damaged_saved_model_is_told(tmp_path):
    folder = dot_model.save_saved_model(tmp_path / "saved")
    index = folder / "variables" / "variables.index"
    index.write_bytes(index.read_bytes()[:-9])
    with pytest.raises(InputError, match="cannot load the SavedModel") as caught:
        open_backend(folder)
    assert "\n" not in str(caught.value)


@pytest.fixture
def dots_keras(tmp_path):
    path = tmp_path / "dots.keras"
    DotNetwork(name="dots").save(path)
    return path


def test_keras(dots_keras, crops, expected):
    backend = open_backend(dots_keras)
    np.testing.assert_allclose(backend.predict(crops), expected, atol=1e-4)
    assert backend.spec == DotNetwork(name="dots").pose_spec()


def test_a_network_in_memory(dots_keras, crops):
    network = DotNetwork(name="dots")
    np.testing.assert_array_equal(
        open_backend(network).predict(crops), open_backend(dots_keras).predict(crops)
    )
    boxes = [[0, 0, dot_model.WIDTH, dot_model.HEIGHT]]
    estimator = PoseEstimator(network)
    assert (estimator.path, estimator.spec) == (None, network.pose_spec())
    in_memory, of_file = (e.estimate(crops[0], boxes) for e in (estimator, PoseEstimator(dots_keras)))
    np.testing.assert_array_equal(in_memory.keypoints, of_file.keypoints)


def test_a_network_gives_the_same_whatever_the_number_of_crops(monkeypatch):
    """Though it sees few batch sizes, each of which it must be compiled for."""
    shape = (33, dot_model.HEIGHT, dot_model.WIDTH, 3)
    crops = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    network, sizes = DotNetwork(), []

    def predict_on_batch(batch):
        sizes.append(len(batch))
        return DotNetwork.predict_on_batch(network, batch)

    monkeypatch.setattr(network, "predict_on_batch", predict_on_batch)
    backend = open_backend(network)
    alone = np.concatenate([backend.predict(crop[None]) for crop in crops])
    for count in (0, 3, 5, 7, 32, 33):
        heatmaps = backend.predict(crops[:count])
        assert heatmaps.dtype == np.float32
        np.testing.assert_allclose(heatmaps, alone[:count], atol=1e-6)
    assert set(sizes) == {1, 4, 8, 32}


def test_a_keras_model_that_is_no_pose_network_is_refused(tmp_path):
    path = tmp_path / "plain.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)
    with pytest.raises(InputError, match="no pose network"):
        open_backend(path)


@pytest.mark.parametrize("content", [b"", b"text"])
def test_a_broken_keras_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "broken.keras"
    path.write_bytes(content)
    with pytest.raises(InputError, match="broken.keras") as caught:
        open_backend(path)
    assert "\n" not in str(caught.value)


def test_missing_packages_name_the_extra(dots_keras, dots_saved_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    for path in (dots_keras, dots_saved_model):
        with pytest.raises(InputError, match=r"pip install 'flpn-tf\[train\]'"):
            open_backend(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"Received: .*weights\.h5"):
        open_backend(tmp_path / "weights.h5")


def test_a_tflite_pose_never_imports_tensorflow(dots_tflite):
    code = (
        "import sys, numpy, flpn_tf, flpn_tf.cli\n"
        "from flpn_tf.runtime.estimator import PoseEstimator\n"
        f"PoseEstimator({str(dots_tflite)!r}).estimate(numpy.zeros((40, 40, 3), 'uint8'), [[0, 0, 40, 40]])\n"
        "print([name for name in ('tensorflow', 'keras', 'jax') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
