"""The first convolution: takes 0–255 RGB pixels and normalises inside."""

import keras
from keras import ops

from flpn_tf.keras_registration import PACKAGE
from flpn_tf.layers.grouped_conv import GroupedConv2D, finish

# Mean and standard deviation of the ImageNet training photos, RGB, on the 0–255 scale.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@keras.saving.register_keras_serializable(package=PACKAGE)
class PixelConv2D(GroupedConv2D):
    """`GroupedConv2D` (groups 1) over pixels 0–255 normalised by `mean` and `std`.

    The image is padded with black pixels *before* it is normalised, as the crop's own border is
    black, so the normalisation is exactly a rescaled kernel and a bias: nothing is left of it in an
    exported graph, and uint8 pixels enter an int8 network without a lossy rescaling.

    Args:
        filters, kernel_size, strides, padding, use_bias: as in `GroupedConv2D`.
        mean, std: one value per input channel, on the 0–255 scale.

    Raises:
        ValueError: as many values as channels are not given.
    """

    def __init__(self, filters, kernel_size, strides=1, mean=IMAGENET_MEAN, std=IMAGENET_STD, **kwargs):
        super().__init__(filters, kernel_size, strides, 1, **kwargs)
        self.mean = tuple(mean)
        self.std = tuple(std)

    def build(self, input_shape):
        if not input_shape[-1] == len(self.mean) == len(self.std):
            raise ValueError(
                "mean and std need one value per input channel. "
                f"Received: channels={input_shape[-1]}, mean={self.mean}, std={self.std}"
            )
        super().build(input_shape)

    def convolve(self, inputs, kernel, bias=None, activation=None):
        if self.padding == "same":
            border = self.kernel_size // 2
            inputs = ops.pad(inputs, ((0, 0), (border, border), (border, border), (0, 0)))
        mean = ops.reshape(ops.cast(ops.convert_to_tensor(self.mean), kernel.dtype), (1, 1, -1, 1))
        std = ops.reshape(ops.cast(ops.convert_to_tensor(self.std), kernel.dtype), (1, 1, -1, 1))
        kernel = kernel / std
        offset = -ops.sum(kernel * mean, axis=(0, 1, 2))
        outputs = self.apply_kernel(inputs, kernel, self.strides, "valid")
        return self.output_range(finish(outputs, offset if bias is None else offset + bias, activation))

    def get_config(self):
        config = super().get_config() | {"mean": self.mean, "std": self.std}
        del config["groups"]
        return config
