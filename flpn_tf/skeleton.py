"""Skeletons: joint names, mirror pairs, limbs and OKS constants as data."""

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from flpn_tf.errors import InputError

# The median of the 17 COCO constants below: used for joints nobody has measured one for.
DEFAULT_SIGMA = 0.072

_LOWER_BODY = ("hip", "pelvis", "knee", "ankle", "foot", "heel", "toe", "leg")
_OTHER_SIDE = {"left": "right", "right": "left", "l": "r", "r": "l"}


@dataclass(frozen=True)
class Skeleton:
    """The joints of one kind of body.

    Attributes:
        name: short identifier, e.g. ``"coco_17"``; skeletons that differ only here are equal.
        names: one unique name a joint; the position is the joint's index in heatmaps and keypoint arrays.
        flip_pairs: pairs of joint indices that change places when a picture is mirrored.
        limbs: pairs of joint indices (0-based) to join with a line.
        sigmas: one OKS constant a joint, the standard deviation of annotators divided by the object's scale
            (the COCO keypoint evaluation uses ``k = 2 * sigma``).

    Raises:
        InputError: lengths or indices that do not fit together.
    """

    name: str = field(compare=False)
    names: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    limbs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]

    def __post_init__(self):
        try:
            set_ = object.__setattr__
            set_(self, "names", tuple(self.names))
            set_(self, "flip_pairs", _index_pairs(self.flip_pairs))
            set_(self, "limbs", _index_pairs(self.limbs))
            set_(self, "sigmas", tuple(float(s) for s in self.sigmas))
        except (TypeError, ValueError) as error:
            raise InputError(f"Skeleton {self.name!r} is malformed: {error}") from error
        count = len(self.names)
        if count == 0 or not all(isinstance(name, str) and name for name in self.names):
            raise InputError(
                f"Skeleton {self.name!r} needs at least one joint, each with a name. Received: {self.names}"
            )
        if len(set(self.names)) != count:
            raise InputError(f"Skeleton {self.name!r} needs unique joint names. Received: names={self.names}")
        if len(self.sigmas) != count or not all(0 < s < np.inf for s in self.sigmas):
            raise InputError(
                f"Skeleton {self.name!r} needs {count} positive sigmas. Received: sigmas={self.sigmas}"
            )
        for pairs_of in ("flip_pairs", "limbs"):
            pairs = getattr(self, pairs_of)
            if any(a == b or not (0 <= a < count and 0 <= b < count) for a, b in pairs):
                raise InputError(
                    f"Skeleton {self.name!r}: {pairs_of} must join two different joints in 0…{count - 1}. "
                    f"Received: {pairs}"
                )
        flipped = [joint for pair in self.flip_pairs for joint in pair]
        if len(set(flipped)) != len(flipped):
            raise InputError(
                f"Skeleton {self.name!r}: a joint may be in one flip pair only. Received: {self.flip_pairs}"
            )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def flip_permutation(self) -> np.ndarray:
        """``(K,)`` ints: ``keypoints[permutation]`` puts a mirrored body's joints in this order."""
        order = np.arange(len(self))
        for a, b in self.flip_pairs:
            order[a], order[b] = b, a
        return order

    @property
    def lower_body(self) -> np.ndarray:
        """``(K,)`` bool: the joints of hips, legs and feet, by their names."""
        return np.array([any(part in name.lower() for part in _LOWER_BODY) for name in self.names])

    @classmethod
    def unnamed(cls, count: int) -> "Skeleton":
        """``count`` joints that nothing is known about: no pairs, no limbs, the default sigma."""
        return cls(
            name=f"unnamed_{count}",
            names=tuple(f"keypoint_{i}" for i in range(count)),
            flip_pairs=(),
            limbs=(),
            sigmas=(DEFAULT_SIGMA,) * count,
        )

    @classmethod
    def from_coco_category(
        cls,
        category: Mapping,
        flip_pairs: Sequence[Sequence[int]] | None = None,
        sigmas: Sequence[float] | None = None,
    ) -> "Skeleton":
        """Reads one entry of a COCO json's ``categories``.

        Args:
            category: has ``keypoints`` (names); may have ``skeleton`` (limbs, 1-based) and ``name``.
            flip_pairs: 0-based; by default found from joint names that differ in left/right only.
            sigmas: by default those of the known skeleton with the same joint names, else COCO's of the
                joints that it has, and `DEFAULT_SIGMA` of the others.

        Raises:
            InputError: no ``keypoints``, or a limb outside them.
        """
        names = category.get("keypoints") if isinstance(category, Mapping) else None
        if not isinstance(names, Sequence) or isinstance(names, str) or not names:
            raise InputError(
                f"A COCO category needs a list `keypoints` of joint names. Received: category={category}"
            )
        names = tuple(str(n) for n in names)
        known = next((s for s in SKELETONS.values() if s.names == names), None)
        if flip_pairs is None:
            flip_pairs = known.flip_pairs if known else _pairs_from_names(names)
        if sigmas is None:
            sigmas = known.sigmas if known else _sigmas_by_name(names)
        try:
            limbs = tuple((_index(a) - 1, _index(b) - 1) for a, b in category.get("skeleton") or ())
            if not all(0 <= joint < len(names) for limb in limbs for joint in limb):
                raise ValueError("as where a tool counts from 0")
        except (TypeError, ValueError) as error:
            raise InputError(
                f"A COCO category's `skeleton` is a list of pairs of 1-based joints, 1 to {len(names)}. "
                f"Received: {category.get('skeleton')}"
            ) from error
        name = known.name if known else f"{category.get('name', 'category')}_{len(names)}"
        return cls(name, names, tuple(flip_pairs), limbs or (known.limbs if known else ()), tuple(sigmas))

    def to_dict(self) -> dict:
        """The attributes as plain json values."""
        return {
            "name": self.name,
            "names": list(self.names),
            "flip_pairs": [list(p) for p in self.flip_pairs],
            "limbs": [list(p) for p in self.limbs],
            "sigmas": list(self.sigmas),
        }

    @classmethod
    def from_dict(cls, values: Mapping) -> "Skeleton":
        """The inverse of `to_dict`; ``name`` may be left out.

        Raises:
            InputError: a field is missing, unknown or malformed.
        """
        lists = ("names", "flip_pairs", "limbs", "sigmas")
        if not isinstance(values, Mapping) or not set(lists) <= set(values) <= {"name", *lists}:
            raise InputError(f"A skeleton needs the fields {', '.join(lists)}. Received: {values}")
        if not all(isinstance(values[key], list | tuple) for key in lists):
            raise InputError(f"A skeleton's {', '.join(lists)} are lists. Received: {values}")
        names = tuple(values["names"])
        known = next((s.name for s in SKELETONS.values() if s.names == names), f"custom_{len(names)}")
        return cls(values.get("name", known), **{key: values[key] for key in lists})

    def subset(self, joints: Sequence[int]) -> "Skeleton":
        """These joints alone, in this order, with the pairs and limbs that are whole among them."""
        place = {joint: number for number, joint in enumerate(joints)}
        pairs, limbs = (
            tuple((place[a], place[b]) for a, b in both if a in place and b in place)
            for both in (self.flip_pairs, self.limbs)
        )
        names, sigmas = ([values[joint] for joint in joints] for values in (self.names, self.sigmas))
        return Skeleton(self.name, names, pairs, limbs, sigmas)

    def match(self, other: "Skeleton") -> list[tuple[int, int]]:
        """Index pairs ``(in self, in other)`` of the joints with the same name, in this skeleton's order.

        Raises:
            InputError: fewer than half of the smaller skeleton's joints are matched.
        """
        position = {name: j for j, name in enumerate(other.names)}
        pairs = [(i, position[name]) for i, name in enumerate(self.names) if name in position]
        if 2 * len(pairs) < min(len(self), len(other)):
            raise InputError(
                f"Skeletons {self.name!r} and {other.name!r} share {len(pairs)} joints, fewer than half: "
                f"give the same joints the same names. Received: {self.names} and {other.names}"
            )
        return pairs

    def unmatched(self, other: "Skeleton") -> tuple[str, ...]:
        """Names of this skeleton's joints that ``other`` has not."""
        return tuple(name for name in self.names if name not in set(other.names))


