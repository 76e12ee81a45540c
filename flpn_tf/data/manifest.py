"""The manifest of a prepared data set: what its shards hold. Needs no TensorFlow.

OUT/manifest.json            written last: a folder without it is an unfinished preparation
OUT/people-00000-of-00025.tfrecord  …
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from flpn_tf.data.augment import Augmentation
from flpn_tf.errors import InputError
from flpn_tf.skeleton import Skeleton

MANIFEST = "manifest.json"
VERSION = 1
CROPS, PHOTOS = "crops", "photos"


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
        raise InputError(f"{path}: is not JSON ({error}); prepare the data again") from error
    version = values.get("manifest_version") if isinstance(values, dict) else None
    if version != VERSION:
        raise InputError(
            f"{path}: this release reads manifest_version {VERSION}; prepare the data again. "
            f"Received: {version!r}"
        )
    try:
        skeleton = Skeleton.from_dict(values["skeleton"])
        shards = [{key: shard[key] for key in ("name", "bytes", "sha256")} for shard in values["shards"]]
        names = tuple(Path(shard["name"]).name for shard in shards)
        prepared = PreparedPeople(
            folder=folder,
            kind={CROPS: CROPS, PHOTOS: PHOTOS}[values["kind"]],
            skeleton=skeleton,
            shards=names,
            records=int(values["records"]),
            people=int(values["people"]),
            bytes=sum(shard["bytes"] for shard in shards),
            sha256=manifest_digest(shards, skeleton, values["kind"]),
            reach=Augmentation(**values["reach"]) if values["kind"] == CROPS else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is damaged ({error!r}); prepare the data again") from error
    if prepared.sha256 != values.get("sha256"):
        raise InputError(f"{path}: its checksum is not that of its shards; prepare the data again")
    for shard in shards:
        _check_length(folder / Path(shard["name"]).name, shard["bytes"])
    return prepared


def damaged_shard(prepared: PreparedPeople) -> InputError | None:
    """The error that names the first shard whose content is not what the manifest says, or None."""
    values = json.loads(prepared.source.read_text(encoding="utf-8"))
    for shard in values["shards"]:
        path = prepared.folder / Path(shard["name"]).name
        try:
            _check_length(path, shard["bytes"])
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except InputError as error:
            return error
        if digest != shard["sha256"]:
            return InputError(f"{path}: its content has changed since it was prepared; {_again(path)}")
    return None


def _check_length(path: Path, length: int) -> None:
    try:
        found = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_again(path)}") from error
    if found != length:
        raise InputError(f"{path}: is cut or overwritten, {length} bytes were written; {_again(path)}")


def _again(path: Path) -> str:
    return f"remove it and {MANIFEST}, and run flpn data prepare again"
