"""A prepared folder is opened whole or refused in one line, whatever happened to it."""

import copy
import hashlib
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flpn_tf.data.augment import Augmentation
from flpn_tf.data.manifest import (
    CROPS,
    PHOTOS,
    VERSION,
    damaged_shard,
    is_prepared,
    manifest_digest,
    open_prepared,
)
from flpn_tf.errors import InputError
from flpn_tf.skeleton import COCO_17, Skeleton

SHARDS = {"people-00000-of-00002.tfrecord": b"one shard", "people-00001-of-00002.tfrecord": b"another"}
REACH = {"rotation": 40.0, "scale": 0.3, "flip": 0.5, "translation": 0.1, "half_body": 0.5}


def content(kind=CROPS, **values):
    shards = [
        {
            "name": name,
            "records": 2,
            "people": 3,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        for name, data in SHARDS.items()
    ]
    document = {
        "manifest_version": VERSION,
        "kind": kind,
        "options": {"image_size": [256, 192], "padding": 1.25},
        "skeleton": COCO_17.to_dict(),
        "people": 6,
        "records": 4,
        "reach": REACH if kind == CROPS else None,
        "shards": shards,
        **values,
    }
    return sealed(document)


def sealed(document):
    """With the checksum that belongs to it, where it has one."""
    try:
        skeleton = Skeleton.from_dict(document["skeleton"])
        document["sha256"] = manifest_digest(document["shards"], skeleton, document["kind"])
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    return document


def written(folder, document):
    folder.mkdir(exist_ok=True)
    for name, data in SHARDS.items():
        (folder / name).write_bytes(data)
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    (folder / "manifest.json").write_bytes(text)
    return folder


def refusal(folder):
    with pytest.raises(InputError) as caught:
        open_prepared(folder)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert str(folder) in message
    return message


@pytest.mark.parametrize("kind", [CROPS, PHOTOS])
def test_what_a_manifest_says(tmp_path, kind):
    prepared = open_prepared(written(tmp_path / "p", content(kind)))
    assert is_prepared(tmp_path / "p")
    assert len(prepared) == prepared.people == 6
    assert (prepared.kind, prepared.records, prepared.bytes) == (kind, 4, 16)
    assert prepared.skeleton == COCO_17
    assert prepared.paths == [str(tmp_path / "p" / name) for name in SHARDS]
    assert prepared.source == tmp_path / "p" / "manifest.json"
    assert prepared.reach == (Augmentation(**REACH) if kind == CROPS else None)
    assert damaged_shard(prepared) is None


def test_the_checksum_is_of_shards_skeleton_and_kind_alone(tmp_path):
    def checksum(document):
        return open_prepared(written(tmp_path / "p", sealed(document))).sha256

    base, other = content(), content(source="elsewhere.json")
    assert checksum(other) == checksum(base)
    assert checksum(content(PHOTOS)) != checksum(base)
    mirrored = dict(COCO_17.to_dict(), flip_pairs=[])
    assert checksum(content(skeleton=mirrored)) != checksum(base)
    swapped = content()
    swapped["shards"].reverse()
    assert checksum(swapped) != checksum(base)


@pytest.mark.parametrize("version", [0, 2, "1", None, [1], {}])
def test_another_version(tmp_path, version):
    message = refusal(written(tmp_path / "p", content(manifest_version=version)))
    assert "reads manifest_version 1; prepare the data again" in message
    assert message.endswith(f"Received: {version!r}")


NO_MANIFEST = {
    "empty": b"",
    "cut": json.dumps(content()).encode()[:-30],
    "no text": b"\xff\xfe\x00",
    "a list": b"[1, 2]",
    "a number": b"7",
    "null": b"null",
    "deep": b"[" * 100_000,
    "a giant number": b'{"manifest_version": ' + b"9" * 5000 + b"}",
    "another's": b'{"name": "app", "icons": []}',
}


@pytest.mark.parametrize("text", NO_MANIFEST.values(), ids=NO_MANIFEST)
def test_no_manifest(tmp_path, text):
    assert len(refusal(written(tmp_path / "p", text))) < 500


def test_a_folder_without_manifest(tmp_path):
    assert not is_prepared(tmp_path)
    assert "manifest.json: cannot be read (No such file or directory)" in refusal(tmp_path)
    (tmp_path / "manifest.json").mkdir()
    assert not is_prepared(tmp_path)
    assert "manifest.json: cannot be read" in refusal(tmp_path)


def test_a_checksum_that_is_not_its_own(tmp_path):
    document = content()
    document["shards"][0]["sha256"] = document["shards"][1]["sha256"]
    assert "checksum is not that of its shards" in refusal(written(tmp_path / "p", document))
    del document["sha256"]
    assert "checksum is not that of its shards" in refusal(written(tmp_path / "p", document))


def places(document, path=()):
    """Paths of all values in a json document."""
    yield path
    if isinstance(document, dict | list):
        for key, value in document.items() if isinstance(document, dict) else enumerate(document):
            yield from places(value, (*path, key))


def changed(document, path, value):
    """A copy with another value at a path; the value `...` removes it."""
    if not path:
        return value
    document = copy.deepcopy(document)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return document


# Skeletons have their own tests; one joint of each list is enough here.
SHORT = content(skeleton=Skeleton("s", ("a", "b"), ((0, 1),), ((0, 1),), (0.1, 0.1)).to_dict())
PLACES = [path for path in places(SHORT) if path and path != ("sha256",)]
NUMBERS = [0, -1, 3, 10**30, 10**400, 1.5, float("nan"), float("inf"), True]
JUNK = [..., None, [], {}, "", "x", "\0", "\ud800", "..", "/etc/hostname", "a" * 300, [[]], [0], *NUMBERS]


@settings(deadline=None, max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PLACES), st.sampled_from(JUNK), st.booleans())
@example(("shards", 0, "name"), "\0", True)
@example(("shards", 0, "name"), "\ud800", True)
@example(("shards", 0, "name"), "..", True)
@example(("skeleton", "sigmas", 0), 10**400, True)
@example(("options", "padding"), 10**400, True)
@example(("records",), float("inf"), True)
@example(("shards",), [], True)
def test_one_damaged_value_is_one_line(tmp_path, path, value, seal):
    document = changed(SHORT, path, value)
    folder = written(tmp_path / "p", sealed(document) if seal and isinstance(document, dict) else document)
    try:
        prepared = open_prepared(folder)
    except InputError as error:
        assert len(str(error).splitlines()) == 1
    else:
        # Then it was nothing that reading relies on.
        assert prepared.paths == [str(folder / name) for name in SHARDS]
        assert (prepared.people, prepared.records) == (6, 4)
        assert all(type(size) is int and size > 0 for size in prepared.image_size)
        assert type(prepared.padding) is float


