"""What several test modules share: random weights, plain numpy references, fresh processes."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np

import flpn_tf
from flpn_tf.runtime.interpreter import plain_interpreter

REPOSITORY = Path(flpn_tf.__file__).resolve().parents[1]


def randomise(model, seed=0):
    """Gives *every* weight of a model or layer a random value, and returns it.

    A fresh network hides mistakes: the context block's last convolution is zero and batch norm does
    nothing. Values are sized so that the maps stay of order one; variances are positive.
    """
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        shape = tuple(weight.shape)
        if weight.name == "moving_variance":
            value = rng.uniform(0.5, 2.0, shape)
        elif weight.name in ("gamma", "gain"):
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            value = rng.normal(0.0, np.prod(shape[:-1]) ** -0.5, shape)
        else:
            value = rng.normal(0.0, 0.3, shape)
        weight.assign(value.astype("float32"))
    return model


def assert_context_matters(network, pixels):
    """Removing the context blocks' output must move the heatmaps by more than 1 %: else a numeric test
    of this network would not see a broken block."""
    with_context = np.asarray(network(pixels, training=False))
    changed = np.linalg.norm(without_context(network, pixels) - with_context) / np.linalg.norm(with_context)
    assert changed > 0.01, changed


def without_context(network, pixels):
    """The heatmaps of a network whose context blocks add nothing."""
    expands = [weight for weight in network.weights if "/context/expand/" in weight.path]
    assert expands
    kept = [np.asarray(weight.numpy()) for weight in expands]
    try:
        for weight in expands:
            weight.assign(np.zeros(weight.shape, "float32"))
        return np.asarray(network(pixels, training=False))
    finally:
        for weight, value in zip(expands, kept, strict=True):
            weight.assign(value)


def assert_integers_only(path):
    """A `.tflite` of integers whose uint8 pixels enter unscaled."""
    interpreter = plain_interpreter(path)
    types = {np.dtype(tensor["dtype"]).name for tensor in interpreter.get_tensor_details()}
    assert types <= {"int8", "uint8", "int32"}
    image = interpreter.get_input_details()[0]
    assert image["dtype"] == np.uint8
    assert image["quantization"] == (1.0, 0)


def exit_code(monkeypatch, *arguments):
    """Runs `flpn` with these arguments in this process."""
    from flpn_tf import cli

    monkeypatch.setattr(sys, "argv", ["flpn", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return end.code or 0
    return 0


def random_maps(*shape, seed=1):
    """float32 normal maps."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def random_pixels(*shape, seed=2):
    """float32 whole numbers 0–255."""
    return np.random.default_rng(seed).integers(0, 256, shape).astype("float32")


def difference(actual, expected):
    """Largest difference, relative to the largest expected value where that is above 1."""
    actual, expected = np.asarray(actual, "float64"), np.asarray(expected, "float64")
    assert actual.shape == expected.shape
    return np.abs(actual - expected).max() / max(1.0, np.abs(expected).max())


def numpy_conv(x, kernel, strides=1, groups=1, border=None):
    """Grouped convolution written out, in float64, padded by `border` (k // 2) zeros on all sides."""
    x, kernel = np.asarray(x, "float64"), np.asarray(kernel, "float64")
    side, _, per_group, filters = kernel.shape
    border = side // 2 if border is None else border
    x = np.pad(x, ((0, 0), (border, border), (border, border), (0, 0)))
    batch, height, width, _ = x.shape
    rows, columns = (height - side) // strides + 1, (width - side) // strides + 1
    x = x.reshape(batch, height, width, groups, per_group)
    kernel = kernel.reshape(side, side, per_group, groups, filters // groups)
    out = np.zeros((batch, rows, columns, groups, filters // groups))
    for r in range(side):
        for c in range(side):
            seen = x[:, r : r + strides * rows : strides, c : c + strides * columns : strides]
            out += np.einsum("bhwgi,igo->bhwgo", seen, kernel[r, c])
    return out.reshape(batch, rows, columns, filters)


def numpy_norm(x, norm):
    """Inference of a Keras BatchNormalization layer."""
    gamma, beta, mean, variance = (np.asarray(w, "float64") for w in norm.get_weights())
    return (x - mean) / np.sqrt(variance + norm.epsilon) * gamma + beta


def run_python(code, folder, **environment):
    """Runs `code` in a fresh interpreter in `folder`; returns what it printed, fails if it failed."""
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    return result.stdout
