"""SSD and EfficientDet of TensorFlow's Object Detection API: boxes as parts of the picture.

Two forms, of which both give boxes as [top, left, bottom, right], 0–1:

- Behind the operation `TFLite_Detection_PostProcess`, or the API's own: boxes (1, N, 4), classes and scores
  (1, N) and how many of the N are meant. The first order is that of TensorFlow 1 and of files with metadata
  (boxes, classes, scores, number), the second that of TensorFlow 2 (scores, boxes, number, classes); a name
  with "scores" goes before both. The operation counts classes from 0, the API, by its names, from 1.
- Before the suppression: decoded boxes (1, N, 4) and scores (1, N, background and classes).
"""

import cv2
import numpy as np

from flpn_tf.runtime.detectors.picture import stretch

_MEAN = _STD = 127.5
_LARGEST = 2.0  # beyond it boxes are pixels: anchors at the edge reach a little over 1
_TURNED = 0.05  # share of boxes that end before they begin; of encodings it is about three quarters
_API_NAME = "detection_"
_ORDERS = {(0, 1, 2): 2, (1, 0, 3): 0}  # places of the boxes and the two lists: that of the scores


class Ssd:
    """Implements `Layout`."""

    OUTPUTS = (
        "boxes (1, N, 4), 0 to 1, with classes (1, N), scores (1, N) and their number (1), or with scores "
        "(1, N, classes)"
    )

    def __init__(self, picture, boxes: int, scores: int, kinds: int | None, number: int | None):
        self._picture = picture
        self._boxes, self._scores, self._kinds, self._number = boxes, scores, kinds, number
        self.classes, self.person = None, 0

    @classmethod
    def read(cls, outputs, picture):
        """See `Layout`."""
        shapes = [output.value.shape for output in outputs]
        if len(outputs) == 2:
            return cls._read_candidates(outputs, shapes, picture)
        boxes = [place for place, shape in enumerate(shapes) if len(shape) == 3 and shape[::2] == (1, 4)]
        number = [place for place, shape in enumerate(shapes) if shape in ((), (1,))]
        lists = [place for place, shape in enumerate(shapes) if len(shape) == 2]
        if len(outputs) != 4 or (len(boxes), len(number), len(lists)) != (1, 1, 2):
            return None
        if any(shapes[place] != shapes[boxes[0]][:2] for place in lists):
            return None
        named = [place for place in lists if "scores" in outputs[place].name]
        if len(named) == 1:
            (scores,) = named
        elif (boxes[0], *lists) in _ORDERS:
            scores = _ORDERS[boxes[0], *lists]
        else:
            return None
        (kinds,) = set(lists) - {scores}
        layout = cls(picture, boxes[0], scores, kinds, number[0])
        layout.person = int(outputs[kinds].name.startswith(_API_NAME))
        likely, classes = layout._meant(outputs, scores), layout._meant(outputs, kinds)
        return layout if (likely <= 1).all() and (classes % 1 == 0).all() else None

    @classmethod
    def _read_candidates(cls, outputs, shapes, picture):
        if any(len(shape) != 3 or shape[0] != 1 for shape in shapes) or shapes[0][1] != shapes[1][1]:
            return None
        boxes = next((place for place, shape in enumerate(shapes) if shape[2] == 4), None)
        if boxes is None:
            return None
        corners = outputs[boxes].value[0]
        turned = (corners[:, 2:] < corners[:, :2]).any(axis=1)
        if np.mean(turned) > _TURNED or np.median(np.abs(corners)) > _LARGEST:
            return None
        layout = cls(picture, boxes, 1 - boxes, None, None)
        layout.classes = shapes[1 - boxes][2]
        layout.person = min(1, layout.classes - 1)  # behind the background
        return layout

    def prepare(self, image):
        """See `Layout`."""
        height, width = self._picture.height, self._picture.width
        pixels, _ = stretch(image, height, width, cv2.INTER_LINEAR)
        whole = 1 / np.array([image.shape[1], image.shape[0]])
        if self._picture.integer:  # the scale is made for pixels, be it of 0 to 255, 0 to 1 or -1 to 1
            return self._picture.pixel_values(pixels), whole
        return self._picture.values(pixels, _MEAN, _STD), whole

    def people(self, outputs, person):
        """See `Layout`."""
        if self._number is None:
            corners, scores = outputs[self._boxes].value[0], outputs[self._scores].value[0, :, person]
        else:
            kinds = self._meant(outputs, self._kinds)
            people = (np.rint(kinds) == person) | np.isnan(kinds)
            corners = self._meant(outputs, self._boxes)[people]
            scores = self._meant(outputs, self._scores)[people] + 0 * kinds[people]  # NaN stays NaN
        return corners[:, [1, 0, 3, 2]], scores

    def _meant(self, outputs, place: int) -> np.ndarray:
        """Without what stands behind the number of detections, which may be anything."""
        values = outputs[place].value[0]
        # Where the number is NaN, the others will say so.
        return values[: int(np.nan_to_num(outputs[self._number].value.item(), nan=len(values)))]