COUNTS = [
    ("people", 5),
    ("people", "6"),
    ("records", 0),
    ("records", 5),
    (("shards", 1, "people"), 2),
    (("shards", 1, "people"), -3),
    (("shards", 0, "records"), 2.0),
    (("shards", 0, "bytes"), 9.0),
]


@pytest.mark.parametrize(("path", "value"), COUNTS)
def test_counts_that_do_not_add_up(tmp_path, path, value):
    document = changed(content(), (path,) if isinstance(path, str) else path, value)
    assert "is damaged" in refusal(written(tmp_path / "p", sealed(document)))


def test_no_shard_outside_the_folder_is_opened(tmp_path):
    (tmp_path / "outside.tfrecord").write_bytes(b"one shard")
    for name in ("../outside.tfrecord", str(tmp_path / "outside.tfrecord"), "..", "x/../../outside.tfrecord"):
        document = sealed(changed(content(), ("shards", 0, "name"), name))
        assert "is damaged" in refusal(written(tmp_path / "p", document))


def test_a_shard_without_people_is_no_damage(tmp_path):
    document = content(people=3, records=2)
    document["shards"][0] |= {"people": 0, "records": 0}
    assert len(open_prepared(written(tmp_path / "p", sealed(document)))) == 3


SPOILS = {
    "cut": lambda shard: shard.write_bytes(shard.read_bytes()[:-1]),
    "longer": lambda shard: shard.write_bytes(shard.read_bytes() + b"x"),
    "empty": lambda shard: shard.write_bytes(b""),
    "missing": lambda shard: shard.unlink(),
    "a folder": lambda shard: (shard.unlink(), shard.mkdir()),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
@pytest.mark.parametrize("name", SHARDS)
def test_a_shard_of_another_length_is_named_at_once(tmp_path, spoil, name):
    folder = written(tmp_path / "p", content())
    prepared = open_prepared(folder)
    spoil(folder / name)
    message = refusal(folder)
    assert message.startswith(str(folder / name))
    assert "prepare the data again, into a new folder" in message
    assert str(damaged_shard(prepared)) == message


@pytest.mark.parametrize("name", SHARDS)
def test_a_changed_byte_is_found_by_reading_the_shards(tmp_path, name):
    folder = written(tmp_path / "p", content())
    prepared = open_prepared(folder)
    data = bytearray((folder / name).read_bytes())
    data[3] ^= 1
    (folder / name).write_bytes(data)
    error = damaged_shard(prepared)
    assert isinstance(error, InputError)
    assert str(error).startswith(f"{folder / name}: its content has changed")


@pytest.mark.parametrize(
    ("values", "option"),
    [
        ({"rotation": 41}, "--rotation"),
        ({"scale": 0.31}, "--scale"),
        ({"translation": 0.2}, "--translation"),
        ({"half_body": 0.6}, "--half-body"),
    ],
)
def test_augmentation_beyond_the_reach(tmp_path, values, option):
    augmentation = Augmentation(**values)
    prepared = open_prepared(written(tmp_path / "p", content()))
    with pytest.raises(InputError) as caught:
        prepared.check_augmentation(augmentation)
    ((name, value),) = values.items()
    assert f"prepared for {name} up to {REACH[name]:g}; prepare them again with {option}" in str(caught.value)
    assert str(caught.value).endswith(f"Received: augmentation.{name} {value:g}")
    open_prepared(written(tmp_path / "p", content(PHOTOS))).check_augmentation(augmentation)


def test_augmentation_within_the_reach(tmp_path):
    prepared = open_prepared(written(tmp_path / "p", content()))
    prepared.check_augmentation(None)
    prepared.check_augmentation(Augmentation(**REACH))
    prepared.check_augmentation(Augmentation(flip=1.0, brightness=0.5, contrast=0.5, saturation=1, hue=90))


def test_inputs_that_crops_have_no_room_for(tmp_path):
    prepared = open_prepared(written(tmp_path / "p", content()))
    for size, padding in (((256, 192), 1.25), ((128, 96), 1.25), ((384, 288), 1.0)):
        prepared.check_crop(size, padding)
    for size in ((256, 256), (192, 256), (256, 191)):
        with pytest.raises(InputError, match="prepared for the shape of 256x192; .*--image-size"):
            prepared.check_crop(size, 1.25)
    with pytest.raises(InputError, match=r"prepared with padding 1\.25; .* Received: 1\.5"):
        prepared.check_crop((256, 192), 1.5)
    open_prepared(written(tmp_path / "p", content(PHOTOS))).check_crop((256, 256), 2.0)
