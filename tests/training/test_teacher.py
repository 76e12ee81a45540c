"""Distillation, against teachers whose answers are known from the crops."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import random_maps, random_pixels, run_python
from tiny_network import TinyNetwork

from flpn_tf.codec import HeatmapCodec
from flpn_tf.errors import InputError
from flpn_tf.models.pose_network import PoseNetwork
from flpn_tf.presets import assets_folder
from flpn_tf.runtime.backends import open_backend
from flpn_tf.skeleton import COCO_17, Skeleton
from flpn_tf.training.loss import HeatmapLoss
from flpn_tf.training.teacher import Teacher

SIZE = (128, 96)
CODEC = HeatmapCodec(32, 24)


def skeleton(*names):
    return Skeleton("test", names, (), (), (0.05,) * len(names))


COLOURS = skeleton("red", "green", "blue")


@keras.saving.register_keras_serializable(package="flpn_tf_tests")
class SampledNetwork(PoseNetwork):
    """Heatmap value (i, j, k) is colour k of crop pixel (4i, 4j), 0–1."""

    ARGUMENTS = ("image_size",)

    def __init__(self, image_size, skeleton, **kwargs):
        inputs = keras.Input((*image_size, 3), name="image")
        x = keras.layers.Rescaling(1 / 255)(inputs)
        super().__init__(
            inputs, keras.layers.MaxPooling2D(1, 4)(x), Skeleton.from_dict(dict(skeleton)), **kwargs
        )
        self.image_size = tuple(image_size)


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """A function to the file of a SampledNetwork of that input size."""
    folder = tmp_path_factory.mktemp("teachers")

    def save(*image_size):
        path = folder / f"{image_size}.keras"
        if not path.exists():
            SampledNetwork(image_size, COLOURS.to_dict()).save(path)
        return path

    return save


@pytest.fixture
def batch():
    """Crops, targets and weights of 3 people, among them one and several joints without a label."""
    weights = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 0.5]], np.float32)
    return random_pixels(3, *SIZE, 3).astype(np.uint8), random_maps(3, 32, 24, 3), weights


def seen(crops):
    """What a SampledNetwork of the crops' size answers."""
    return crops[:, ::4, ::4] / np.float32(255)


def test_gradients_are_those_of_both_losses_together(colours, batch):
    crops, heatmaps, weights = batch
    heatmaps *= (weights > 0)[:, None, None]  # as the codec draws them
    predicted = tf.Variable(random_maps(3, 32, 24, 3, seed=5))

    def per_joint(truth):
        return tf.reduce_mean((predicted - truth) ** 2, axis=(1, 2)) / 2

    with tf.GradientTape() as tape:
        two_terms = tf.reduce_mean(weights * per_joint(heatmaps) + 0.7 * per_joint(seen(crops)))
    expected = tape.gradient(two_terms, predicted)
    targets, totals = Teacher(colours(*SIZE), 0.7, SIZE, COLOURS, CODEC).blend(crops, heatmaps, weights)
    assert (targets.dtype, totals.dtype) == (np.float32, np.float32)
    with tf.GradientTape() as tape:
        one_term = HeatmapLoss()(targets, predicted, sample_weight=totals)
    np.testing.assert_allclose(tape.gradient(one_term, predicted), expected, rtol=1e-4, atol=1e-9)


def test_joints_meet_by_name(colours, batch, capsys):
    crops, heatmaps, weights = batch
    student = skeleton("blue", "elbow", "red", "green")
    heatmaps, weights = random_maps(3, 32, 24, 4), np.insert(weights, 1, [1, 0, 0.5], axis=1)
    teacher = Teacher(colours(*SIZE), 2, SIZE, student, CODEC)
    assert "does not teach elbow;" in capsys.readouterr().err
    np.testing.assert_array_equal(teacher.weights, [2, 0, 2, 2])
    targets, totals = teacher.blend(crops, heatmaps, weights)
    np.testing.assert_array_equal(totals, weights + [2, 0, 2, 2])
    np.testing.assert_array_equal(targets[..., 1], heatmaps[..., 1])
    taught = [0, 2, 3]
    w = weights[:, None, None, taught]
    expected = (w * heatmaps[..., taught] + 2 * seen(crops)[..., [2, 0, 1]]) / (w + 2)
    np.testing.assert_allclose(targets[..., taught], expected, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(128, 96), (256, 192), (384, 288), (64, 48), (128, 100)])
