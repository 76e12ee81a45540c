"""The manifest of a prepared data set: what its shards hold. Needs no TensorFlow.

OUT/manifest.json            written last: a folder without it is an unfinished preparation
OUT/people-00000-of-00025.tfrecord  …
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from flpn_tf.data.augment import Augmentation
from flpn_tf.errors import InputError
from flpn_tf.skeleton import Skeleton

MANIFEST = "manifest.json"
PREPARING = "preparing.json"  # instead of it while the preparation is under way
VERSION = 1
CROPS, PHOTOS = "crops", "photos"
_SHARD = re.compile(r"[\w-][\w.-]*", re.ASCII)
_AGAIN = "prepare the data again, into a new folder"


@dataclass(frozen=True)
class PreparedPeople:
    """A folder of shards, as its manifest states it.

    Attributes:
        folder: holds the shards.
        kind: CROPS, one person a record with the part of the photo that training can see, or PHOTOS, one
            whole photo a record with all its people.
        skeleton: of every person.
        shards: names of the files, in order.
        records: how many, each a person or a photo.
        people: how many.
        bytes: of all shards.
        sha256: of the shards' contents, the skeleton and the kind: the same for equal data.
        reach: for CROPS, the largest augmentation that stays inside the crops.
        image_size: for CROPS, (height, width) of the input they are for; others of its shape will do.
        padding: for CROPS, the largest.
        bad: how many entries of the source were left out because something is wrong with them.
    """

    folder: Path
    kind: str
    skeleton: Skeleton
    shards: tuple[str, ...]
    records: int
    people: int
    bytes: int
    sha256: str
    reach: Augmentation | None
    image_size: tuple[int, int] | None
    padding: float | None
    bad: int = 0

    def __len__(self) -> int:
        return self.people

    @property
    def paths(self) -> list[str]:
        """Of the shards."""
        return [str(self.folder / name) for name in self.shards]

    @property
    def source(self) -> Path:
        """The manifest."""
        return self.folder / MANIFEST

    def check_augmentation(self, augmentation: Augmentation | None) -> None:
        """Refuses an augmentation that would show what the stored crops have cut away.

        Raises:
            InputError: naming the field.
        """
        if self.reach is None or augmentation is None:
            return
        for name in ("rotation", "scale", "translation", "half_body"):
            wanted, stored = getattr(augmentation, name), getattr(self.reach, name)
            if wanted > stored:
                option = name.replace("_", "-")
                raise InputError(
                    f"{self.folder}: its crops were prepared for {name} up to {stored:g}; prepare them again "
                    f"with --{option}, or with --whole-photos. Received: augmentation.{name} {wanted:g}"
                )

    def check_crop(self, image_size: tuple[int, int], padding: float) -> None:
        """Refuses a network input that would show what the stored crops have cut away.

        Raises:
            InputError: naming both.
        """
        if self.image_size is None:
            return
        (height, width), (stored_height, stored_width) = image_size, self.image_size
        if height * stored_width != width * stored_height:
            raise InputError(
                f"{self.folder}: its crops were prepared for the shape of {stored_height}x{stored_width}; "
                "prepare them again with --image-size, or with --whole-photos. "
                f"Received: image_size {height}x{width}"
            )
        if not padding <= self.padding:
            raise InputError(
                f"{self.folder}: its crops were prepared with padding {self.padding:g}; use "
                f"--whole-photos for a larger one. Received: {padding:g}"
            )


def is_prepared(data) -> bool:
    """Whether `data` is a folder that `flpn data prepare` made."""
    return (Path(data) / MANIFEST).is_file()


def manifest_digest(shards: list[dict], skeleton: Skeleton, kind: str) -> str:
    """sha256 of a prepared data set; each shard is a dict with `name` and `sha256`."""
    identity = [[[shard["name"], shard["sha256"]] for shard in shards], skeleton.to_dict(), kind]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def open_prepared(folder) -> PreparedPeople:
    """Reads and checks a manifest, and that every shard is there with its full length.

    Raises:
        InputError: the manifest is missing, damaged or of another version, or a shard is missing or cut.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON ({error}); {_AGAIN}") from error
    version = values.get("manifest_version") if isinstance(values, dict) else None
    if version != VERSION:
        raise InputError(
            f"{path}: this release reads manifest_version {VERSION}; {_AGAIN}. Received: {version!r}"
        )
    try:
        skeleton = Skeleton.from_dict(values["skeleton"])
        shards = values["shards"]
        crops = {CROPS: True, PHOTOS: False}[values["kind"]]
        options = values["options"]
        prepared = PreparedPeople(
            folder=folder,
            kind=values["kind"],
            skeleton=skeleton,
            shards=tuple(_name(shard) for shard in shards),
            records=_total(values, "records"),
            people=_total(values, "people"),
            bytes=sum(_count(shard, "bytes") for shard in shards),
            sha256=manifest_digest(shards, skeleton, values["kind"]),
            reach=Augmentation(**values["reach"]) if crops else None,
            image_size=_size(options["image_size"]) if crops else None,
            padding=float(options["padding"]) if crops else None,
            bad=len(values.get("bad") or ()),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: is damaged ({error!r}); {_AGAIN}") from error
    if prepared.sha256 != values.get("sha256"):
        raise InputError(f"{path}: its checksum is not that of its shards; {_AGAIN}")
    for shard in shards:
        _check_length(folder / shard["name"], shard["bytes"])
    return prepared


def _name(shard: dict) -> str:
    if not _SHARD.fullmatch(shard["name"]):
        raise ValueError(f"shard name {shard['name']!r}")
    return shard["name"]


def _count(values: dict, key: str) -> int:
    if type(values[key]) is not int or values[key] < 0:
        raise ValueError(f"{key} {values[key]!r}")
    return values[key]


def _total(values: dict, key: str) -> int:
    total = sum(_count(shard, key) for shard in values["shards"])
    if not total or total != values[key]:
        raise ValueError(f"{key} {values[key]!r}, and {total} in its shards")
    return total


def _size(values: list) -> tuple[int, int]:
    height, width = values
    if not (type(height) is type(width) is int and height > 0 and width > 0):
        raise ValueError(f"image_size {values!r}")
    return height, width


def damaged_shard(prepared: PreparedPeople) -> InputError | None:
    """The error that names the first shard whose content is not what the manifest says, or None."""
    values = json.loads(prepared.source.read_text(encoding="utf-8"))
    for shard in values["shards"]:
        path = prepared.folder / shard["name"]
        try:
            _check_length(path, shard["bytes"])
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except InputError as error:
            return error
        if digest != shard["sha256"]:
            return InputError(f"{path}: its content has changed since it was prepared; {_AGAIN}")
    return None


def _check_length(path: Path, length: int) -> None:
    try:
        found = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_AGAIN}") from error
    if found != length:
        raise InputError(f"{path}: is cut or overwritten, {length} bytes were written; {_AGAIN}")
