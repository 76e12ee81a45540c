import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from flpn_tf.data.findings import Findings
from flpn_tf.data.mpii import read_mpii
from flpn_tf.errors import InputError
from flpn_tf.geometry import crop_affine, transform_points
from flpn_tf.skeleton import MPII_16

EMPTY = np.zeros((0, 0))  # MATLAB's [], with which it fills up the fields of a struct array
NO_STRUCTS = np.empty((0, 0), [("x1", "O")])


def structs(*items: dict) -> np.ndarray:
    """(1, n) struct array as MATLAB stores it: every element has the fields of all."""
    array = np.empty((1, len(items)), [(field, "O") for field in dict.fromkeys(sum(map(list, items), []))])
    for element, item in zip(array[0], items, strict=True):
        for field in array.dtype.names:
            element[field] = item.get(field, EMPTY)
    return array


def points(*xyv) -> np.ndarray:
    """`annopoints` of (id, x, y) or (id, x, y, is_visible)."""
    fields = ("id", "x", "y", "is_visible")
    return structs({"point": structs(*[dict(zip(fields, point, strict=False)) for point in xyv])})


def person(annopoints=None, scale=2.0, x=101.0, y=201.0, **values) -> dict:
    annopoints = points((0, 11.0, 21.0, "1")) if annopoints is None else annopoints
    return values | {"annopoints": annopoints, "scale": scale, "objpos": structs({"x": x, "y": y})}


def write_mat(folder: Path, images: dict, trains=None, **changes) -> Path:
    """A .mat of {file name: annorect} with its photos in images/; `changes` are fields of RELEASE."""
    trains = [1] * len(images) if trains is None else trains
    annolist = [{"image": structs({"name": name}), "annorect": rects} for name, rects in images.items()]
    cells = np.empty((len(images), 1), object)
    for cell in cells:
        cell[0] = EMPTY
    release = {
        "annolist": structs(*annolist),
        "img_train": np.array([trains], np.uint8),
        "version": "12",
        "single_person": cells,
    }
    (folder / "images").mkdir(exist_ok=True)
    for name in images:
        (folder / "images" / name).touch()
    path = folder / "mpii.mat"
    scipy.io.savemat(path, {"RELEASE": structs(release | changes)}, do_compression=True)
    return path


def read_mat(folder, images, trains=None, split=None, findings=None, **changes):
    path = write_mat(folder, images, trains, **changes)
    return read_mpii(path, folder / "images", split, findings=findings)


def test_one_person_by_hand(tmp_path):
    joints = points((9, 51.0, 61.5, EMPTY), (0, np.uint8(11), 21.0, "1"), (6, 31.0, 41.0, 0))
    people = read_mat(tmp_path, {"1.jpg": structs(person(joints, x1=41, y1=31, x2=71, y2=71.5))})
    (record,) = people.records
    assert people.skeleton == MPII_16
    assert people.source == tmp_path / "mpii.mat"
    assert len(people.sha256) == 64
    assert record.image == tmp_path / "images" / "1.jpg"
    assert (record.image_id, record.person_id, record.image_size, record.box_score) == (0, 0, None, 1.0)
    expected = np.zeros((16, 3))
    expected[9], expected[0], expected[6] = (50, 60.5, 2), (10, 20, 2), (30, 40, 1)
    assert record.keypoints.dtype == np.float32
    np.testing.assert_array_equal(record.keypoints, expected)
    # The centre is (101, 201 + 15 * 2), from 1; the side 200 * 2; it leaves the photo.
    np.testing.assert_array_equal(record.box, [-100, 30, 400, 400])
    assert record.area == 160_000
    np.testing.assert_array_equal(record.head_box, [40, 30, 30, 40.5])


def test_the_crop_is_the_reference_codes(tmp_path):
    (record,) = read_mat(tmp_path, {"1.jpg": structs(person())}).records
    affine = crop_affine(record.box, 256, 256)
    np.testing.assert_allclose(transform_points([100, 230], affine), [128, 128])
    assert affine[0, 0] == pytest.approx(256 / (1.25 * 2 * 200))


