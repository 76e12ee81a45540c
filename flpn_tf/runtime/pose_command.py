"""What `flpn pose` does."""

import functools
import json
import sys
from pathlib import Path

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.presets import DEFAULT_MODEL, resolve_model
from flpn_tf.runtime import files
from flpn_tf.runtime.draw import draw_poses
from flpn_tf.runtime.estimator import PoseEstimator
from flpn_tf.runtime.images import IMAGE_SUFFIXES, read_intact_image
from flpn_tf.runtime.native_stderr import discard_native_stderr
from flpn_tf.runtime.poses import KEYPOINT_THRESHOLD, Poses
from flpn_tf.runtime.remote.estimator import RemoteEstimator, is_url

MAX_THREADS = 64


def run(
    photos: list[Path],
    boxes: Path | None = None,
    model: str = DEFAULT_MODEL,
    out: Path | None = None,
    json_to: str | None = None,
    decode: str | None = None,
    flip: bool = False,
    threads: int = 1,
) -> None:
    """Estimates the poses in photos and writes json, an overlay, or both.

    One photo gives one json object; several, or a folder, one object a line in the order given.

    Args:
        photos: files, or folders whose images are taken in name order.
        boxes: json file: a list of ``[x, y, w, h]`` for one photo, or an object photo name → such a list.
        model: path, preset, alias, or a URL as `RemoteEstimator` takes it.
        out: the overlay picture; one photo only.
        json_to: file, or `files.STANDARD_OUTPUT`, which is also the default where ``out`` is not given.
        decode: rule in place of the model's own.
        flip: average with the mirrored crop.
        threads: for the TFLite runtime.

    Raises:
        InputError: the first bad input; the file outputs are then not written.
    """
    paths, several = _expand(photos)
    if out is not None:
        if several:
            raise InputError(f"--out draws one photo; --json takes several. Received: {len(paths)} photos")
        files.check_writable(out, files.PICTURE_SUFFIXES)
    if json_to is None and out is None:
        json_to = files.STANDARD_OUTPUT
    files.check_json_output(json_to)
    if not 1 <= threads <= MAX_THREADS:
        raise InputError(f"--threads must be 1 to {MAX_THREADS}. Received: {threads}")
    remote = is_url(model)
    if remote and (flip or decode is not None):
        raise InputError("--flip and --decode are the server's, set by `flpn export`; leave them out")
    inputs = [*paths] + ([boxes] if boxes else []) + ([] if remote else [resolve_model(model)])
    for output in (out, json_to):
        if output not in (None, files.STANDARD_OUTPUT):
            files.check_apart(output, inputs)
            inputs.append(output)
    boxes_of = _read_boxes(boxes, several)
    with discard_native_stderr():
        if remote:
            estimator = RemoteEstimator(model)
            name, estimate = estimator.name, estimator.estimate
        else:
            estimator = PoseEstimator(model, threads=threads, decode=decode)
            name, estimate = estimator.path.stem, functools.partial(estimator.estimate, flip_test=flip)
    lines = []
    for path in paths:
        image = read_intact_image(path)
        # A server gets the file as it is.
        poses = estimate(path if remote else image, boxes_of(path), name=str(path))
        record = json.dumps(_record(path, image, name, poses), indent=None if several else 1) + "\n"
        if json_to == files.STANDARD_OUTPUT:
            files.write_json(json_to, record)
        lines.append(record)
        if out is not None:
            files.write_atomically(out, files.encode_picture(draw_poses(image, poses), out.suffix))
            found = sum(int((person[:, 2] > KEYPOINT_THRESHOLD).sum()) for person in poses.keypoints)
            print(
                f"flpn: {found} joints of {len(poses)} people score above {KEYPOINT_THRESHOLD}, "
                f"drawn in {out}",
                file=sys.stderr,
            )
    if json_to not in (None, files.STANDARD_OUTPUT):
        files.write_json(json_to, "".join(lines))


def _expand(photos: list[Path]) -> tuple[list[Path], bool]:
    """The photo files, and whether the output is json lines."""
    paths: list[Path] = []
    for photo in photos:
        if photo.is_dir():
            found = sorted(path for path in photo.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
            if not found:
                raise InputError(f"The folder {photo} holds no image ({', '.join(IMAGE_SUFFIXES)})")
            paths += found
        else:
            paths.append(photo)
    return paths, len(paths) > 1 or any(photo.is_dir() for photo in photos)


def _read_boxes(path: Path | None, several: bool):
    """A function photo path → its boxes, or None where no file was given."""
    if path is None:
        return lambda photo: None
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"Cannot read the boxes {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"The boxes {path} are not json: {error}") from error
    if isinstance(content, list) and not several:
        return lambda photo: content
    if not isinstance(content, dict):
        shape = "an object photo name → list" if several else "a list"
        raise InputError(f"The boxes {path} must be {shape} of [x, y, w, h]. Received: {str(content)[:80]}")

    def of(photo: Path):
        for key in (str(photo), photo.name):
            if isinstance(content.get(key), list):
                return content[key]
            if key in content:
                raise InputError(
                    f"The boxes {path} need a list for {key}; an empty one means nobody. "
                    f"Received: {str(content[key])[:80]}"
                )
        raise InputError(f"The boxes {path} have no entry for {photo.name}; an empty list means nobody")

    return of


def _record(path: Path, image: np.ndarray, model: str, poses: Poses) -> dict:
    return {
        "image": str(path),
        "width": image.shape[1],
        "height": image.shape[0],
        "model": model,
        "people": poses.people(),
    }
