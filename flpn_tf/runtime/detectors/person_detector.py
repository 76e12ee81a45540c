"""PersonDetector: a network in a file that finds people in photos."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.runtime.detectors.detections import Detections, best_people
from flpn_tf.runtime.detectors.layout import Layout
from flpn_tf.runtime.detectors.model_file import Output, open_model_file
from flpn_tf.runtime.detectors.picodet import PicoDet
from flpn_tf.runtime.detectors.picture import Picture
from flpn_tf.runtime.detectors.ssd import Ssd
from flpn_tf.runtime.detectors.yolox import YoloX
from flpn_tf.runtime.images import check_image

LAYOUTS: dict[str, type[Layout]] = {"yolox": YoloX, "ssd": Ssd, "picodet": PicoDet}
MIN_SCORE = 0.3


class PersonDetector:
    """Finds people by a `.tflite` or `.onnx` file. For one thread at a time.

    Example:
        detector = open_detector("yolox_tiny.onnx")
        people = detector(image)
        poses = PoseEstimator().estimate(image, people.boxes, people.scores)

    Attributes:
        path: of the file.
        layout: key of `LAYOUTS`.
        person: the number of the class of people.
    """

    def __init__(self, file, picture: Picture, name: str, layout: Layout, person: int, min_score, max_people):
        self.path, self.layout, self.person = file.path, name, person
        self._file, self._picture, self._layout = file, picture, layout
        self._min_score, self._max_people = min_score, max_people

    def __call__(self, image: np.ndarray) -> Detections:
        """``(H, W, 3)`` uint8 RGB → the people in it, clipped to it, the likeliest first.

        Raises:
            InputError: not such an image, or a network that fails or gives NaN.
        """
        check_image(image)
        values, scale = self._layout.prepare(image)
        corners, scores = self._layout.people(self._file.run(values), self.person)
        if np.isnan(corners).any() or np.isnan(scores).any():
            raise _gives_nan(self.path)
        corners = corners / np.tile(scale, 2)
        return best_people(corners, scores, *image.shape[:2], self._min_score, self._max_people)


def open_detector(
    path: str | Path,
    layout: str | None = None,
    *,
    person: int | None = None,
    min_score: float = MIN_SCORE,
    max_people: int | None = None,
    threads: int = 1,
) -> PersonDetector:
    """Loads a detector and runs it once, on an even grey picture, to see what it gives.

    Args:
        path: `.tflite`, or `.onnx` (extra ``onnx``).
        layout: how to read it, a key of `LAYOUTS`; by default the only one that its outputs fit.
        person: the number of the class of people; by default that of COCO in this layout: 0, or 1 where the
            background is 0.
        min_score: people below it are left out.
        max_people: in one photo, the likeliest; by default all.
        threads: for the runtime.

    Raises:
        InputError: a bad argument; not a network, or one that takes no picture of a fixed size, fails, or
            whose outputs are of no layout or not of this one; or onnxruntime is not installed.
    """
    if layout is not None and layout not in LAYOUTS:
        raise InputError(f"A detector's layout is one of {', '.join(LAYOUTS)}. Received: {layout}")
    if not 0 <= min_score <= 1:  # False for NaN
        raise InputError(f"A detector's lowest score is a number from 0 to 1. Received: {min_score}")
    if max_people is not None and max_people < 1:
        raise InputError(f"max_people is 1 or more. Received: {max_people}")
    file = open_model_file(path, threads)
    picture = Picture(file)
    outputs = file.run(picture.grey())
    read = {name: kind.read(outputs, picture) for name, kind in LAYOUTS.items() if layout in (None, name)}
    fitting = {name: found for name, found in read.items() if found is not None}
    if len(fitting) != 1:
        raise _misfit(file.path, outputs, layout, list(fitting))
    ((name, found),) = fitting.items()
    person = found.person if person is None else person
    if person < 0 or found.classes is not None and person >= found.classes:
        known = "" if found.classes is None else f" to {found.classes - 1}"
        raise InputError(f"The classes of the detector {path} have the numbers 0{known}. Received: {person}")
    return PersonDetector(file, picture, name, found, person, min_score, max_people)


def _misfit(path: Path, outputs: Sequence[Output], layout: str | None, fitting: list[str]) -> InputError:
    if any(np.isnan(output.value).any() for output in outputs):
        return _gives_nan(path)
    if fitting:
        reason = f"could be of the layouts {' and '.join(fitting)}; name one"
    elif layout is not None:
        reason = f"is not of the layout {layout}, whose outputs are {LAYOUTS[layout].OUTPUTS}"
    else:
        reason = f"has outputs of none of the layouts {', '.join(LAYOUTS)}"
    return InputError(f"The detector {path} {reason}. Received: {', '.join(map(str, outputs))}")


def _gives_nan(path: Path) -> InputError:
    return InputError(f"The detector {path} gives NaN; it is damaged, or was made for other pictures")