def test_images_with_none_one_and_many_people(tmp_path):
    images = {
        "none.jpg": EMPTY,
        "no-structs.jpg": NO_STRUCTS,
        "one.jpg": structs(person()),
        "test.jpg": structs({"scale": 1.0, "objpos": structs({"x": 1.0, "y": 1.0})}, {}),
        "many.jpg": structs(person(), person(), person()),
    }
    people = read_mat(tmp_path, images, trains=[1, 1, 1, 0, 1])
    found = [(record.image.name, record.image_id, record.person_id) for record in people.records]
    many = [("many.jpg", 4, person_id) for person_id in (3, 4, 5)]
    assert found == [("one.jpg", 2, 0), *many]
    assert not people.findings.left_out


def test_images_without_the_field_annorect(tmp_path):
    annolist = structs({"image": structs({"name": "1.jpg"})})
    with pytest.raises(InputError, match="no person with labelled keypoints$"):
        read_mat(tmp_path, {"1.jpg": EMPTY}, annolist=annolist)


@pytest.mark.parametrize(
    ("split", "ids"), [(None, [0, 2]), ("train", [0, 2]), ("test", [1]), ("all", [0, 1, 2])]
)
def test_splits(tmp_path, split, ids):
    images = {f"{i}.jpg": structs(person()) for i in range(3)}
    people = read_mat(tmp_path, images, [1, 0, 1], split)
    assert [record.person_id for record in people.records] == ids


VISIBLE = [("1", 2), ("0", 1), (1, 2), (0, 1), (np.uint8(1), 2), (np.bool_(False), 1), (EMPTY, 2), ("", 2)]


@pytest.mark.parametrize(("stated", "v"), VISIBLE, ids=map(repr, VISIBLE))
def test_visibility(tmp_path, stated, v):
    (record,) = read_mat(tmp_path, {"1.jpg": structs(person(points((3, 1.0, 2.0, stated))))}).records
    np.testing.assert_array_equal(record.keypoints[3], [0, 1, v])


def test_points_without_the_field_is_visible(tmp_path):
    (record,) = read_mat(tmp_path, {"1.jpg": structs(person(points((3, 1.0, 2.0), (4, 2.0, 2.0))))}).records
    np.testing.assert_array_equal(record.keypoints[3:5], [[0, 1, 2], [1, 1, 2]])


def test_a_joint_given_twice_is_a_warning(tmp_path):
    joints = points((3, 1.0, 2.0, 1), (3, 5.0, 6.0, 0))
    people = read_mat(tmp_path, {"1.jpg": structs(person(joints))})
    np.testing.assert_array_equal(people.records[0].keypoints[3], [4, 5, 1])
    (message,) = people.findings.warnings["joint given twice"]
    assert "image 0, person 0: joint 3" in message


LEFT_OUT = {
    "annopoints empty": (person(EMPTY), "no labelled keypoint"),
    "no annopoints": ({"scale": 1.0, "objpos": structs({"x": 1.0, "y": 1.0})}, "no labelled keypoint"),
    "annopoints without points": (person(structs({"point": EMPTY})), "no labelled keypoint"),
    "a head box only": ({"x1": 1, "y1": 1, "x2": 5, "y2": 5}, "no labelled keypoint"),
    "scale empty": (person(scale=EMPTY), "no scale or centre"),
    "objpos empty": (person() | {"objpos": EMPTY}, "no scale or centre"),
    "objpos of nothing": (person(x=EMPTY, y=EMPTY), "no scale or centre"),
    "objpos -1": (person(x=-1.0, y=-1.0), "no scale or centre"),
}


