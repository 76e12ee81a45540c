import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import REPOSITORY, difference, numpy_conv, random_maps, randomise, run_python

from flpn_tf.layers import grouped_conv
from flpn_tf.layers.grouped_conv import GroupedConv2D

# channels, filters, groups, kernel side, strides
CASES = {
    "dense": (6, 10, 1, 3, 1),
    "dense_strided": (6, 10, 1, 3, 2),
    "pointwise_strided": (6, 10, 1, 1, 2),
    "wide_kernel_strided": (3, 8, 1, 7, 2),
    "depthwise": (8, 8, 8, 3, 1),
    "depthwise_strided": (8, 8, 8, 3, 2),
    "depthwise_multiplied": (4, 28, 4, 3, 1),
    "depthwise_multiplied_strided": (4, 28, 4, 3, 2),
    "grouped": (12, 18, 3, 3, 1),
    "grouped_strided": (12, 18, 3, 3, 2),
}


def split_convolutions(x, kernel, groups, strides):
    border = kernel.shape[0] // 2
    x = tf.pad(x, ((0, 0), (border, border), (border, border), (0, 0)))
    pieces = zip(tf.split(x, groups, -1), tf.split(kernel, groups, -1), strict=True)
    return tf.concat([tf.nn.conv2d(part, taps, strides, "VALID") for part, taps in pieces], -1)


def gradients(function, *arguments):
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        output = function(*arguments)
        # A fixed random weight on each output, so that no gradient is hidden by symmetry.
        loss = tf.reduce_sum(output * random_maps(*output.shape, seed=9))
    return [output, *tape.gradient(loss, arguments)]


@pytest.mark.parametrize("has_grouped_gradient", [None, False], ids=["native", "split"])
@pytest.mark.parametrize("case", CASES)
def test_forward_and_gradients_equal_split_convolutions(case, has_grouped_gradient, monkeypatch):
    channels, filters, groups, side, strides = CASES[case]
    if has_grouped_gradient is not None:
        monkeypatch.setattr(
            grouped_conv, "_tensorflow_has_grouped_gradient", lambda dtype: has_grouped_gradient
        )
    layer = GroupedConv2D(filters, side, strides, groups)
    layer.build((None, 9, 8, channels))
    randomise(layer)
    x, kernel = tf.constant(random_maps(2, 9, 8, channels)), tf.constant(layer.kernel.numpy())
    assert difference(layer(x), numpy_conv(x, kernel, strides, groups)) < 1e-5
    ours = gradients(layer.convolve, x, kernel)
    reference = gradients(lambda x, k: split_convolutions(x, k, groups, strides), x, kernel)
    for actual, expected in zip(ours, reference, strict=True):
        assert difference(actual, expected) < 1e-5


def test_a_graph_holds_one_convolution_also_where_gradients_are_split(monkeypatch):
    monkeypatch.setattr(grouped_conv, "_tensorflow_has_grouped_gradient", lambda dtype: False)
    layer = GroupedConv2D(18, 3, groups=3)
    layer.build((None, 9, 8, 12))
    graph = tf.function(layer).get_concrete_function(tf.TensorSpec((1, 9, 8, 12))).graph
    assert [node.type for node in graph.get_operations()].count("Conv2D") == 1


def test_half_precision_has_gradients():
    """oneDNN has no grouped float16 gradient either."""
    x, kernel = tf.constant(random_maps(1, 5, 5, 4)), tf.constant(random_maps(3, 3, 2, 6))
    layer = GroupedConv2D(6, 3, groups=2)
    expected = gradients(layer.convolve, x, kernel)
    halves = gradients(layer.convolve, tf.cast(x, "float16"), tf.cast(kernel, "float16"))
    for actual, single in zip(halves, expected, strict=True):
        assert difference(tf.cast(actual, "float32"), single) < 0.01


def test_bias_and_valid_padding():
    layer = GroupedConv2D(6, 2, groups=2, padding="valid", use_bias=True)
    layer.build((None, 5, 5, 4))
    randomise(layer)
    x = random_maps(1, 5, 5, 4)
    expected = numpy_conv(x, layer.kernel, groups=2, border=0) + layer.bias.numpy()
    assert difference(layer(x), expected) < 1e-5


@pytest.mark.slow
def test_all_of_this_without_onednn():
    """TensorFlow without oneDNN has no grouped gradient on CPU; the layer notices by itself."""
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        assert not grouped_conv._tensorflow_has_grouped_gradient(tf.float32)
        return
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__))],
        cwd=REPOSITORY,
        env=os.environ | {"TF_ENABLE_ONEDNN_OPTS": "0"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout[-4000:]


def test_jax_equals_split_convolutions(tmp_path):
    """Forward and gradients of both ways, for few channels a group and for many, also in bfloat16."""
    pytest.importorskip("jax")
    cases = CASES | {"many_in_a_group": (36, 18, 3, 3, 2)}
    arrays, names = {}, []
    for name, (channels, filters, groups, side, strides) in cases.items():
        x, kernel = (
            random_maps(2, 9, 8, channels),
            random_maps(side, side, channels // groups, filters, seed=3),
        )
        expected = gradients(
            lambda x, k, groups=groups, strides=strides: split_convolutions(x, k, groups, strides),
            tf.constant(x),
            tf.constant(kernel),
        )
        for key, value in zip(
            ("x", "kernel", "output", "by_x", "by_kernel"), (x, kernel, *expected), strict=True
        ):
            arrays[f"{name}.{key}"] = np.asarray(value)
        arrays[f"{name}.upstream"] = random_maps(*expected[0].shape, seed=9)
        names.append((name, groups, strides))
    np.savez(tmp_path / "cases.npz", **arrays)
    code = f"""
    import jax, numpy as np
    from flpn_tf.layers.grouped_conv import conv2d
    stored = np.load("cases.npz")
    worst = {{"float32": 0.0, "bfloat16": 0.0}}
    for name, groups, strides in {names}:
        x, kernel, output, by_x, by_kernel, upstream = (
            stored[f"{{name}}.{{key}}"] for key in ("x", "kernel", "output", "by_x", "by_kernel", "upstream")
        )
        for dtype in worst:
            arrays = [jax.numpy.asarray(value, dtype) for value in (x, kernel, upstream)]

            @jax.jit
            def compute(x, k, u):
                output, pull = jax.vjp(lambda x, k: conv2d(x, k, strides, "same", groups), x, k)
                return output, *pull(u)

            found = compute(*arrays)
            assert found[0].dtype == dtype, (name, found[0].dtype)
            for actual, expected in zip(found, (output, by_x, by_kernel), strict=True):
                assert actual.shape == expected.shape, name
                error = np.abs(np.asarray(actual, "float64") - expected).max() / np.abs(expected).max()
                worst[dtype] = max(worst[dtype], float(error))
    print(worst["float32"], worst["bfloat16"])
    """
    single, half = map(float, run_python(code, tmp_path, KERAS_BACKEND="jax").split())
    assert single < 1e-5
    assert half < 0.02
