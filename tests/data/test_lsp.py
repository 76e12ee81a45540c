import numpy as np
import pytest
import scipy.io

from flpn_tf.data.findings import Findings
from flpn_tf.data.lsp import read_lsp
from flpn_tf.errors import InputError
from flpn_tf.skeleton import LSP_14


def bodies(people: int) -> np.ndarray:
    """(N, 14, 3) float64: joint j of person i at (i + 10 j + 1, i + 20 j + 1), pixels from 1, flags 0."""
    i, j = np.mgrid[:people, :14]
    return np.stack([i + 10 * j + 1, i + 20 * j + 1, 0 * i], axis=-1).astype(np.float64)


def write(folder, joints, digits):
    """The photos, and the file of `joints` as it is."""
    (folder / "images").mkdir()
    for number in range(1, 1 + max(np.shape(joints)[2:], default=1)):
        (folder / "images" / f"im{number:0{digits}d}.jpg").touch()
    path = folder / "joints.mat"
    scipy.io.savemat(path, {"joints": joints})
    return path


def read(folder, people, extended=False, digits=None, **options):
    """Reads (N, 14, 3) bodies, stored as LSP or LSP-extended does."""
    joints = people.transpose(1, 2, 0) if extended else people.transpose(2, 1, 0)
    path = write(folder, joints, digits or (5 if extended else 4))
    return read_lsp(path, folder / "images", **options)


def test_lsp_by_hand(tmp_path):
    people = bodies(2)
    people[1, 3, 2] = 1
    people = read(tmp_path, people)
    assert people.skeleton == LSP_14
    assert people.source == tmp_path / "joints.mat"
    assert [record.image.name for record in people.records] == ["im0001.jpg", "im0002.jpg"]
    record = people.records[1]
    assert (record.image_id, record.person_id, record.image_size, record.head_box) == (1, 1, None, None)
    assert record.keypoints.dtype == np.float32
    j = np.arange(14)
    np.testing.assert_array_equal(record.keypoints, np.stack([1 + 10 * j, 1 + 20 * j, 2 - (j == 3)], axis=-1))
    # The joints reach from (1, 1) to (131, 261); 12 % of 130 and of 260 on each side.
    np.testing.assert_allclose(record.box, [1 - 15.6, 1 - 31.2, 1.24 * 130, 1.24 * 260])
    assert record.area == pytest.approx(1.24 * 130 * 1.24 * 260)


def test_lsp_extended_by_hand(tmp_path):
    people = bodies(1)
    people[0, 2:4, 2] = 1
    people[0, 0, :2] = np.nan  # not labelled, whatever it says
    (record,) = read(tmp_path, people, extended=True).records
    assert record.image.name == "im00001.jpg"
    expected = np.zeros((14, 3))
    expected[2:4] = (20, 40, 2), (30, 60, 2)
    np.testing.assert_array_equal(record.keypoints, expected)
    np.testing.assert_allclose(record.box, [20 - 1.2, 40 - 2.4, 12.4, 24.8])


def test_one_person_without_a_third_dimension(tmp_path):
    path = write(tmp_path, bodies(1)[0].T, 4)
    assert len(read_lsp(path, tmp_path / "images")) == 1


@pytest.mark.parametrize(("split", "ids"), [("train", [0, 1]), ("test", [2, 3]), ("all", [0, 1, 2, 3])])
def test_splits(tmp_path, split, ids):
    records = read(tmp_path, bodies(4), split=split).records
    assert [record.person_id for record in records] == ids
    assert [record.image.name for record in records] == [f"im000{i + 1}.jpg" for i in ids]
    assert records[0].keypoints[0, 0] == ids[0]


@pytest.mark.parametrize(
    ("extended", "split", "message"),
    [
        (False, "valid", "split of LSP must be one of train, test, all. Received: 'valid'"),
        (True, "train", "split of LSP-extended must be one of all. Received: 'train'"),
    ],
)
def test_splits_that_there_are_not(tmp_path, extended, split, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, bodies(2), extended, split=split)


@pytest.mark.parametrize(("extended", "digits"), [(False, 5), (True, 4)])
def test_photos_named_as_the_other_set_does(tmp_path, extended, digits):
    people = bodies(2)
    people[..., 2] = 1
    records = read(tmp_path, people, extended, digits).records
    assert records[1].image.name == f"im{2:0{digits}d}.jpg"


