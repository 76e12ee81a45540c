"""Tracking in videos of real photos that a camera pans and zooms over, and what the frames cost.

For each photo: a video of 150 frames in which its largest person is looked for. A frame counts where the box
around somebody's joints overlaps the true one by an IoU of 0.3 or more, and their id is that of most frames.
The time is divided into the network's, the detector's, the wait for the decoder, and the rest
(crops, heatmaps' peaks, tracking, smoothing, json).

    python benchmarks/video.py DATA [--boxes] [--detector FILE] [--photos 30] [--sheet FILE.png]
"""

import argparse
import functools
import json
import math
import tempfile
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from flpn_tf import geometry
from flpn_tf.runtime.association import overlaps
from flpn_tf.runtime.detectors import open_detector
from flpn_tf.runtime.draw import draw_poses
from flpn_tf.runtime.estimator import PoseEstimator, box_around
from flpn_tf.runtime.images import read_image
from flpn_tf.runtime.native_stderr import discard_native_stderr
from flpn_tf.runtime.tracking import PoseTracker
from flpn_tf.runtime.video.reader import VideoReader
from flpn_tf.runtime.video.writer import VideoWriter

FRAMES, RATE = 150, 30.0
HEIGHT, WIDTH = 480, 640
SCALES = 0.7, 1.0  # of the largest that shows the whole photo
SHIFT = 0.12  # of the picture, at most
_SAME = 0.3  # IoU


def views(photo: np.ndarray):
    """(2, 3) affines from the photo to each frame: the whole of it, panned in an eight and zoomed."""
    height, width = photo.shape[:2]
    for number in range(FRAMES):
        turn = 2 * math.pi * number / FRAMES
        scale = min(HEIGHT / height, WIDTH / width)
        scale *= SCALES[0] + (SCALES[1] - SCALES[0]) * (1 - math.cos(turn)) / 2
        x = width * (0.5 + SHIFT * math.sin(turn))
        y = height * (0.5 + SHIFT * math.sin(2 * turn))
        yield np.array([[scale, 0, WIDTH / 2 - scale * x], [0, scale, HEIGHT / 2 - scale * y]])


def people(data: Path, count: int) -> list[tuple[Path, list[float]]]:
    """Photos and the box of their largest person, of those with ten or more labelled joints."""
    content = json.loads((data / "annotations.json").read_text())
    largest = {}
    for person in content["annotations"]:
        if (
            person["num_keypoints"] >= 10
            and person["area"] > largest.get(person["image_id"], {"area": 0})["area"]
        ):
            largest[person["image_id"]] = person
    names = {image["id"]: image["file_name"] for image in content["images"]}
    chosen = sorted(largest)[:: max(len(largest) // count, 1)][:count]
    return [(data / "images" / names[number], largest[number]["bbox"]) for number in chosen]


def moved(box, view: np.ndarray) -> np.ndarray:
    low, high = geometry.transform_points([box[:2], np.add(box[:2], box[2:])], view)
    return np.concatenate([low, high - low])


class Timed:
    """A callable, and the seconds spent in it."""

    def __init__(self, function):
        self.function, self.seconds = function, 0.0

    def __call__(self, *arguments):
        begun = time.perf_counter()
        try:
            return self.function(*arguments)
        finally:
            self.seconds += time.perf_counter() - begun


def overlapping(tracked, expected) -> set[int]:
    """Ids of the people whose joints lie where the person is."""
    boxes = zip(tracked.ids.tolist(), map(box_around, tracked.poses.keypoints), strict=True)
    return {number for number, box in boxes if box is not None and overlaps(box, expected)[0].item() >= _SAME}


def follow(path: Path, tracker: PoseTracker, truth) -> tuple[list[set[int]], float, float, list]:
    """Ids on the person in each frame, the seconds in all and of waiting for frames, and some pictures."""
    found, shown, begun = [], [], time.perf_counter()
    with VideoReader(path) as reader:
        following = Timed(iter(reader).__next__)
        for expected in truth:
            frame = following()
            tracked = tracker.update(frame.image, frame.time)
            json.dumps(tracked.people())
            found.append(overlapping(tracked, expected))
            if frame.number % (FRAMES // 5) == 0:
                shown.append((frame.image, tracked))
    seconds = time.perf_counter() - begun
    pictures = [draw_poses(image, tracked.poses, ids=tracked.ids) for image, tracked in shown]
    return found, seconds, following.seconds, pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="flpn-mobile")
    parser.add_argument("--boxes", action="store_true", help="give the person's box in the first frame")
    parser.add_argument("--detector", help="searches for people once a second")
    parser.add_argument("--photos", type=int, default=30)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    with discard_native_stderr():
        estimator = PoseEstimator(arguments.model)
        detector = arguments.detector and Timed(open_detector(arguments.detector))
    network = estimator._backend.predict = Timed(estimator._backend.predict)
    shares, one_id, waited, total, rows = [], 0, 0.0, 0.0, []
    for photo, box in people(arguments.data, arguments.photos):
        image = read_image(photo)
        truth = [moved(box, view) for view in views(image)]
        tracker = PoseTracker(estimator, detector, [truth[0]] if arguments.boxes else None)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "video.mp4"
            with VideoWriter(path, RATE) as writer:
                for number, view in enumerate(views(image)):
                    writer.write(functools.partial(geometry.warp, image, view, HEIGHT, WIDTH), number / RATE)
            found, seconds, wait, pictures = follow(path, tracker, truth)
        total, waited = total + seconds, waited + wait
        counts = Counter(number for ids in found for number in ids)
        kept = max(counts.values(), default=0)
        shares.append(kept / FRAMES)
        one_id += kept == sum(map(bool, found))
        rows.append(np.hstack(pictures))
        print(f"{photo.name}: the same id in {kept} of {FRAMES} frames", flush=True)
    print(f"\n{len(shares)} videos: tracked by one id in {100 * np.mean(shares):.1f} % of frames")
    print(f"{sum(share >= 0.95 for share in shares)} of {len(shares)} in 95 % of their frames or more")
    print(f"{one_id} of {len(shares)} whenever they were found")
    search = detector.seconds if detector else 0.0
    rest = total - network.seconds - waited - search
    parts = {"network": network.seconds, "detector": search, "wait for the decoder": waited, "the rest": rest}
    for name, seconds in parts.items():
        each, share = 1000 * seconds / (FRAMES * len(shares)), 100 * seconds / network.seconds
        print(f"{name}: {each:.2f} ms a frame, {share:.0f} % of the network")
    if arguments.sheet:
        sheet = cv2.resize(np.vstack(rows), None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(arguments.sheet), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
