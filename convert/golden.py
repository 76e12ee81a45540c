"""Golden vectors: pictures, crops, raw outputs and joints, to check a port of the crop and the decoder by.

python -m flpn_tf.convert.golden MODEL.tflite… OUT
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from flpn_tf.codec import DECODE_RULES
from flpn_tf.errors import InputError
from flpn_tf.presets import resolve_model
from flpn_tf.runtime.estimator import PoseEstimator, decode_poses
from flpn_tf.runtime.files import sha256_of, write_atomically
from flpn_tf.runtime.interpreter import open_interpreter
from flpn_tf.spec import PoseSpec

GOLDEN_VERSION = 1
INDEX_FILE = "index.json"
_DECIMALS = 6  # of a pixel; what readers may differ by is a thousandth

# Picture → height, width, boxes in it [x, y, w, h]. One higher than wide, one wider than high.
_PICTURES = {
    "tall": (150, 96, {"inside": [17.0, 8.5, 60.0, 135.0]}),
    "wide": (96, 150, {"edge": [70.25, -12.0, 95.0, 120.5], "small": [20.0, 30.0, 9.5, 31.0]}),
}
_LIMBS = ((0, 1), (1, 2), (0, 3), (3, 4), (0, 5), (0, 6), (5, 7), (7, 8), (6, 9), (9, 10), (5, 6))


def write_goldens(models: Sequence[str | Path], folder: str | Path) -> None:
    """Writes `index.json` and the binary files it names; the README of the shipped ones has the layout.

    Args:
        models: `.tflite` files, presets or aliases, of different names.
        folder: is made where it is missing; files of the same names are replaced.

    Raises:
        InputError: a model that is no `.tflite` with a spec, two of one name, or a folder that cannot be
            written.
    """
    paths = [resolve_model(model) for model in models]
    specs = {path: PoseSpec.read_from_tflite(path) for path in paths}
    if len({spec.name for spec in specs.values()}) < len(models):
        raise InputError(
            f"Goldens need models of different names. Received: {[str(path) for path in models]}"
        )
    files, index = {}, {"golden_version": GOLDEN_VERSION, "models": [], "pictures": [], "cases": []}
    for path, spec in specs.items():
        index["models"].append({"file": path.name, "sha256": sha256_of(path), "spec": spec.to_dict()})
    for name, (height, width, boxes) in _PICTURES.items():
        image = draw_picture(height, width)
        files[f"{name}.rgb"] = image
        index["pictures"].append({"file": f"{name}.rgb", "height": height, "width": width})
        for box_name, box in boxes.items():
            for path, spec in specs.items():
                case, of_case = _case(f"{name}_{box_name}", path, spec, image, box)
                files |= of_case
                index["cases"].append(case | {"picture": f"{name}.rgb"})
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / INDEX_FILE).unlink(missing_ok=True)  # where this ends midway, none rather than an old one
        for name, values in files.items():
            write_atomically(folder / name, values.astype(values.dtype.newbyteorder("<")).tobytes())
        write_atomically(folder / INDEX_FILE, (json.dumps(index, indent=1) + "\n").encode())
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from error


def _case(name: str, path: Path, spec: PoseSpec, image: np.ndarray, box: list[float]):
    """One entry of the index, and its files."""
    crops, affines = PoseEstimator(path).crops(image, np.array([box]))
    stored = raw_output(path, crops[0].astype(spec.input_dtype))
    size = f"{spec.input_height}x{spec.input_width}"
    crop_file, output_file = f"{name}_{size}.{spec.input_dtype}", f"{name}_{spec.name}.{spec.output_dtype}"
    case = {
        "name": f"{name}_{spec.name}",
        "model": spec.name,
        "box": box,
        "affine": np.round(affines[0], 9).tolist(),
        "crop": crop_file,
        "output": output_file,
        "keypoints": expected_keypoints(spec, stored, affines[0]),
    }
    return case, {crop_file: crops[0].astype(spec.input_dtype), output_file: stored}


def raw_output(path: Path, crop: np.ndarray) -> np.ndarray:
    """What a `.tflite` gives for a crop, as it is stored: ``(H, W, K)`` of the output's type, one thread."""
    interpreter = open_interpreter(path)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], crop[np.newaxis])
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]


def expected_keypoints(spec: PoseSpec, stored: np.ndarray, affine: np.ndarray) -> dict:
    """Decode rule → ``{"crop": …, "image": …}``, each K of ``[x, y, score]``.

    Args:
        spec: of the model.
        stored: ``(H, W, K)`` of the output's type.
        affine: ``(2, 3)`` from image to crop.
    """
    scale = np.float32(spec.output_scale)
    heatmaps = (stored.astype(np.float32) - spec.output_zero_point) * scale
    identity = np.eye(2, 3)
    expected = {}
    for rule in DECODE_RULES:
        codec = dataclasses.replace(spec.codec, decode_rule=rule)
        poses, _ = decode_poses(codec, np.stack([heatmaps, heatmaps]), [identity, affine])
        crop, image = np.round(poses, _DECIMALS).tolist()
        expected[rule] = {"crop": crop, "image": image}
    return expected


def draw_picture(height: int, width: int) -> np.ndarray:
    """A drawn person before a drawn background: ``(height, width, 3)`` uint8 RGB, the same each time."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([90 + rows // 3, 120 + columns // 4, 150 - rows // 4], axis=-1).astype(np.uint8)
    # Head's base, elbows, wrists, hips, knees, ankles, in body heights from the middle of the picture.
    body = np.array(
        [(0, -0.3), (0.13, -0.14), (0.17, 0.03), (-0.13, -0.15), (-0.2, -0.3), (0.06, 0.03), (-0.06, 0.03)]
        + [(0.08, 0.23), (0.09, 0.44), (-0.09, 0.22), (-0.07, 0.44)]
    )
    # In whole pixels and without anti-aliasing, so that every version of OpenCV draws the same.
    tall = int(0.85 * height)
    joints = np.rint(body * tall + (width / 2, height / 2)).astype(int).tolist()
    thick = max(3, tall // 12)
    for a, b in _LIMBS:
        colour = (40, 60, 150) if a >= 5 else (190, 70, 60)
        cv2.line(image, joints[a], joints[b], colour, thick, cv2.LINE_8)
    head = (joints[0][0], joints[0][1] - tall // 10)
    cv2.circle(image, head, tall // 12, (225, 180, 150), -1, cv2.LINE_8)
    cv2.ellipse(
        image, (head[0], head[1] - tall // 24), (tall // 12, tall // 20), 0, 180, 360, (60, 40, 30), -1
    )
    for hand in (joints[2], joints[4]):
        cv2.circle(image, hand, thick // 2, (225, 180, 150), -1, cv2.LINE_8)
    return image


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m flpn_tf.convert.golden", description=__doc__.splitlines()[0]
    )
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("folder", metavar="OUT")
    arguments = parser.parse_args()
    try:
        write_goldens(arguments.models, arguments.folder)
    except InputError as error:
        print(f"flpn: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
