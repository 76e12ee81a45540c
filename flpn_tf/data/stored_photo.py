"""What a prepared record keeps of a photo: all of it, or the part that training can see of one person.

Needs no TensorFlow.
"""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from flpn_tf.data.augment import Augmentation
from flpn_tf.data.findings import BadEntry
from flpn_tf.data.half_body import HALF_BODY_AT_LEAST, HALF_BODY_EXTENT, HALF_BODY_MORE_THAN
from flpn_tf.data.records import PersonRecord
from flpn_tf.errors import InputError
from flpn_tf.runtime.images import decode_image, refused_damage
from flpn_tf.runtime.photo_header import PhotoHeader, check_pixels, read_header

_BORDER = 2  # photo pixels around the part, for the bilinear neighbours
_LONGEST_SIDE = 65500  # that JPEG encoders write


@dataclass(frozen=True)
class StoredPhoto:
    """How `flpn data prepare` stores photos.

    Attributes:
        whole: keep whole photos, one record each with all its people; else the part around each person.
        image_size: (height, width) of the network's input.
        padding: of the crop.
        reach: the largest augmentation that must stay inside the stored part.
        detail: stored pixels per pixel of the unaugmented crop, at most; what has more is shrunk.
        quality: of a JPEG that has to be encoded anew, 1–100. A photo that is kept whole, upright and
            unshrunk keeps its bytes.
    """

    whole: bool = False
    image_size: tuple[int, int] = (256, 192)
    padding: float = 1.25
    reach: Augmentation = field(default_factory=lambda: Augmentation(half_body=1.0))
    detail: float = 2.0
    quality: int = 95

    def __post_init__(self):
        if not min(self.image_size) > 0:
            raise InputError(f"image_size must be [height, width]. Received: {list(self.image_size)}")
        if not 1 <= self.quality <= 100:
            raise InputError(f"quality must be in 1–100. Received: {self.quality}")
        if not 0 < self.detail < np.inf or not 0 < self.padding < np.inf:
            raise InputError(
                f"detail and padding must be above 0, and finite. "
                f"Received: {self.detail:g} and {self.padding:g}"
            )


def store(
    content: bytes, people: list[PersonRecord], options: StoredPhoto, keep_bytes: bool = True
) -> tuple[bytes, list[dict]]:
    """The picture to store of a photo, and its people in that picture's pixels.

    Args:
        content: the photo's file.
        people: of this photo; one of them where `options.whole` is False.
        keep_bytes: False encodes anew what could stay as it is.

    Returns:
        JPEG or PNG, and a dict of `id`, `box`, `area`, `keypoints` for each of `people`.

    Raises:
        BadEntry: the photo cannot be decoded, is damaged, too large, or not of the size that the annotations
            state.
    """
    source, header = people[0].image, read_header(content)
    photo = _decode(content, header, source, people[0].image_size)
    height, width = photo.shape[:2]
    window, zoom = (0, 0, width, height), 1.0
    if not options.whole:
        window, zoom = _part(people[0], width, height, options)
    left, top, right, bottom = window
    size = np.maximum(np.rint(zoom * np.array([right - left, bottom - top])), 1).astype(int)
    untouched = tuple(size) == (width, height) and header is not None and header.orientation == 1
    if untouched and keep_bytes:
        return content, [_moved(person, np.zeros(2), np.ones(2)) for person in people]
    picture = photo[top:bottom, left:right]
    if zoom < 1:
        picture = cv2.resize(picture, size.tolist(), interpolation=cv2.INTER_AREA)
    if size.max() > _LONGEST_SIDE:
        raise BadEntry(
            "bad photo",
            f"{source}: a JPEG has sides of at most {_LONGEST_SIDE} pixels. Received: {size[0]}x{size[1]}",
        )
    encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, options.quality]
    )[1].tobytes()
    scale = size / np.array([right - left, bottom - top])
    return encoded, [_moved(person, np.array([left, top]), scale) for person in people]


