"""YOLOX: one output, a row for each cell of three or four grids.

Ge et al. 2021, github.com/Megvii-BaseDetection/YOLOX; what `tools/export_onnx.py` writes since release 0.1.1,
with and without `--decode_in_inference`, and what `onnx2tf` makes of it. A row is [x, y, w, h, objectness,
classes…]; x and y of the box's centre, as it comes in cells from the row's cell and the logarithm of the
sides in strides, decoded in pixels. The scores have passed the sigmoid.
"""

import numpy as np

from flpn_tf.runtime.detectors.layout import cells
from flpn_tf.runtime.detectors.picture import letterbox

_STRIDES = ((8, 16, 32), (8, 16, 32, 64))
_BORDER = 114


class YoloX:
    """Implements `Layout`."""

    OUTPUTS = "one output (1, cells of the strides 8, 16, 32 and perhaps 64, 5 + classes)"
    person = 0

    def __init__(self, rows: np.ndarray, picture, places: np.ndarray, strides: np.ndarray):
        self._picture, self._places, self._strides = picture, places, strides
        self.classes = rows.shape[1] - 5
        # Decoded centres lie near their own cells, the others near 0.
        distance = np.abs(rows[:, :2] - (places + 0.5) * strides)
        self._decoded = np.median(distance) < np.median(np.abs(rows[:, :2]))

    @classmethod
    def read(cls, outputs, picture):
        """See `Layout`."""
        shape = outputs[0].value.shape
        if len(outputs) != 1 or len(shape) != 3 or shape[0] != 1 or shape[2] < 6:
            return None
        for strides in _STRIDES:
            places, steps = cells(picture.height, picture.width, strides)
            if len(places) == shape[1]:
                return cls(outputs[0].value[0], picture, places, steps)
        return None

    def prepare(self, image):
        """See `Layout`."""
        pixels, scale = letterbox(image, self._picture.height, self._picture.width, _BORDER)
        return self._picture.values(pixels[..., ::-1]), scale

    def people(self, outputs, person):
        """See `Layout`."""
        rows = outputs[0].value[0].astype(np.float64)
        centres, sides = rows[:, :2], rows[:, 2:4]
        if not self._decoded:
            centres = (centres + self._places) * self._strides
            with np.errstate(over="ignore"):  # of cells that are sure of nothing
                sides = np.exp(sides) * self._strides
        return np.hstack([centres - sides / 2, centres + sides / 2]), rows[:, 4] * rows[:, 5 + person]
