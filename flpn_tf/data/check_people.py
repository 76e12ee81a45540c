"""The checks of `flpn data check` on people and their joints. Needs no TensorFlow."""

import numpy as np

from flpn_tf.data.findings import Findings
from flpn_tf.data.records import PersonRecord
from flpn_tf.skeleton import Skeleton, joint_side, joint_words

_TOLERANCE = 1.0  # pixels; annotation tools differ on where a photo's first pixel lies
_BOX_GROWTH = 1.5
_FEWEST_PEOPLE = 50  # whose shares can give rise to a warning
_ODD_POINTS = 25  # between the share of one left/right pair and that of the others
_FACE = {"eye", "eyes", "ear", "ears"}


def check_joints(records: list[PersonRecord], keypoints: np.ndarray, sizes: dict, findings: Findings) -> None:
    """Looks at each labelled joint by itself.

    Args:
        keypoints: (N, K, 3), the records'.
        sizes: photo → (width, height) or None, for the records that state none.
    """
    xy, codes = keypoints[..., :2], keypoints[..., 2]
    labelled = codes > 0
    known = [record.image_size or sizes[record.image] or (np.inf, np.inf) for record in records]
    last = np.array(known)[:, np.newaxis] - 1
    beyond = np.where(labelled, np.maximum(-xy, xy - last).max(axis=-1), 0)  # pixels
    for row, who, names in _people_with(beyond > _TOLERANCE, records):
        findings.warn("joint off its photo", f"{who}: {names}, by up to {beyond[row].max():.0f} pixels")
    boxes = np.stack([record.box for record in records])[:, np.newaxis]
    half = boxes[..., 2:] / 2
    outside = (np.abs(xy - boxes[..., :2] - half) > half * _BOX_GROWTH).any(axis=-1)
    # Hidden joints are put where they would be, often far from what is seen of a person: so with 62 of the
    # 1,029 people in our COCO photos. No visible joint of theirs is.
    for _, who, names in _people_with((codes > 1) & outside, records):
        findings.warn("visible joint far off its box", f"{who}: {names}; are people mixed up?")


def _people_with(wrong: np.ndarray, records: list[PersonRecord]):
    """Yields (row, "person of photo", names of the joints) for the rows of `wrong` (N, K) with any."""
    for row in np.flatnonzero(wrong.any(axis=1)).tolist():
        record = records[row]
        first, *more = (record.skeleton.names[joint] for joint in np.flatnonzero(wrong[row]))
        names = f"{first} and {len(more)} more" if more else first
        yield row, f"person {record.person_id} of {record.image}", names


def check_duplicates(records: list[PersonRecord], keypoints: np.ndarray, findings: Findings) -> None:
    """Warns of people with the keypoints of another in the same photo; `keypoints` as in `check_joints`."""
    labelled = keypoints * (keypoints[..., 2:] > 0) + 0.0  # the sum makes -0 a 0
    first_of = {}
    for record, values in zip(records, labelled, strict=True):
        first = first_of.setdefault((record.image, values.tobytes()), record)
        if first is not record and values.any():
            findings.warn(
                "duplicate person",
                f"person {record.person_id} of {record.image} has the keypoints of person {first.person_id}",
            )


def count_joints(keypoints: np.ndarray, skeleton: Skeleton) -> dict[str, dict]:
    """The `joints` of a `CheckResult`, from keypoints (N, K, 3)."""
    labelled, visible = ((keypoints[..., 2] > code).sum(axis=0).tolist() for code in (0, 1))
    return {
        name: {"labelled": count, "visible": _percent(seen, count)}
        for name, count, seen in zip(skeleton.names, labelled, visible, strict=True)
    }


def left_right(keypoints: np.ndarray, skeleton: Skeleton) -> list[dict]:
    """The `pairs` of a `CheckResult`, from keypoints (N, K, 3)."""
    names = skeleton.names
    pairs = [_left_first(names[a], names[b]) for a, b in skeleton.flip_pairs]
    pairs = [pair for pair in pairs if pair is not None]
    if not pairs:
        return []
    left, right = ([names.index(name) for name in side] for side in zip(*pairs, strict=True))
    both = (keypoints[:, left, 2] > 0) & (keypoints[:, right, 2] > 0)  # (N, pairs)
    turn = np.sign(keypoints[:, left, 0] - keypoints[:, right, 0]) * both  # 1: of somebody who faces us
    votes = turn * [not _of_face(name) for name, _ in pairs]
    others = np.sign(votes.sum(axis=1, keepdims=True) - votes)
    compared = (turn != 0) & (others != 0)
    people, facing, among, disagree = (
        mask.sum(axis=0).tolist() for mask in (both, turn > 0, compared, compared & (turn != others))
    )
    return [
        {
            "left": pair[0],
            "right": pair[1],
            "people": people[i],
            "facing": _percent(facing[i], people[i]),
            "compared": among[i],
            "disagree": _percent(disagree[i], among[i]),
        }
        for i, pair in enumerate(pairs)
    ]


def check_sides(pairs: list[dict], findings: Findings) -> None:
    """Warns of pairs whose left and right lie otherwise than those of most other pairs."""
    kind = "left and right swapped"
    body = [p for p in pairs if p["people"] >= _FEWEST_PEOPLE and not _of_face(p["left"])]
    shares = np.array([pair["facing"] for pair in body])
    odd = {}
    for i, (pair, share) in enumerate(zip(body, shares, strict=True)):
        others = np.median(np.delete(shares, i)) if len(shares) > 1 else share
        # The second condition spares the good pairs where one of three is swapped.
        if abs(share - others) > _ODD_POINTS and abs(share - np.median(shares)) > _ODD_POINTS / 2:
            odd[pair["left"]] = f"facing {share:.0f} %, the others {others:.0f} %"
    for pair in pairs:
        if pair["compared"] >= _FEWEST_PEOPLE and pair["disagree"] > 50:
            odd[pair["left"]] = (
                f"in {pair['disagree']:.0f} % of {pair['compared']} people they lie otherwise than most"
            )
    for pair in pairs:
        if pair["left"] in odd:
            name = f"{pair['left']} and {pair['right']}"
            findings.warn(kind, f"left and right of {name} may be swapped: {odd[pair['left']]}")


def _left_first(one: str, other: str) -> tuple[str, str] | None:
    """(left, right); None where the names, of pairs that the annotations state, don't say."""
    of = {joint_side(one): one, joint_side(other): other}
    return (of["left"], of["right"]) if {"left", "right"} <= of.keys() else None


def _of_face(name: str) -> bool:
    """Such a pair is seldom labelled on people seen from behind."""
    return not _FACE.isdisjoint(joint_words(name))


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole else None
