"""A pose model whose answers are known: it finds a red, a green and a blue dot.

Each of its three joints is a colour channel, smoothed by a gaussian of the codec's σ around crop pixel 4·i.
So the estimator's whole path can be checked against where the dots were painted, without a trained network.
"""

import functools
from pathlib import Path

import numpy as np

from flpn_tf.skeleton import Skeleton
from flpn_tf.spec import SPEC_FILE, PoseSpec

HEIGHT, WIDTH, STRIDE, SIGMA = 64, 48, 4, 1.0
DOTS = Skeleton("dots_3", ("left_red", "right_green", "blue"), (), ((0, 1), (1, 2)), (0.05,) * 3)
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
_GAIN = 1.5  # a dot whose radius is 5 crop pixels peaks near 0.9


def spec(**changes) -> PoseSpec:
    values = {
        "name": "dots",
        "architecture": {"kind": "test"},
        "input_height": HEIGHT,
        "input_width": WIDTH,
        "output_height": HEIGHT // STRIDE,
        "output_width": WIDTH // STRIDE,
        "skeleton": DOTS,
        "mean": (0.0, 0.0, 0.0),
        "std": (255.0, 255.0, 255.0),
        "sigma": SIGMA,
    }
    return PoseSpec(**values | changes)


def kernel() -> np.ndarray:
    """(25, 25, 3, 3): a gaussian a colour channel."""
    reach = int(3 * SIGMA * STRIDE)
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * (SIGMA * STRIDE) ** 2))
    blob = np.outer(taps, taps) / np.outer(taps, taps).sum()
    return (_GAIN * blob[:, :, None, None] * np.eye(3) / 255).astype(np.float32)


def graph(image):
    """(B, 64, 48, 3) pixels → (B, 16, 12, 3): TensorFlow ops with fixed weights."""
    import tensorflow as tf

    pixels = tf.cast(image, tf.float32)
    reach = int(3 * SIGMA * STRIDE)
    padded = tf.pad(pixels, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    return tf.nn.conv2d(padded, kernel(), strides=STRIDE, padding="VALID")


def save_saved_model(folder: Path, batch: int | None = None, with_spec: bool = True) -> Path:
    import tensorflow as tf

    module = tf.Module()
    shape = (batch, HEIGHT, WIDTH, 3)
    module.serve = tf.function(
        lambda image: {"heatmaps": graph(image)},
        input_signature=[tf.TensorSpec(shape, tf.uint8, name="image")],
    )
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    if with_spec:
        (folder / "assets").mkdir(exist_ok=True)
        (folder / "assets" / SPEC_FILE).write_text(spec().to_json())
    return folder


@functools.cache
def tflite_bytes(dtype: str = "uint8", quantised: bool = False) -> bytes:
    """A plain `.tflite` without spec: input uint8 or float32; quantised has uint8 input and output."""
    import tensorflow as tf

    kind = tf.float32 if quantised else tf.as_dtype(dtype)
    function = tf.function(graph, input_signature=[tf.TensorSpec((1, HEIGHT, WIDTH, 3), kind, name="image")])
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], tf.Module()
    )
    if quantised:
        rng = np.random.default_rng(0)
        photos = [photo_with_dots(HEIGHT, WIDTH, rng.uniform(8, 40, (3, 2)))[None] for _ in range(8)]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([photo.astype(np.float32)] for photo in photos)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    return converter.convert()


def photo_with_dots(height: int, width: int, points, radius: float = 2.0) -> np.ndarray:
    """A black RGB photo with one soft dot a colour at (x, y), pixel centres at integers."""
    rows, columns = np.mgrid[:height, :width]
    photo = np.zeros((height, width, 3))
    for (x, y), colour in zip(points, COLOURS, strict=True):
        strength = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))
        photo += strength[..., None] * np.array(colour)
    return np.rint(photo).astype(np.uint8)