def test_another_input_size_keeps_every_pixel_s_place(colours, height, width):
    """On crops that are linear in x and y, up to where the teacher's last heatmap pixel lies."""
    rows, columns = np.mgrid[:128, :96]
    crop = np.rint(np.stack([2 * columns, rows, 190 - columns - 0.5 * rows], axis=-1)).astype(np.uint8)
    # As wide in its own pixels as the teacher's gaussians are in the student's: nothing to widen.
    codec = HeatmapCodec(32, 24, sigma=min(2 * 128 / height, 2 * 96 / width))
    teacher = Teacher(colours(height, width), 1, SIZE, COLOURS, codec)
    targets, _ = teacher.blend(crop[None], np.zeros((1, 32, 24, 3), np.float32), np.zeros((1, 3), np.float32))
    expected = seen(crop[None])
    inside = np.s_[0, : min(32, int((height / 4 - 1) * 128 / height)), : int((width / 4 - 1) * 96 / width)]
    assert targets[inside].size > 0.8 * expected.size
    np.testing.assert_allclose(targets[inside], expected[inside], atol=1.1 / 255)


@pytest.mark.parametrize("larger", [1, 2, 3])
def test_a_larger_teacher_s_gaussians_become_the_student_s(colours, larger):
    """Painted as the teacher draws them, they come out as the student's codec draws them."""
    points = np.array([[40.0, 61.0], [53.3, 70.9], [29.5, 36.2]])
    rows, columns = np.mgrid[:128, :96]
    radius = CODEC.sigma * CODEC.stride / larger
    distance = (columns[..., None] - points[:, 0]) ** 2 + (rows[..., None] - points[:, 1]) ** 2
    crop = np.rint(255 * np.exp(-distance / (2 * radius**2))).astype(np.uint8)[None]
    teacher = Teacher(colours(larger * 128, larger * 96), 1, SIZE, COLOURS, CODEC)
    expected, _ = CODEC.encode(points, np.ones(3))
    unlabelled = np.zeros((1, 3), np.float32)
    targets, _ = teacher.blend(crop, np.zeros_like(expected)[None], unlabelled)
    np.testing.assert_allclose(CODEC.decode(targets[0])[:, :2], points, atol=0.05 * CODEC.stride)
    np.testing.assert_allclose(targets[0], expected, atol=0.03)


def test_tflite_files_teach():
    path = assets_folder() / "flpn_mobile_people_192x160_int8.tflite"
    crops = np.random.default_rng(0).integers(0, 256, (3, 192, 160, 3), np.uint8)
    nothing = np.zeros((3, 48, 40, 17), np.float32)
    teacher = Teacher(path, 0.25, (192, 160), COCO_17, HeatmapCodec(48, 40))
    targets, totals = teacher.blend(crops, nothing, nothing[:, 0, 0])
    np.testing.assert_allclose(targets, open_backend(path).predict(crops), atol=1e-6)
    np.testing.assert_array_equal(totals, np.full((3, 17), 0.25))


@pytest.fixture
def mixed_policy():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield keras.config.dtype_policy()
    keras.config.set_dtype_policy(before)


def test_a_student_s_mixed_precision_is_not_the_teacher_s(colours, batch, mixed_policy):
    crops, heatmaps, _ = batch
    teacher = Teacher(colours(*SIZE), 1, SIZE, COLOURS, CODEC)
    assert keras.config.dtype_policy() == mixed_policy
    targets, _ = teacher.blend(crops, heatmaps, np.zeros((3, 3), np.float32))
    np.testing.assert_allclose(targets, seen(crops), atol=1e-6)


def many(batch):
    """A data set of 6 different batches."""
    crops, heatmaps, weights = batch
    crops = np.stack([np.roll(crops, step, axis=1) for step in range(6)])
    return tf.data.Dataset.from_tensor_slices((crops, np.stack([heatmaps] * 6), np.stack([weights] * 6)))


