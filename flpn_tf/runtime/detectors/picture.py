"""From a photo to the values of a network's inputs."""

import cv2
import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.runtime.detectors.model_file import ModelFile, Tensor

_DTYPES = ("float32", "float16", "uint8", "int8")
_GREY = 128
_SHAPES = "(1, height, width, 3) or (1, 3, height, width)"


class Picture:
    """The input of a network that takes the photo.

    What PaddleDetection's exports want besides, the picture's size and the scale it has been resized by, is
    given so that boxes come in the network's own pixels.

    Attributes:
        height, width: pixels.
        integer: whether it takes integers.
        rescales: whether the network takes a scale factor too.

    Raises:
        InputError: the network has no such input, one whose size is not fixed, or others.
    """

    def __init__(self, file: ModelFile):
        self._inputs = file.inputs
        pictures = [tensor for tensor in file.inputs if len(tensor.shape) == 4]
        others = [tensor for tensor in file.inputs if len(tensor.shape) != 4]
        tensor = pictures[0] if len(pictures) == 1 else None
        if tensor is None or any(other.name not in ("scale_factor", "im_shape") for other in others):
            raise self._refused(file, f"needs one picture, {_SHAPES}")
        batch, *sides = tensor.shape
        if 3 not in (sides[0], sides[2]) or batch not in (None, 1) or tensor.dtype.name not in _DTYPES:
            raise self._refused(file, f"needs a picture of {_SHAPES}, of {', '.join(_DTYPES)}")
        self._channels_first = sides[2] != 3
        self.height, self.width = sides[1:] if self._channels_first else sides[:2]
        if None in (self.height, self.width):
            raise self._refused(file, "needs a picture of fixed height and width; export it with these")
        self._tensor, self.integer = tensor, tensor.dtype.kind in "iu"
        self.rescales = any(other.name == "scale_factor" for other in others)

    @staticmethod
    def _refused(file: ModelFile, needs: str) -> InputError:
        received = "; ".join(map(str, file.inputs)) or "no input"
        return InputError(f"The detector {file.path} {needs}. Received: {received}")

    def values(self, pixels: np.ndarray, mean=0.0, std=1.0) -> list[np.ndarray]:
        """The network's inputs for a picture of its size.

        An integer input with a scale gets (pixel - mean) / std in its own unit; one without gets the pixels.

        Args:
            pixels: ``(height, width, 3)`` uint8, the channels in the order that the network wants.
            mean, std: a number, or one a channel.
        """
        if self.integer and self._tensor.scale == 0:
            return self.pixel_values(pixels)
        values = (pixels.astype(np.float32) - np.float32(mean)) / np.float32(std)
        if self.integer:
            values = values / np.float32(self._tensor.scale) + self._tensor.zero_point
        return self._inputs_with(values)

    def grey(self) -> list[np.ndarray]:
        """The network's inputs for an even picture, near 0 in its own unit."""
        return self.values(np.full((self.height, self.width, 3), _GREY, np.uint8), mean=_GREY)

    def pixel_values(self, pixels: np.ndarray) -> list[np.ndarray]:
        """The network's inputs for a picture whose pixels are its integers, those of int8 less 128."""
        lowest = np.iinfo(self._tensor.dtype).min if self.integer else 0
        return self._inputs_with(pixels.astype(np.float32) + lowest)

    def _inputs_with(self, values: np.ndarray) -> list[np.ndarray]:
        if self.integer:
            limits = np.iinfo(self._tensor.dtype)
            values = np.clip(np.rint(values), limits.min, limits.max)
        values = values.transpose(2, 0, 1) if self._channels_first else values
        picture = np.ascontiguousarray(values[np.newaxis], self._tensor.dtype)
        return [picture if tensor is self._tensor else self._other(tensor) for tensor in self._inputs]

    def _other(self, tensor: Tensor) -> np.ndarray:
        value = (1, 1) if tensor.name == "scale_factor" else (self.height, self.width)
        return np.array([value], tensor.dtype)


def stretch(image: np.ndarray, height: int, width: int, interpolation: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo resized to (height, width), whatever its aspect, and its ``(2,)`` scale by x and y."""
    scale = np.array([width / image.shape[1], height / image.shape[0]])
    return cv2.resize(image, (width, height), interpolation=interpolation), scale


def letterbox(image: np.ndarray, height: int, width: int, border: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo resized by one factor into the top left of (height, width), and its ``(2,)`` scale by x and y.

    The two differ by the rounding to whole pixels.

    Args:
        border: grey of the rest.
    """
    factor = min(height / image.shape[0], width / image.shape[1])
    # Rounded down as in YOLOX.
    rows, columns = (max(1, int(side * factor)) for side in image.shape[:2])
    canvas = np.full((height, width, 3), border, np.uint8)
    canvas[:rows, :columns] = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return canvas, np.array([columns / image.shape[1], rows / image.shape[0]])