BOXES = {
    "a point": ([(5, 9)], [3.5, 7.5, 1, 1]),
    "a line": ([(5, 9), (5, 59)], [3.5, 8 - 6, 1, 62]),
    "less than a pixel": ([(5, 9), (5.5, 9)], [3.75, 7.5, 1, 1]),
}


@pytest.mark.parametrize(("points", "box"), BOXES.values(), ids=BOXES)
def test_boxes_have_a_size(tmp_path, points, box):
    people = np.zeros((1, 14, 3))
    people[0, : len(points)] = [(*point, 1) for point in points]
    (record,) = read(tmp_path, people, extended=True).records
    np.testing.assert_allclose(record.box, box)


def test_people_left_out(tmp_path):
    people = bodies(3)
    people[::2, :, 2] = 1
    people = read(tmp_path, people, extended=True)
    assert [record.person_id for record in people.records] == [0, 2]
    assert people.findings.left_out == {"no labelled keypoint": ["1"]}


def changed(place, value):
    people = bodies(2)
    people[1][place] = value
    return people


BAD_PEOPLE = {
    "NaN x": (changed((3, 0), np.nan), "person 1: x and y of the joints must be 28 finite numbers"),
    "endless y": (changed((3, 1), np.inf), "person 1: x and y of the joints must be 28 finite numbers"),
    "a huge x": (changed((3, 0), 1e300), "person 1: x and y of the joints must be 28 finite numbers"),
    "flag 2": (changed((3, 2), 2), "person 1: the flags of the joints must be 0 or 1. Received: [0.0,"),
    "flag NaN": (changed((3, 2), np.nan), "person 1: the flags of the joints must be 0 or 1"),
}


@pytest.mark.parametrize(("people", "message"), BAD_PEOPLE.values(), ids=BAD_PEOPLE)
def test_bad_people(tmp_path, people, message):
    with pytest.raises(InputError) as caught:
        read(tmp_path, people)
    assert message in str(caught.value)
    assert "joints.mat" in str(caught.value)
    assert "\n" not in str(caught.value)
    findings = Findings(collect=True)
    found = read_lsp(tmp_path / "joints.mat", tmp_path / "images", findings=findings)
    assert [record.person_id for record in found.records] == [0]
    assert findings.errors == {"bad keypoints": [str(caught.value)]}


BAD_ARRAYS = {
    "people first": (np.zeros((5, 14, 3)), "Received: 5x14x3 float64"),
    "MPII's": (np.zeros((3, 16, 5)), "Received: 3x16x5 float64"),
    "flat": (np.zeros(42), "Received: 42 float64"),
    "nobody": (np.zeros((3, 14, 0)), "Received: 0 float64"),
    "texts": (np.full((3, 14, 2), "a"), "must be 3x14xN or 14x3xN numbers"),
    "complex": (np.ones((3, 14, 2)) * 1j, "Received: 3x14x2 complex128"),
    "a struct": ({"x": 1}, "must be 3x14xN or 14x3xN numbers"),
    "cells": (np.array([[1, "a"], [2, "b"]], object), "must be 3x14xN or 14x3xN numbers"),
}


@pytest.mark.parametrize(("joints", "message"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_bad_arrays(tmp_path, joints, message):
    path = write(tmp_path, joints, 4)
    with pytest.raises(InputError) as caught:
        read_lsp(path, tmp_path / "images")
    assert message in str(caught.value)
    assert "joints.mat: joints must be" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_photos(tmp_path):
    path = write(tmp_path, bodies(3).transpose(2, 1, 0), 4)
    (tmp_path / "images" / "im0002.jpg").unlink()
    with pytest.raises(InputError, match="joints.mat: 1 of its 3 photos are missing, first .*im0002.jpg"):
        read_lsp(path, tmp_path / "images")


def test_no_joints(tmp_path):
    scipy.io.savemat(tmp_path / "joints.mat", {"other": 1})
    with pytest.raises(InputError, match=r"joints.mat: holds no variable joints. Received: \['other'\]"):
        read_lsp(tmp_path / "joints.mat", tmp_path)