@pytest.mark.parametrize(("rect", "reason"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_people_left_out(tmp_path, rect, reason):
    people = read_mat(tmp_path, {"0.jpg": structs(rect, person()), "1.jpg": structs(person())})
    assert [record.person_id for record in people.records] == [1, 2]
    assert people.findings.left_out == {reason: ["0"]}


def test_scale_and_objpos_absent_from_every_struct(tmp_path):
    images = {"0.jpg": structs({"annopoints": points((0, 1.0, 1.0))}), "1.jpg": structs(person())}
    people = read_mat(tmp_path, images)
    assert people.findings.left_out == {"no scale or centre": ["0"]}


def test_the_test_split_of_the_official_file_has_nobody(tmp_path):
    rect = {"scale": 1.0, "objpos": structs({"x": 1.0, "y": 1.0})}
    with pytest.raises(InputError, match=r"\(left out: no labelled keypoint: 1\)$"):
        read_mat(tmp_path, {"1.jpg": structs(rect)}, [0], "test")


@pytest.mark.parametrize(
    "values", [{}, {"x1": 1, "y1": 1, "x2": 5}, {"x1": 1, "y1": 1, "x2": 5, "y2": EMPTY}]
)
def test_people_without_a_whole_head_box(tmp_path, values):
    (record,) = read_mat(tmp_path, {"1.jpg": structs(person(**values))}).records
    assert record.head_box is None


NAN, INF = float("nan"), float("inf")
BAD_PEOPLE = {
    "NaN x": (person(points((0, NAN, 1.0))), "x and y of joint 0 must be 2 finite numbers"),
    "no x": (person(points((0, EMPTY, 1.0))), "x and y of joint 0 must be 2 finite numbers"),
    "a text as x": (person(points((0, "11", 1.0))), "x and y of joint 0 must be 2 finite numbers"),
    "two values as x": (person(points((0, np.eye(2), 1.0))), "x and y of joint 0 must be 2 finite"),
    "joint 16": (person(points((16, 1.0, 1.0))), "id must be 0 to 15. Received: 16"),
    "joint -1": (person(points((-1, 1.0, 1.0))), "id must be 0 to 15. Received: -1"),
    "joint 0.5": (person(points((0.5, 1.0, 1.0))), "id must be 0 to 15. Received: 0.5"),
    "a text as joint": (person(points(("0", 1.0, 1.0))), "id must be 0 to 15. Received: '0'"),
    "no joint": (person(points((EMPTY, 1.0, 1.0))), "id must be 0 to 15. Received: None"),
    "is_visible 2": (person(points((0, 1.0, 1.0, 2))), "is_visible of joint 0 must be 0 or 1. Received: 2"),
    "is_visible of two": (
        person(points((0, 1.0, 1.0, np.array([[1.0, 0.0]])))),
        "is_visible of joint 0 must be 0 or 1. Received: [1.0, 0.0]",
    ),
    "annopoints 5": (person(np.array([[5.0]])), "annopoints must be a struct. Received: 5.0"),
    "points are numbers": (person(structs({"point": np.eye(2)})), "point must be a struct"),
    "NaN scale": (person(scale=NAN), "scale must be a finite number. Received: nan"),
    "scale 0": (person(scale=0.0), "scale must be above 0. Received: 0"),
    "a text as scale": (person(scale="2"), "scale must be a finite number. Received: '2'"),
    "NaN centre": (person(x=NAN), "centre must be 2 finite numbers"),
    "half a centre": (person(y=EMPTY), "centre must be 2 finite numbers"),
    "objpos is a number": (person() | {"objpos": 5.0}, "objpos must be a struct. Received: 5.0"),
    "endless head box": (person(x1=1, y1=1, x2=INF, y2=4), "the head box must be 4 finite numbers"),
    "a head box of a point": (person(x1=1, y1=1, x2=1, y2=1), "the head box has no size"),
}


@pytest.mark.parametrize(("rect", "message"), BAD_PEOPLE.values(), ids=BAD_PEOPLE)
def test_bad_people(tmp_path, rect, message):
    images = {"0.jpg": structs(person(), rect), "1.jpg": structs(person())}
    with pytest.raises(InputError) as caught:
        read_mat(tmp_path, images)
    assert message in str(caught.value)
    assert "mpii.mat: image 0, person 1" in str(caught.value)
    check_message(caught.value)
    findings = Findings(collect=True)
    people = read_mat(tmp_path, images, findings=findings)
    assert [record.person_id for record in people.records] == [0, 2]
    assert sum(findings.errors.values(), []) == [str(caught.value)]


def check_message(error):
    assert "\n" not in str(error)
    assert len(str(error)) < 600


NAME = {"annorect": structs(person())}
BAD_RELEASES = {
    "RELEASE is no struct": ({}, "annolist of structs. Received: []"),
    "annolist of numbers": ({"annolist": np.eye(2)}, "annolist of structs"),
    "img_train too long": ({"img_train": np.ones((1, 3))}, "img_train of 1 times 0 or 1"),
    "img_train of texts": ({"img_train": "1"}, "img_train of 1 times 0 or 1"),
    "img_train 2": ({"img_train": 2}, "img_train of 1 times 0 or 1"),
    "no image": ({"annolist": structs(NAME)}, "file_name must be a text. Received: None"),
    "an image that is a number": ({"annolist": structs(NAME | {"image": 5})}, "must be a text. Received: 5"),
    "a name that is a number": (
        {"annolist": structs(NAME | {"image": structs({"name": 5})})},
        "file_name must be a text. Received: 5",
    ),
    "a path to the parent": (
        {"annolist": structs(NAME | {"image": structs({"name": "../1.jpg"})})},
        "must stay inside",
    ),
    "an absolute path": (
        {"annolist": structs(NAME | {"image": structs({"name": "/etc/passwd"})})},
        "must stay inside",
    ),
    "a missing photo": (
        {"annolist": structs(NAME | {"image": structs({"name": "2.jpg"})})},
        "1 of its 1 photos are missing",
    ),
    "annorect is a number": (
        {"annolist": structs({"image": structs({"name": "1.jpg"}), "annorect": 5.0})},
        "person 0 must have named values. Received: 5.0",
    ),
}


@pytest.mark.parametrize(("changes", "message"), BAD_RELEASES.values(), ids=BAD_RELEASES)
def test_bad_releases(tmp_path, changes, message):
    path = write_mat(tmp_path, {"1.jpg": structs(person())}, **changes)
    if not changes:
        scipy.io.savemat(path, {"RELEASE": np.eye(2)})
    with pytest.raises(InputError) as caught:
        read_mpii(path, tmp_path / "images")
    assert message in str(caught.value)
    assert "mpii.mat" in str(caught.value)
    check_message(caught.value)


def test_a_split_that_there_is_not(tmp_path):
    with pytest.raises(InputError, match="must be one of train, test, all. Received: 'valid'"):
        read_mat(tmp_path, {"1.jpg": structs(person())}, split="valid")


def damaged(content: bytes) -> dict[str, bytes]:
    return {
        "nothing": b"",
        "a text": b"MATLAB 5.0 MAT-file, it says",
        "the header only": content[:128],
        "half a tag": content[:132],
        "half of it": content[: len(content) // 2],
        "but its last byte": content[:-1],
        "altered": content[:200] + bytes([content[200] ^ 255]) + content[201:],
        "random": np.random.default_rng(0).bytes(5000),
        "v7.3": b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n" * 9,
    }


@pytest.mark.parametrize("kind", damaged(bytes(300)))
def test_files_that_are_damaged(tmp_path, kind):
    path = write_mat(tmp_path, {f"{i}.jpg": structs(person()) for i in range(50)})
    path.write_bytes(damaged(path.read_bytes())[kind])
    with pytest.raises(InputError) as caught:
        read_mpii(path, tmp_path / "images")
    assert "mpii.mat: is not a MATLAB file" in str(caught.value) or "holds no variable" in str(caught.value)
    check_message(caught.value)


def test_a_mat_of_something_else(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"annolist": 1, "other": 2})
    with pytest.raises(
        InputError, match=r"a.mat: holds no variable RELEASE. Received: \['annolist', 'other'\]"
    ):
        read_mpii(tmp_path / "a.mat", tmp_path)


def test_scipy_missing(tmp_path, monkeypatch):
    path = write_mat(tmp_path, {"1.jpg": structs(person())})
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(InputError, match=r"mpii.mat: .* need scipy: pip install 'flpn-tf\[train\]'"):
        read_mpii(path, tmp_path / "images")


# The json conversion.


def entry(image="1.jpg", **changes) -> dict:
    joints = [[-1.0, -1.0]] * 16
    joints[3] = [11.0, 21]
    visible = [int(joint == 3) for joint in range(16)]
    values = {"image": image, "joints": joints, "joints_vis": visible, "center": [101.0, 201.0], "scale": 2.0}
    return values | changes


def read_json(folder, document, **options):
    (folder / "images").mkdir(exist_ok=True)
    for name in ("1.jpg", "2.jpg"):
        (folder / "images" / name).touch()
    path = folder / "valid.json"
    path.write_text(json.dumps(document))
    return read_mpii(path, folder / "images", **options)


def test_json_by_hand(tmp_path):
    document = [entry(), entry("2.jpg", center=[1, 2], scale=1), entry()]
    people = read_json(tmp_path, document)
    ids = [(record.image.name, record.image_id, record.person_id) for record in people.records]
    assert ids == [("1.jpg", 0, 0), ("2.jpg", 1, 1), ("1.jpg", 0, 2)]
    record = people.records[0]
    expected = np.zeros((16, 3))
    expected[3] = (10, 20, 2)
    np.testing.assert_array_equal(record.keypoints, expected)
    np.testing.assert_array_equal(record.box, [-100, 30, 400, 400])
    np.testing.assert_array_equal(people.records[1].box, [-100, -84, 200, 200])
    assert (record.area, record.head_box, record.image_size) == (160_000, None, None)


def write_heads(folder, heads) -> Path:
    path = folder / "gt_valid.mat"
    scipy.io.savemat(path, {"headboxes_src": heads})
    return path


@pytest.mark.parametrize("people", [1, 3])
def test_json_head_boxes(tmp_path, people):
    heads = np.ones((2, 2, people)) * [[[1]], [[2]]]
    heads[:, :, -1] = [[41, 72], [32.5, 31]]  # two corners, whichever
    records = read_json(tmp_path, [entry()] * people, head_boxes=write_heads(tmp_path, heads)).records
    np.testing.assert_array_equal(records[-1].head_box, [31.5, 30, 8.5, 41])


BAD_HEADS = {
    "of other people": (np.ones((2, 2, 5)), "has head boxes of 5 people"),
    "of another shape": (np.ones((2, 3, 2)), "2x2xN numbers. Received: 2x3x2 float64"),
    "texts": (np.full((2, 2, 2), "a"), "headboxes_src must be 2x2xN numbers"),
    "NaN": (np.full((2, 2, 2), NAN), "the head box must be 4 finite numbers"),
}


@pytest.mark.parametrize(("heads", "message"), BAD_HEADS.values(), ids=BAD_HEADS)
def test_bad_head_boxes(tmp_path, heads, message):
    with pytest.raises(InputError) as caught:
        read_json(tmp_path, [entry()] * 2, head_boxes=write_heads(tmp_path, heads))
    assert message in str(caught.value)
    check_message(caught.value)


def test_options_of_the_other_format(tmp_path):
    with pytest.raises(InputError, match="valid.json: an MPII json has no split. Received: split='train'"):
        read_json(tmp_path, [entry()], split="train")
    path = write_mat(tmp_path, {"1.jpg": structs(person())})
    with pytest.raises(InputError, match="mpii.mat: has head boxes of its own"):
        read_mpii(path, tmp_path / "images", head_boxes="gt_valid.mat")


JSON_LEFT_OUT = {
    "nothing labelled": (entry(joints_vis=[0] * 16), "no labelled keypoint"),
    "test.json": ({"image": "1.jpg", "center": [1, 1], "scale": 1}, "no labelled keypoint"),
    "centre -1": (entry(center=[-1, -1]), "no scale or centre"),
    "no centre": (entry(center=None), "no scale or centre"),
    "no scale": (entry(scale=None), "no scale or centre"),
}


@pytest.mark.parametrize(("left_out", "reason"), JSON_LEFT_OUT.values(), ids=JSON_LEFT_OUT)
def test_json_people_left_out(tmp_path, left_out, reason):
    people = read_json(tmp_path, [left_out, entry()])
    assert [record.person_id for record in people.records] == [1]
    assert people.findings.left_out == {reason: ["0"]}


BAD_ENTRIES = {
    "a number": (5, "must have named values. Received: 5"),
    "no joints_vis": (entry(joints_vis=None), "joints_vis must be 16 finite numbers"),
    "15 joints": (entry(joints=[[1, 1]] * 15), "joints must be 16 [x, y]"),
    "joints of a text": (entry(joints="abc"), "joints must be 16 [x, y]"),
    "joints of three": (entry(joints=[[1, 1, 1]] * 16), "x and y of joint 3 must be 2 finite numbers"),
    "joints are numbers": (entry(joints=[1] * 16), "x and y of joint 3 must be 2 finite numbers"),
    "NaN joint": (entry(joints=[[NAN, 1]] * 16), "x and y of joint 3 must be 2 finite numbers"),
    "text joint": (entry(joints=[["1", 1]] * 16), "x and y of joint 3 must be 2 finite numbers"),
    "huge joint": (entry(joints=[[10**400, 1]] * 16), "x and y of joint 3 must be 2 finite numbers"),
    "NaN visibility": (entry(joints_vis=[NAN] * 16), "joints_vis must be 16 finite numbers"),
    "a centre of one": (entry(center=[1]), "centre must be 2 finite numbers. Received: [1]"),
    "a centre of texts": (entry(center=["1", "2"]), "centre must be 2 finite numbers"),
    "scale -1": (entry(scale=-1), "scale must be above 0. Received: -1"),
    "a list as scale": (entry(scale=[]), "scale must be a finite number. Received: []"),
    "no image": (entry(image=None), "file_name must be a text. Received: None"),
    "a list as image": (entry(image=["1.jpg"]), "file_name must be a text"),
    "a path to the parent": (entry(image="../1.jpg"), "must stay inside"),
}


@pytest.mark.parametrize(("bad", "message"), BAD_ENTRIES.values(), ids=BAD_ENTRIES)
def test_bad_entries(tmp_path, bad, message):
    with pytest.raises(InputError) as caught:
        read_json(tmp_path, [entry(), bad])
    assert message in str(caught.value)
    assert "valid.json: image" in str(caught.value)
    assert "person 1" in str(caught.value)
    check_message(caught.value)
    findings = Findings(collect=True)
    assert len(read_json(tmp_path, [entry(), bad, entry()], findings=findings)) == 2
    assert sum(findings.errors.values(), []) == [str(caught.value)]


@pytest.mark.parametrize("document", [[], {}, None, 5, [5], [{"image_id": 1, "score": 1}], {"images": []}])
def test_jsons_of_something_else(tmp_path, document):
    with pytest.raises(InputError, match="valid.json: is not an MPII json"):
        read_json(tmp_path, document)


def test_missing_photos(tmp_path):
    with pytest.raises(
        InputError, match="valid.json: 1 of its 2 photos are missing, first .*9.jpg of person 1"
    ):
        read_json(tmp_path, [entry(), entry("9.jpg")])


numbers = st.floats(-100, 3000, width=32) | st.integers(-100, 3000)
entries = st.builds(
    lambda joints, visible, centre, scale: {
        "joints": joints,
        "joints_vis": visible,
        "center": centre,
        "scale": scale,
    },
    st.lists(st.lists(numbers, min_size=2, max_size=2), min_size=16, max_size=16),
    st.lists(st.integers(0, 1), min_size=16, max_size=16),
    st.lists(numbers, min_size=2, max_size=2) | st.none(),
    st.floats(0.01, 20) | st.none(),
)


@settings(deadline=None, max_examples=30)
@given(st.lists(entries, max_size=4))
def test_a_json_and_the_same_people_in_a_mat_are_equal(people):
    document = [entry("1.jpg"), *({"image": f"{i + 1}.jpg"} | values for i, values in enumerate(people, 1))]
    images = {}
    for values in document:
        joints = zip(range(16), values["joints"], values["joints_vis"], strict=True)
        labelled = [(joint, *xy, "1") for joint, xy, visible in joints if visible]
        rect = {
            "annopoints": points(*labelled) if labelled else EMPTY,
            "scale": EMPTY if values["scale"] is None else values["scale"],
            "objpos": EMPTY
            if values["center"] is None
            else structs(dict(zip("xy", values["center"], strict=True))),
        }
        images[values["image"]] = structs(rect)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = read_mat(folder, images)
        theirs = read_json(folder, document)
    assert ours.findings.left_out == theirs.findings.left_out
    assert len(ours) == len(theirs)
    for mat, own in zip(ours.records, theirs.records, strict=True):
        assert (mat.image, mat.image_id, mat.person_id) == (own.image, own.image_id, own.person_id)
        np.testing.assert_array_equal(mat.keypoints, own.keypoints)
        np.testing.assert_array_equal(mat.box, own.box)
