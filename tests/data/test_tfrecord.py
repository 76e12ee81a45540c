"""Shards read without TensorFlow hold what TensorFlow finds in them."""

import hashlib
import json

import numpy as np
import pytest
import synthetic_people
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from flpn_tf.data import shards, tfrecord
from flpn_tf.data.entries import Order
from flpn_tf.data.manifest import manifest_digest, open_prepared
from flpn_tf.data.prepare import prepare
from flpn_tf.data.stored_photo import StoredPhoto
from flpn_tf.data.streams import stream
from flpn_tf.data.tfrecord import prepared_entries
from flpn_tf.errors import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    document = synthetic_people.document(people=5, copies=3)
    return synthetic_people.write(tmp_path_factory.mktemp("people"), document)


@pytest.mark.parametrize("whole", [False, True], ids=["crops", "photos"])
def test_prepared_people_are_those_of_the_pipeline(folder, tmp_path, whole):
    people = prepare(folder, tmp_path / "out", StoredPhoto(whole=whole), shard_size=4, jobs=1)
    found = prepared_entries(people)
    order = Order(batch_size=15, shuffle=False, repeat=False)
    (expected,) = list(stream(people, order))
    assert found.name == expected.name.numpy().tolist()
    assert [place.read() for place in found.photo] == expected.photo.numpy().tolist()
    for values, others in zip(found[2:], expected[2:], strict=True):
        np.testing.assert_array_equal(values, others)
        assert values.dtype == others.dtype


def test_any_record_that_is_written(tmp_path):
    joints = 3
    keypoints = st.lists(st.floats(width=32, allow_nan=False), min_size=3 * joints, max_size=3 * joints)
    person = st.tuples(
        st.integers(-(2**63), 2**63 - 1), st.lists(st.floats(width=32), min_size=4, max_size=4), keypoints
    )

    @settings(deadline=None, max_examples=60)
    @given(st.binary(max_size=400), st.text(max_size=200), st.lists(person, min_size=1, max_size=20))
    def check(photo, name, people):
        people = [
            {"id": number, "box": np.array(box), "area": 1, "keypoints": np.reshape(points, (joints, 3))}
            for number, box, points in people
        ]
        record = shards.encode_example(photo, name, 0, people)
        path = tmp_path / "one.tfrecord"
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(record)
            writer.write(record)
        first, second = tfrecord._records(path, joints)
        expected = shards.parse_example(record, joints)
        for names, photos, boxes, points in (first, second):
            assert names == expected[0].numpy().tolist()
            assert [place.read() for place in photos] == expected[1].numpy().tolist()
            np.testing.assert_array_equal(boxes, expected[2])
            np.testing.assert_array_equal(points, expected[3])

    check()


def spoilt(people, spoil):
    """The folder opened again, its manifest agreeing with what its first shard has become."""
    path = people.folder / people.shards[0]
    path.write_bytes(spoil(path.read_bytes()))
    manifest = json.loads(people.source.read_text())
    manifest["shards"][0] |= {
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    manifest["sha256"] = manifest_digest(manifest["shards"], people.skeleton, people.kind)
    people.source.write_text(json.dumps(manifest))
    return open_prepared(people.folder)


def test_a_changed_shard_is_named(folder, tmp_path):
    people = prepare(folder, tmp_path / "out", jobs=1)
    path = people.folder / people.shards[0]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match="its content has changed since it was prepared"):
        prepared_entries(people)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: bytes(len(content)),
        lambda content: content[:-200],
        lambda content: content[:12] + content[13:],
        lambda content: content.replace(b"people/box", b"people/bow"),
        lambda content: b"\xff" * len(content),
    ],
    ids=["zeros", "cut", "byte lost", "no box", "ones"],
)
def test_a_file_of_something_else_is_named(folder, tmp_path, spoil):
    people = spoilt(prepare(folder, tmp_path / "out", jobs=1), spoil)
    with pytest.raises(InputError, match=f"{people.shards[0]}: cannot be read") as caught:
        prepared_entries(people)
    assert "\n" not in str(caught.value)
