"""Grouped 2-D convolution that trains fast on CPU and exports cleanly."""

from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

import keras
from keras import ops

from flpn_tf.keras_registration import PACKAGE
from flpn_tf.layers import fake_quant

_FEW = 8  # channels per group, up to which sums of shifted maps are taken on JAX


_MULTIPLIER_ONE = ContextVar("multiplier_one", default=False)


@contextmanager
def multiplier_one():
    """What TensorFlow traces inside has no depthwise convolution with several outputs a channel.

    TFLite's GPU delegate refuses them, and some NPUs crawl. A 1×1 convolution by zeros and ones repeats the
    channels first (docs/decisions.md). The same function to float32's rounding.
    """
    token = _MULTIPLIER_ONE.set(True)
    try:
        yield
    finally:
        _MULTIPLIER_ONE.reset(token)


@cache
def _tensorflow_has_grouped_gradient(dtype) -> bool:
    """True where TensorFlow can differentiate a grouped convolution: GPU, or CPU with oneDNN."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return True
    # The gradient's op by itself: `init_scope`, needed inside a graph, stops every gradient tape.
    with tf.init_scope():
        try:
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=(1, 3, 3, 4),
                filter=tf.ones((3, 3, 2, 4), dtype),
                out_backprop=tf.ones((1, 1, 1, 4), dtype),
                strides=[1, 1, 1, 1],
                padding="VALID",
            )
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return False
    return True


def _split_conv2d(inputs, kernel, strides, padding, groups):
    """One TensorFlow convolution per group."""
    import tensorflow as tf

    pairs = zip(tf.split(inputs, groups, axis=-1), tf.split(kernel, groups, axis=-1), strict=True)
    return tf.concat([tf.nn.conv2d(x, k, strides, padding) for x, k in pairs], axis=-1)


def _repeated(inputs, times):
    """Every channel so many times, by a TensorFlow 1×1 convolution."""
    import tensorflow as tf

    copies = tf.repeat(tf.eye(inputs.shape[-1], dtype=inputs.dtype), times, axis=1)
    return tf.nn.conv2d(inputs, copies[None, None], 1, "VALID")


def _tensorflow_conv2d(inputs, kernel, strides, padding, groups):
    """`tf.nn` convolution: Keras's own grouped path is XLA-wrapped (slow on CPU, not exportable)."""
    import tensorflow as tf

    height, width, channels_per_group, filters = kernel.shape
    if groups > 1 and channels_per_group == 1:
        depthwise = tf.reshape(kernel, (height, width, groups, filters // groups))
        return tf.nn.depthwise_conv2d(inputs, depthwise, (1, strides, strides, 1), padding)
    if groups == 1 or _tensorflow_has_grouped_gradient(kernel.dtype):
        return tf.nn.conv2d(inputs, kernel, strides, padding)

    @tf.custom_gradient
    def convolve(inputs, kernel):
        # The convolution itself works everywhere, and an exported graph should hold one, not `groups`.
        def gradient(upstream):
            with tf.GradientTape() as tape:
                tape.watch((inputs, kernel))
                outputs = _split_conv2d(inputs, kernel, strides, padding, groups)
            return tape.gradient(outputs, (inputs, kernel), upstream)

        return tf.nn.conv2d(inputs, kernel, strides, padding), gradient

    return convolve(inputs, kernel)


def _shifted_conv2d(inputs, kernel, strides, groups):
    """The "valid" grouped convolution as a sum of shifted maps, each times its weights, in float32.

    XLA fuses it into one loop; its own grouped convolution is up to a thousand times slower on CPU
    (docs/decisions.md).
    """
    height, width, channels_per_group, filters = kernel.shape
    _, rows, columns, _ = inputs.shape
    maps = ops.reshape(ops.cast(inputs, "float32"), (-1, rows, columns, groups, channels_per_group))
    weights = ops.reshape(
        ops.cast(kernel, "float32"), (height, width, channels_per_group, groups, filters // groups)
    )
    rows, columns = rows - height + 1, columns - width + 1
    outputs = 0.0
    for row in range(height):
        for column in range(width):
            shifted = maps[:, row : row + rows : strides, column : column + columns : strides]
            for channel in range(channels_per_group):
                outputs += shifted[..., channel : channel + 1] * weights[row, column, channel]
    return ops.cast(ops.reshape(outputs, (-1, *outputs.shape[1:3], filters)), inputs.dtype)


def conv2d(inputs, kernel, strides=1, padding="same", groups=1):
    """Grouped convolution with padding that is the same on both sides.

    Args:
        inputs: (B, H, W, C) tensor.
        kernel: (kh, kw, C / groups, filters) tensor; output channel j reads group
            j // (filters / groups).
        strides: one int for both axes.
        padding: "same" pads k // 2 zeros on every side (as the PyTorch reference code does, not
            TensorFlow's SAME, which pads a stride-2 convolution on one side); "valid" pads nothing.
        groups: must divide C and filters.

    Returns:
        (B, H', W', filters) tensor.
    """
    kernel_height, kernel_width, channels_per_group, filters = kernel.shape
    on_tensorflow = keras.backend.backend() == "tensorflow"
    if on_tensorflow and _MULTIPLIER_ONE.get() and channels_per_group == 1 and 1 < groups < filters:
        # Before the padding, which XNNPACK fuses into a depthwise convolution but not into a 1×1.
        inputs, groups = _repeated(inputs, filters // groups), filters
    few = not on_tensorflow and groups > 1 and channels_per_group <= _FEW
    if padding == "same" and kernel_height > 1 and (strides > 1 or few):
        rows, columns = kernel_height // 2, kernel_width // 2
        inputs = ops.pad(inputs, ((0, 0), (rows, rows), (columns, columns), (0, 0)))
        padding = "valid"
    if on_tensorflow:
        return _tensorflow_conv2d(inputs, kernel, strides, padding.upper(), groups)
    if few:
        return _shifted_conv2d(inputs, kernel, strides, groups)
    return ops.conv(inputs, kernel, strides, padding, "channels_last")


def finish(outputs, bias, activation):
    """Adds a bias and applies a function of each value; None is neither."""
    if bias is not None:
        outputs = outputs + bias
    return outputs if activation is None else activation(outputs)


class GroupedKernel(keras.layers.Layer):
    """Base of the grouped convolutions: holds `kernel`, (side, side, C / groups, filters).

    Args:
        filters: output channels, a multiple of `groups`.
        kernel_size: side of the square kernel.
        strides: stride of both axes.
        groups: channel groups; must divide the input channels and `filters`.
        kernel_initializer: Keras initializer, its name or its config.

    Attributes:
        quantises: whether the kernel and the outputs are those of int8, see `fake_quant`.
        output_range: what the outputs pass through.

    Raises:
        ValueError: `groups` does not divide the channels.
    """

    def __init__(self, filters, kernel_size, strides, groups=1, kernel_initializer="he_normal", **kwargs):
        super().__init__(**kwargs)
        if groups < 1 or filters < 1 or filters % groups:
            raise ValueError(f"filters must be a multiple of groups. Received: {filters=}, {groups=}")
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.groups = groups
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.quantises = fake_quant.is_wanted()
        self.output_range = fake_quant.output_range()

    def build(self, input_shape):
        channels = input_shape[-1]
        if channels % self.groups:
            raise ValueError(
                f"groups must divide the input channels. Received: {channels=}, groups={self.groups}"
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, channels // self.groups, self.filters),
            initializer=self.kernel_initializer,
        )

    def apply_kernel(self, inputs, kernel, strides, padding):
        """`conv2d` with a part or all of the kernel, as it is run."""
        if self.quantises:
            kernel = fake_quant.round_kernel(kernel)
        return conv2d(inputs, kernel, strides, padding, self.groups)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "groups": self.groups,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@keras.saving.register_keras_serializable(package=PACKAGE)
class GroupedConv2D(GroupedKernel):
    """2-D convolution in `groups` groups; `groups=1` is dense, `groups=channels` depthwise.

    Input (B, H, W, C), output (B, ceil(H / strides), ceil(W / strides), filters) with "same"
    padding, which pads k // 2 on both sides.

    Args:
        filters, strides, groups, kernel_initializer: as in `GroupedKernel`.
        kernel_size: side of the square kernel, odd with "same" padding.
        padding: "same" or "valid".
        use_bias: adds a bias of shape (filters,).

    Raises:
        ValueError: `groups` does not divide the channels, or `kernel_size` is even with "same".

    Example:
        >>> GroupedConv2D(64, 3, strides=2, groups=16)(keras.ops.ones((1, 8, 8, 16))).shape
        (1, 4, 4, 64)
    """

    def __init__(self, filters, kernel_size, strides=1, groups=1, padding="same", use_bias=False, **kwargs):
        super().__init__(filters, kernel_size, strides, groups, **kwargs)
        if padding not in ("same", "valid"):
            raise ValueError(f"padding must be 'same' or 'valid'. Received: {padding=}")
        if padding == "same" and kernel_size % 2 == 0:
            raise ValueError(f"'same' padding needs an odd kernel. Received: {kernel_size=}")
        self.padding = padding
        self.use_bias = use_bias
        self.bias = None

    def build(self, input_shape):
        super().build(input_shape)
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    def convolve(self, inputs, kernel, bias=None, activation=None):
        """The convolution with the kernel and bias given, which folds a batch norm in, and what follows."""
        outputs = self.apply_kernel(inputs, kernel, self.strides, self.padding)
        return self.output_range(finish(outputs, bias, activation))

    def call(self, inputs):
        bias = None if self.bias is None else ops.cast(self.bias, self.compute_dtype)
        return self.convolve(inputs, ops.cast(self.kernel, self.compute_dtype), bias)

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        border = 2 * (self.kernel_size // 2) if self.padding == "same" else 0

        def length(size):
            return None if size is None else (size + border - self.kernel_size) // self.strides + 1

        return (batch, length(height), length(width), self.filters)

    def get_config(self):
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "use_bias": self.use_bias,
        }
