"""PoseTracker: the same people from frame to frame."""

import math
from dataclasses import dataclass, field

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.geometry import touches
from flpn_tf.oks import oks_nms
from flpn_tf.runtime.association import associate
from flpn_tf.runtime.estimator import box_around, check_boxes
from flpn_tf.runtime.poses import KEYPOINT_THRESHOLD, Poses
from flpn_tf.runtime.smoothing import PoseSmoother

SEARCH_INTERVAL = 1.0  # seconds
RETRY = 0.1  # seconds, while somebody or everybody is missing
MEMORY = 1.0  # seconds
# Mean score of a pose's joints, to be believed at first and from then on: `benchmarks/pose_belief.py`.
_BELIEF_IN_NEW, _BELIEF_IN_KNOWN = 0.25, 0.2
_LARGER = 1.6  # where to look again without a detector, in sides of the box
_DOUBLE = 0.7  # OKS of two tracks that have become one person's
_UNCONFIRMED = 2  # searches by a detector that may miss somebody before weak joints are disbelieved
_BELIEF_ALONE = 0.3  # for joints to be believed whom the detector never sees
_FASTEST_SHRINKING = 0.03  # of the box's longer side, each edge in each frame


@dataclass(frozen=True)
class TrackedPoses:
    """The people in one frame.

    Attributes:
        poses: P of them, the longest known first.
        ids: ``(P,)`` int64, from 1, the same for the same person. Without a detector there is one person, and
            one number until they are out of sight for `MEMORY`.
    """

    poses: Poses
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def people(self) -> list[dict]:
        """Json-ready: `Poses.people`, each with its ``"id"``."""
        return [
            {"id": int(number)} | person for number, person in zip(self.ids, self.poses.people(), strict=True)
        ]


@dataclass
class _Track:
    """One person: what was seen of them last."""

    number: int
    box: np.ndarray  # where to look next
    seen: float  # seconds
    present: bool = False  # in the last frame
    pose: np.ndarray | None = None  # (K, 3), not smoothed
    unconfirmed: int = 0
    smoother: PoseSmoother = field(default_factory=PoseSmoother)

    def follow(self, pose: np.ndarray, time: float, size: tuple[int, int]) -> None:
        """Takes a frame's pose; a person who walks out of the picture is forgotten at once."""
        self.box = next_box(pose, self.pose, self.box)
        self.pose, self.seen = pose, time
        if not touches(self.box, *size):
            self.seen = -math.inf


def next_box(pose: np.ndarray, before: np.ndarray | None, box: np.ndarray) -> np.ndarray:
    """Where to look for a person in the next frame.

    The box around the joints; but an edge goes inwards slowly, from the last box as it moved with the
    joints, lest a joint that is missed once be left out of every crop that follows.

    Args:
        pose: ``(K, 3)`` of this frame, pixels.
        before: of the frame before, None where there was none.
        box: ``[x, y, w, h]``, where the person was followed to in this frame.
    """
    around = box_around(pose)
    if around is None:
        return box
    moved = np.zeros(2)
    if before is not None:
        common = np.minimum(before[:, 2], pose[:, 2]) > KEYPOINT_THRESHOLD
        if common.any():
            moved = (pose - before)[common, :2].mean(axis=0)
    inwards = _FASTEST_SHRINKING * box[2:].max()
    low = np.minimum(around[:2], box[:2] + moved + inwards)
    high = np.maximum(around[:2] + around[2:], box[:2] + box[2:] + moved - inwards)
    return np.concatenate([low, high - low])


