"""Grouped transposed convolution out of ops that every phone delegate has."""

import keras
from keras import ops

from flpn_tf.keras_registration import PACKAGE
from flpn_tf.layers.grouped_conv import GroupedKernel, finish

KERNEL_SIZE = 4
STRIDES = 2

# Output row 2i + p of a 4x4, stride-2 transposed convolution reads input rows i - 1 and i (p = 0)
# through kernel rows 3 and 1, or rows i and i + 1 (p = 1) through kernel rows 2 and 0.
_PHASES = (((1, 0), (3, 1)), ((0, 1), (2, 0)))


def _depth_to_space(inputs):
    """(B, H, W, 4C) in phase-major channels → (B, 2H, 2W, C)."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.nn.depth_to_space(inputs, STRIDES)
    _, height, width, channels = inputs.shape
    channels //= STRIDES * STRIDES
    blocks = ops.reshape(inputs, (-1, height, width, STRIDES, STRIDES, channels))
    blocks = ops.transpose(blocks, (0, 1, 3, 2, 4, 5))
    return ops.reshape(blocks, (-1, STRIDES * height, STRIDES * width, channels))


@keras.saving.register_keras_serializable(package=PACKAGE)
class GroupedConv2DTranspose(GroupedKernel):
    """4×4, stride-2 transposed convolution in groups: (B, H, W, C) → (B, 2H, 2W, filters).

    Keras's `Conv2DTranspose` has no groups, and TFLite ignores them silently, so it is computed as
    its four phases: a 2×2 grouped convolution each, interleaved by depth-to-space. It equals
    `torch.nn.ConvTranspose2d(C, filters, 4, stride=2, padding=1, groups=groups)`.

    The kernel is (4, 4, C / groups, filters): its last axis runs over all output channels, group by
    group, so it holds the weights of `groups` separate `tf.nn.conv2d_transpose` calls.

    Args:
        filters, groups, kernel_initializer: as in `GroupedKernel`.

    Raises:
        ValueError: `groups` does not divide the channels.
    """

    def __init__(self, filters, groups=1, **kwargs):
        super().__init__(filters, KERNEL_SIZE, STRIDES, groups, **kwargs)

    def convolve(self, inputs, kernel, bias=None, activation=None):
        """The transposed convolution with the kernel and bias given, and what follows."""
        phases = []
        for row_padding, row_taps in _PHASES:
            for column_padding, column_taps in _PHASES:
                padded = ops.pad(inputs, ((0, 0), row_padding, column_padding, (0, 0)))
                taps = ops.stack([ops.stack([kernel[r, c] for c in column_taps]) for r in row_taps])
                phase = self.apply_kernel(padded, taps, 1, "valid")
                # Before the interleaving TFLite fuses both; behind it, an int8 ReLU takes 4 times the maps
                # and has no fast kernel.
                phases.append(finish(phase, bias, activation))
        return self.output_range(_depth_to_space(ops.concatenate(phases, axis=-1)))

    def call(self, inputs):
        return self.convolve(inputs, ops.cast(self.kernel, self.compute_dtype))

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (
            batch,
            None if height is None else STRIDES * height,
            None if width is None else STRIDES * width,
            self.filters,
        )