def _decode(
    content: bytes, header: PhotoHeader | None, source: Path | str, stated: tuple[int, int] | None
) -> np.ndarray:
    try:
        if header is not None:
            check_pixels(header.width, header.height, source)
        with refused_damage(source):
            photo = decode_image(content, source)
        check_pixels(photo.shape[1], photo.shape[0], source)
    except InputError as error:
        raise BadEntry("bad photo", str(error)) from error
    size = photo.shape[1::-1]
    if stated is not None and size != stated:
        raise BadEntry(
            "size differs",
            f"{source}: is {size[0]}x{size[1]} upright, its annotations say {stated[0]}x{stated[1]}; "
            "flpn data check tells more",
        )
    return photo


def _part(person: PersonRecord, width: int, height: int, options: StoredPhoto):
    """((left, top, right, bottom), zoom): the photo's pixels any augmentation can reach, and ≤ 1."""
    reach = options.reach
    low, high, zooms = np.full(2, np.inf), np.full(2, -np.inf), []
    for box in [person.box, *_halves(person, options)]:
        shown_width = max(box[2], box[3] * options.image_size[1] / options.image_size[0])
        shown = shown_width * np.array([1, options.image_size[0] / options.image_size[1]])
        extent = options.padding * shown * (1 + reach.scale)
        half = _turned(extent, np.deg2rad(min(reach.rotation, 90))) / 2 + reach.translation * shown + _BORDER
        centre = box[:2] + box[2:] / 2
        low, high = np.minimum(low, centre - half), np.maximum(high, centre + half)
        photo_per_crop = options.padding * shown_width / options.image_size[1]
        zooms.append(min(1.0, options.detail / photo_per_crop))
    last = np.array([width, height]) - 1
    start = np.clip(np.floor(low), 0, last).astype(int)
    stop = np.clip(np.ceil(high) + 1, start + 1, last + 1).astype(int)
    # The finest of its crops decides.
    return (*start.tolist(), *stop.tolist()), max(zooms)


def _turned(extent: np.ndarray, angle: float) -> np.ndarray:
    """Sides of the upright rectangle that holds one of `extent`, turned by up to `angle` either way."""

    def longest(along, across):
        turn = min(angle, np.arctan2(across, along))
        return along * np.cos(turn) + across * np.sin(turn)

    return np.array([longest(*extent), longest(*extent[::-1])])


def _halves(person: PersonRecord, options: StoredPhoto) -> list[np.ndarray]:
    """The boxes `augment_batch.half_bodies` can give this person."""
    labelled = person.keypoints[:, 2] > 0
    if not options.reach.half_body or labelled.sum() <= HALF_BODY_MORE_THAN:
        return []
    lower = person.skeleton.lower_body
    boxes = []
    for half in (labelled & lower, labelled & ~lower):
        if half.sum() >= HALF_BODY_AT_LEAST:
            points = person.keypoints[half, :2].astype(np.float64)
            size = np.maximum(np.ptp(points, axis=0), 1) * HALF_BODY_EXTENT / options.padding
            boxes.append(np.concatenate([points.mean(axis=0) - size / 2, size]))
    return boxes


def _moved(person: PersonRecord, start: np.ndarray, scale: np.ndarray) -> dict:
    """The person in a picture that begins at photo pixel `start` and was resized by `scale`."""

    def moved(points):
        # Pixel centres are at integers, so it is the pixels' corners that scale.
        return (points - start + 0.5) * scale - 0.5

    keypoints = person.keypoints.astype(np.float64)
    labelled = keypoints[:, 2:] > 0
    keypoints[:, :2] = np.where(labelled, moved(keypoints[:, :2]), 0)
    return {
        "id": person.person_id,
        "box": np.concatenate([moved(person.box[:2]), person.box[2:] * scale]),
        "area": person.area * scale.prod(),
        "keypoints": keypoints,
    }