class PoseTracker:
    """Follows people through a video: a frame's joints say where to look in the next one (as in MoveNet).

    People are searched for at first, every ``search_interval``, and when somebody was lost, then every tenth
    of a second: by the detector, or without one in the whole frame, where one person is found. A pose found
    so belongs to the person whose own, or whose box, it is most like, else to somebody new (`associate`). Who
    is lost is looked for in the same place for `MEMORY` seconds more, and known again there or by the pose.

    Example:
        tracker = PoseTracker(PoseEstimator("flpn-mobile"))
        for time, frame in frames:
            people = tracker.update(frame, time)
            people.ids, people.poses.keypoints

    Args:
        estimator: a `PoseEstimator` or `RemoteEstimator`.
        detector: a `Detector`.
        boxes: ``(P, 4)`` ``[x, y, w, h]`` of the people in the first frame, pixels. Without a detector
            nobody else is looked for.
        smooth: give the joints smoothed by `PoseSmoother`.
        search_interval: seconds.

    Raises:
        InputError: a search interval that is no positive number.
    """

    def __init__(
        self, estimator, detector=None, boxes=None, smooth=True, search_interval: float = SEARCH_INTERVAL
    ):
        if not search_interval > 0:
            raise InputError(f"search_interval is a number of seconds above 0. Received: {search_interval!r}")
        self._estimator, self._detector, self._boxes = estimator, detector, boxes
        self._given_boxes = boxes is not None
        self._smooth, self._search_interval = smooth, search_interval
        self._tracks: list[_Track] = []
        self._last_number = 0
        self._last_time = self._next_search = -math.inf

    def update(self, image: np.ndarray, time: float) -> TrackedPoses:
        """The people in the next frame.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.
            time: of the frame, seconds, above that of the frame before.

        Raises:
            InputError: a bad image, box or time.
        """
        if not time > self._last_time:
            raise InputError(f"time must grow from frame to frame. Received: {time!r}")
        self._last_time = time
        if self._boxes is not None:
            for box in check_boxes(self._boxes, *image.shape[:2], "the first frame"):
                self._add(box)
            self._boxes = None
        searching = time >= self._next_search
        boxes, box_scores = self._search(image) if searching else (np.zeros((0, 4)), np.zeros(0))
        known = len(self._tracks)
        boxes = np.concatenate([np.reshape([track.box for track in self._tracks], (-1, 4)), boxes])
        poses = self._estimator.estimate(image, boxes, np.concatenate([np.ones(known), box_scores]))
        beliefs = poses.keypoints[..., 2].mean(axis=1)
        places = [place if beliefs[place] >= _BELIEF_IN_KNOWN else None for place in range(known)]
        if searching:
            self._match(poses, beliefs, places)
        self._leave_out_doubles(poses, places)
        return self._move_on(poses, places, image.shape[:2], time, searching)

    def _add(self, box: np.ndarray) -> None:
        self._last_number += 1
        self._tracks.append(_Track(self._last_number, box, self._last_time))

    def _search(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes that may hold people, and their scores."""
        height, width = image.shape[:2]
        if self._detector is not None:
            found = self._detector(image)
            boxes, scores = np.reshape(found.boxes, (-1, 4)), np.asarray(found.scores)
        else:
            regions = np.array([[0.0, 0.0, width, height]])
            if self._given_boxes:
                regions = np.reshape([_enlarged(track.box) for track in self._tracks], (-1, 4))
            around = map(box_around, self._estimator.estimate(image, regions).keypoints)
            boxes = np.reshape([box for box in around if box is not None], (-1, 4))
            scores = np.ones(len(boxes))
        visible = np.array([touches(box, height, width) for box in boxes], bool)
        return boxes[visible], scores[visible]

    def _match(self, poses: Poses, beliefs: np.ndarray, places: list[int | None]) -> None:
        """Gives the poses that were searched for to tracks, old or new.

        Args:
            poses: of the tracks, in their order, then those searched for.
            beliefs: of each pose.
            places: for each track, the place of its pose in `poses`; None where it is not believed. Is
                changed, as the tracks are.
        """
        known = len(places)
        met = [place for place in range(known, len(poses)) if beliefs[place] >= _BELIEF_IN_KNOWN]
        pairs, shrunk, doubles = associate(
            poses.keypoints[met],
            poses.boxes[met],
            [
                track.pose if place is None else poses.keypoints[place]
                for track, place in zip(self._tracks, places, strict=True)
            ],
            [track.box for track in self._tracks],
            [place is not None for place in places],
            poses.skeleton.sigmas,
        )
        for row, number in pairs:
            place, other = places[number], met[row]
            # A detector says how large a person is; another look at the picture does not.
            larger = self._detector is not None and (row, number) in shrunk
            if place is None or larger or beliefs[other] > beliefs[place]:
                places[number] = other
        if self._detector is not None:
            self._disbelieve({number for _, number in pairs}, beliefs, places)
        strangers = set(range(len(met))) - doubles - {row for row, _ in pairs}
        for row in sorted(strangers):
            if beliefs[met[row]] >= _BELIEF_IN_NEW:
                self._meet(met[row], poses, places)

    def _meet(self, place: int, poses: Poses, places: list[int | None]) -> None:
        """Somebody who is like nobody known."""
        if self._detector is not None or not (self._tracks or self._given_boxes):
            self._add(poses.boxes[place])
            places.append(place)
        elif not self._given_boxes and places[0] is None:
            # In the whole frame one person is found: who was lost, wherever they are now.
            places[0] = place

    def _disbelieve(self, confirmed: set[int], beliefs: np.ndarray, places: list[int | None]) -> None:
        """Forgets those whom the detector does not see and whose joints say little."""
        for number, (track, place) in enumerate(zip(self._tracks, places, strict=True)):
            if place is None:  # lost; MEMORY counts
                continue
            strong = beliefs[place] >= _BELIEF_ALONE
            track.unconfirmed = 0 if number in confirmed or strong else track.unconfirmed + 1
            if track.unconfirmed >= _UNCONFIRMED:
                places[number], track.seen = None, -math.inf

    def _leave_out_doubles(self, poses: Poses, places: list[int | None]) -> None:
        """Of two tracks that came together the newer is left without a pose."""
        present = [number for number, place in enumerate(places) if place is not None]
        keypoints = poses.keypoints[[places[number] for number in present]]
        areas = [self._tracks[number].box[2:].prod() for number in present]
        order = -np.arange(len(present))
        kept = oks_nms(keypoints, order, areas, poses.skeleton.sigmas, _DOUBLE) if present else []
        for position, number in enumerate(present):
            if position not in kept:
                places[number] = None

    def _move_on(self, poses: Poses, places, size, time: float, searched: bool) -> TrackedPoses:
        """What the frame shows, and where to look in the next."""
        shown, keypoints, before = [], [], sum(track.present for track in self._tracks)
        for track, place in zip(self._tracks, places, strict=True):
            track.present = place is not None
            if place is None:
                continue
            track.follow(poses.keypoints[place], time, size)
            shown.append((track.number, place))
            joints = poses.keypoints[place]
            keypoints.append(track.smoother(joints, time, track.box) if self._smooth else joints)
        ids, taken = np.array(shown, np.int64).reshape(-1, 2).T
        self._tracks = [track for track in self._tracks if time - track.seen <= MEMORY]
        missing = len(shown) < max(len(self._tracks), 1)
        if searched:
            self._next_search = time + (RETRY if missing else self._search_interval)
        elif len(shown) < before:
            self._next_search = time
        found = Poses(
            poses.boxes[taken],
            np.reshape(keypoints, (-1, *poses.keypoints.shape[1:])),
            poses.scores[taken],
            poses.skeleton,
        )
        return TrackedPoses(found, ids)


def _enlarged(box: np.ndarray) -> np.ndarray:
    sides = _LARGER * box[2:]
    return np.concatenate([box[:2] + (box[2:] - sides) / 2, sides])