def test_data_sets_and_iterables_keep_their_order(colours, batch):
    teacher, plain = Teacher(colours(*SIZE), 1, SIZE, COLOURS, CODEC), many(batch)
    blended = teacher.dataset(plain)
    assert blended.element_spec == plain.element_spec
    expected = [
        (crops.numpy(), *teacher.blend(*(v.numpy() for v in (crops, *rest)))) for crops, *rest in plain
    ]
    for found in (blended, blended, teacher.batches(plain), teacher.batches(plain.as_numpy_iterator())):
        for one, other in zip(found, expected, strict=True):
            for value, right in zip(one, other, strict=True):
                np.testing.assert_array_equal(value, right)


def test_a_student_trains_while_the_teacher_runs(colours, batch):
    """In `fit`, with a Keras teacher on the data's thread: as on targets made beforehand."""
    teacher, losses = Teacher(colours(256, 192), 1, SIZE, COLOURS, CODEC), []
    beforehand = [tuple(map(np.asarray, values)) for values in teacher.batches(many(batch))]
    stacked = tf.data.Dataset.from_tensor_slices(tuple(map(np.stack, zip(*beforehand, strict=True))))
    for data in (teacher.dataset(many(batch)), stacked):
        keras.utils.set_random_seed(0)
        student = TinyNetwork(SIZE, COLOURS)
        student.compile("adam", loss=HeatmapLoss(), jit_compile=False)
        losses.append(student.fit(data.repeat(), steps_per_epoch=6, epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert losses[0][1] < losses[0][0]


def test_on_the_jax_backend(tmp_path):
    pytest.importorskip("jax")
    TinyNetwork((64, 64), COLOURS).save(tmp_path / "teacher.keras")
    code = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import keras, numpy as np, tensorflow as tf
        from tiny_network import TinyNetwork
        from flpn_tf.training.loss import HeatmapLoss
        from flpn_tf.training.teacher import Teacher
        assert keras.backend.backend() == "jax"
        rng = np.random.default_rng(0)
        crops = rng.integers(0, 256, (3, 4, 64, 64, 3)).astype(np.uint8)
        heatmaps = rng.random((3, 4, 16, 16, 3)).astype(np.float32)
        weights = np.ones((3, 4, 3), np.float32)
        data = tf.data.Dataset.from_tensor_slices((crops, heatmaps, weights))
        student = TinyNetwork((64, 64), keras.models.load_model("teacher.keras").skeleton)
        teacher = Teacher("teacher.keras", 1, (64, 64), student.skeleton, student.codec)
        expected = [teacher.blend(*values) for values in zip(crops, heatmaps, weights)]
        assert np.abs(expected[0][0] - heatmaps[0]).max() > 0.01
        arrays = zip(crops, heatmaps, weights)
        for found in (teacher.dataset(data), teacher.batches(data), teacher.batches(arrays)):
            for one, other in zip(found, expected, strict=True):
                for value, right in zip(one[1:], other, strict=True):
                    np.testing.assert_allclose(np.asarray(value), right, atol=1e-6)
        student.compile("adam", loss=HeatmapLoss())
        for found in (teacher.dataset(data.repeat()), teacher.batches(data.repeat())):
            history = student.fit(found, steps_per_epoch=3, verbose=0).history
            assert np.isfinite(history["loss"]).all()
        print("done")
    """
    assert run_python(code, tmp_path, KERAS_BACKEND="jax").split()[-1] == "done"


BAD = {
    "weight 0": ({"weight": 0}, "weight must be a number above 0. Received: 0"),
    "weight below": ({"weight": -1.0}, "weight must be a number above 0. Received: -1.0"),
    "weight nan": ({"weight": float("nan")}, "weight must be a number above 0. Received: nan"),
    "no file": ({"path": "none.keras"}, "No model of that name or path"),
    "aspect": ({"image_size": (128, 128)}, "aspect of 128x128 (height x width) and padding 1.25"),
    "padding": (
        {"padding": 1.0},
        "and padding 1.0; change model.image_size or the teacher. Received: 128x96",
    ),
    "joints": (
        {"skeleton": skeleton("blue", "knee", "hip")},
        "cannot be the teacher: Skeletons 'test' and 'test' share 1 joints, fewer than half",
    ),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD.keys())
def test_teachers_that_do_not_fit(colours, changes, message):
    arguments = {"path": colours(*SIZE), "weight": 1, "image_size": SIZE, "skeleton": COLOURS}
    with pytest.raises(InputError) as caught:
        Teacher(**arguments | {"codec": CODEC} | changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
