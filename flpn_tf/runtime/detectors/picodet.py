"""PicoDet of PaddleDetection: distances from the centres of cells to the sides of boxes.

Yu et al. 2021, github.com/PaddlePaddle/PaddleDetection; the three forms that `tools/export_model.py` and
`paddle2onnx` write:

- `export.benchmark=True`: for each stride scores (1, cells, classes) and (1, cells, 4 · steps): the softmax's
  mean, in strides, is the distance to the left, top, right and bottom.
- `export.nms=False`: boxes (1, cells, 4) and scores (1, classes, cells).
- Neither: rows [class, score, left, top, right, bottom], behind the suppression, and their number.

Boxes are in the network's pixels where its scale factor is 1, as `Picture` gives it; the scores have passed
the sigmoid.
"""

import cv2
import numpy as np

from flpn_tf.runtime.detectors.layout import cells
from flpn_tf.runtime.detectors.picture import stretch

_STRIDES = ((8, 16, 32, 64), (8, 16, 32))
_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)


class PicoDet:
    """Implements `Layout`."""

    OUTPUTS = (
        "for each of the strides 8, 16, 32 and perhaps 64 scores (1, cells, classes) and distances "
        "(1, cells, 4 x steps); or boxes (1, cells, 4) with scores (1, classes, cells); or rows (N, 6)"
    )
    person = 0

    def __init__(self, picture, form):
        self._picture, self._form, self.classes = picture, form, form.classes

    @classmethod
    def read(cls, outputs, picture):
        """See `Layout`."""
        forms = [_Rows.read(outputs) if picture.rescales else None]
        for strides in _STRIDES:
            places, steps = cells(picture.height, picture.width, strides)
            forms += [_Boxes.read(outputs, len(places)), _Distances.read(outputs, places, steps)]
        form = next((form for form in forms if form is not None), None)
        return form and cls(picture, form)

    def prepare(self, image):
        """See `Layout`."""
        pixels, scale = stretch(image, self._picture.height, self._picture.width, cv2.INTER_CUBIC)
        return self._picture.values(pixels, _MEAN, _STD), scale

    def people(self, outputs, person):
        """See `Layout`."""
        return self._form.people([output.value for output in outputs], person)


class _Rows:
    """[class, score, left, top, right, bottom]."""

    classes = None

    @classmethod
    def read(cls, outputs):
        shape = outputs[0].value.shape
        return cls() if len(outputs) <= 2 and len(shape) == 2 and shape[1] == 6 else None

    def people(self, values, person):
        rows = values[0][np.rint(values[0][:, 0]) == person]
        return rows[:, 2:], rows[:, 1]


class _Boxes:
    """Boxes, and scores by class. A runtime may exchange the two."""

    def __init__(self, boxes: int, scores: int, classes: int):
        self._boxes, self._scores, self.classes = boxes, scores, classes

    @classmethod
    def read(cls, outputs, count):
        shapes = [output.value.shape for output in outputs]
        if len(outputs) == 2 and (1, count, 4) in shapes:
            boxes = shapes.index((1, count, 4))
            if len(shapes[1 - boxes]) == 3 and shapes[1 - boxes][::2] == (1, count):
                return cls(boxes, 1 - boxes, shapes[1 - boxes][1])
        return None

    def people(self, values, person):
        return values[self._boxes][0], values[self._scores][0, person]


class _Distances:
    """For each stride distributions of distances, and scores, in any order."""

    def __init__(self, distances: list[int], scores: list[int], classes: int, places, steps):
        self._distances, self._scores, self.classes = distances, scores, classes
        self._centres, self._steps = (places + 0.5) * steps, steps

    @classmethod
    def read(cls, outputs, places, steps):
        values = [output.value for output in outputs]
        counts = np.unique(steps, return_counts=True)[1].tolist()  # the smallest stride first
        if len(values) != 2 * len(counts) or any(
            v.ndim != 3 or v.shape[0] != 1 or not v.size for v in values
        ):
            return None
        by_count = sorted(range(len(values)), key=lambda place: -values[place].shape[1])
        # Distances are logits: of the two only they leave 0 to 1.
        distances = [place for place in by_count if values[place].min() < 0 or values[place].max() > 1]
        scores = [place for place in by_count if place not in distances]
        for group in (distances, scores):
            depths = {values[place].shape[2] for place in group}
            if [values[place].shape[1] for place in group] != counts or len(depths) != 1:
                return None
        if values[distances[0]].shape[2] % 4:
            return None
        return cls(distances, scores, values[scores[0]].shape[2], places, steps)

    def people(self, values, person):
        logits = np.concatenate([values[place][0] for place in self._distances]).astype(np.float64)
        logits = logits.reshape(len(logits), 4, -1)
        shares = np.exp(logits - logits.max(axis=2, keepdims=True))
        sides = shares @ np.arange(logits.shape[2]) / shares.sum(axis=2) * self._steps
        scores = np.concatenate([values[place][0, :, person] for place in self._scores])
        return np.hstack([self._centres - sides[:, :2], self._centres + sides[:, 2:]]), scores
