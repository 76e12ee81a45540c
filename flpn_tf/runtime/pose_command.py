"""What `flpn pose` does."""

import json
import math
import sys
from pathlib import Path

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.runtime import files
from flpn_tf.runtime.draw import draw_poses
from flpn_tf.runtime.images import IMAGE_SUFFIXES, read_intact_image
from flpn_tf.runtime.pose_settings import OpenedModels, PoseSettings
from flpn_tf.runtime.poses import KEYPOINT_THRESHOLD, Poses
from flpn_tf.runtime.video import command as video_command
from flpn_tf.runtime.video.reader import is_video
from flpn_tf.runtime.video.writer import CODECS


def run(
    sources: list[Path],
    boxes: Path | None = None,
    out: Path | None = None,
    json_to: str | None = None,
    settings: PoseSettings | None = None,
    smooth: bool = True,
    seconds: float | None = None,
) -> None:
    """Estimates the poses in photos or in a video and writes json, pictures of them, or both.

    One photo gives one json object; several, or a folder, one object a line in the order given; a video or
    camera one object a line for each frame (`video_command.run`).

    Args:
        sources: photos, or folders whose images are taken in name order; or one video or camera's number.
        boxes: json file: a list of ``[x, y, w, h]`` for one photo or a video's first frame, or an object
            photo name → such a list.
        out: the photo or video with skeletons; of several photos there is none.
        json_to: file, or `files.STANDARD_OUTPUT`, which is also the default where ``out`` is not given.
        settings: the model and the detector; by default the phone model.
        smooth, seconds: of a video.

    Raises:
        InputError: the first bad input; photos' file outputs are then not written.
    """
    settings = settings or PoseSettings()
    video = any(map(is_video, sources))
    if video and len(sources) > 1:
        raise InputError(f"a video is taken alone. Received: {' '.join(map(str, sources))}")
    if not video and (seconds is not None or not smooth):
        raise InputError("--seconds and --no-smooth are for a video. Received: photos")
    if seconds is not None and not 0 < seconds < math.inf:
        raise InputError(f"--seconds is a number above 0. Received: {seconds}")
    if settings.detector is not None and boxes is not None:
        raise InputError(f"--detector finds the people that --boxes gives; leave one out. Received: {boxes}")
    paths, several = (sources, False) if video else _expand(sources)
    if out is not None and several:
        raise InputError(f"--out draws one photo; --json takes several. Received: {len(paths)} photos")
    if out is not None:
        files.check_writable(out, tuple(CODECS) if video else files.PICTURE_SUFFIXES)
    if json_to is None and out is None:
        json_to = files.STANDARD_OUTPUT
    files.check_json_output(json_to)
    inputs = [*paths, *settings.files] + ([boxes] if boxes else [])
    for output in (out, json_to):
        if output not in (None, files.STANDARD_OUTPUT):
            files.check_apart(output, inputs)
            inputs.append(output)
    boxes_of = _read_boxes(boxes, several)
    models = settings.open()
    if video:
        video_command.run(str(paths[0]), models, boxes_of(paths[0]), out, json_to, smooth, seconds)
    else:
        _of_photos(paths, several, models, boxes_of, out, json_to)


def _of_photos(paths: list[Path], several: bool, models: OpenedModels, boxes_of, out, json_to) -> None:
    lines = []
    for path in paths:
        image = read_intact_image(path)
        found = (boxes_of(path),)
        if models.detect is not None:
            people = models.detect(image)
            found = people.boxes, people.scores
        poses = models.estimate(path if models.takes_files else image, *found, name=str(path))
        record = json.dumps(_record(path, image, models.name, poses), indent=None if several else 1) + "\n"
        if json_to == files.STANDARD_OUTPUT:
            files.write_json(json_to, record)
        lines.append(record)
        if out is not None:
            files.write_atomically(out, files.encode_picture(draw_poses(image, poses), out.suffix))
            joints = sum(int((person[:, 2] > KEYPOINT_THRESHOLD).sum()) for person in poses.keypoints)
            found = f"{joints} joints of {len(poses)} people score above {KEYPOINT_THRESHOLD}, drawn in {out}"
            print(f"flpn: {found if len(poses) else f'nobody is found; {out} is the photo'}", file=sys.stderr)
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