def _index_pairs(pairs) -> tuple[tuple[int, int], ...]:
    return tuple((_index(a), _index(b)) for a, b in pairs)


def _index(value) -> int:
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise TypeError(f"a joint is a whole number. Received: {value!r}")


def joint_words(name: str) -> tuple[str, ...]:
    """The words of a joint's name, in lower case: two in ``left_eye`` and in ``LeftEye``."""
    return tuple(word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name))


def joint_side(name: str) -> str | None:
    """``"left"`` or ``"right"``: a joint's name holds it, or l or r as a word; None where it doesn't say."""
    words = joint_words(name)
    return next((side for side in ("left", "right") if side in name.lower() or side[0] in words), None)


def _pairs_from_names(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Pairs of names that differ in one word, left/right or l/r: ``left_eye``, ``eye_l``, ``LeftEye``."""
    words = [joint_words(name) for name in names]
    position = {w: i for i, w in enumerate(words)}
    pairs = []
    for i, own in enumerate(words):
        mirrored = tuple(_OTHER_SIDE.get(w, w) for w in own)
        j = position.get(mirrored, i)
        if i < j:
            pairs.append((i, j))
    return tuple(pairs)


# Names, order, limbs and sigmas of the official person_keypoints json and of pycocotools.
COCO_17 = Skeleton(
    name="coco_17",
    names=(
        *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
        *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
        *("left_knee", "right_knee", "left_ankle", "right_ankle"),
    ),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    limbs=(
        *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8)),
        *((7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
    ),
    sigmas=(
        *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
        *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    ),
)


def _sigmas_by_name(names: Sequence[str]) -> tuple[float, ...]:
    """COCO's constant where COCO has the joint, else the default: neither MPII nor LSP publishes any."""
    known = dict(zip(COCO_17.names, COCO_17.sigmas, strict=True))
    return tuple(known.get(name, DEFAULT_SIGMA) for name in names)


_MPII_NAMES = (
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
    *("pelvis", "thorax", "upper_neck", "head_top"),
    *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
)
MPII_16 = Skeleton(
    name="mpii_16",
    names=_MPII_NAMES,
    flip_pairs=((0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)),
    limbs=(
        *((0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9)),
        *((7, 12), (12, 11), (11, 10), (7, 13), (13, 14), (14, 15)),
    ),
    sigmas=_sigmas_by_name(_MPII_NAMES),
)

_LSP_NAMES = (
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
    *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    *("neck", "head_top"),
)
LSP_14 = Skeleton(
    name="lsp_14",
    names=_LSP_NAMES,
    flip_pairs=((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9)),
    limbs=(
        *((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (6, 7), (7, 8), (9, 10), (10, 11)),
        *((8, 12), (9, 12), (12, 13), (2, 8), (3, 9)),
    ),
    sigmas=_sigmas_by_name(_LSP_NAMES),
)

SKELETONS = {skeleton.name: skeleton for skeleton in (COCO_17, MPII_16, LSP_14)}
