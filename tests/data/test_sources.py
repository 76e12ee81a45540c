import json

import numpy as np
import pytest
import scipy.io
import synthetic_people

from flpn_tf.data.findings import Findings
from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError

ENTRY = {"image": "1.jpg", "joints": [[5, 5]] * 16, "joints_vis": [1] * 16, "center": [50, 50], "scale": 1}
POINT = {"x": 5.0, "y": 5.0, "id": 0.0}
RECT = {"annopoints": {"point": POINT}, "scale": 1.0, "objpos": {"x": 50.0, "y": 50.0}}
RELEASE = {"annolist": {"image": {"name": "1.jpg"}, "annorect": RECT}, "img_train": 1}


@pytest.fixture
def folder(tmp_path):
    """An empty data set: its photos."""
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    for name in ("1.jpg", "im0001.jpg", "im0002.jpg"):
        (folder / "images" / name).touch()
    return folder


def add_mpii_mat(folder, name="mpii_human_pose_v1_u12_1.mat"):
    scipy.io.savemat(folder / name, {"RELEASE": RELEASE})
    return folder / name


def add_lsp(folder, name="joints.mat"):
    scipy.io.savemat(folder / name, {"joints": np.ones((3, 14, 2))})
    return folder / name


def add_json(folder, name="annot/train.json", people=1):
    (folder / "annot").mkdir(exist_ok=True)
    (folder / name).write_text(" \n\t" + json.dumps([ENTRY] * people))
    return folder / name


def add_coco(folder, name="annotations.json"):
    document = synthetic_people.document(people=1)
    document["images"][0]["file_name"] = "1.jpg"
    (folder / name).write_text("\n " + json.dumps(document))
    return folder / name


FORMATS = {
    "COCO": (add_coco, 7),
    "MPII mat": (add_mpii_mat, 16),
    "MPII json": (add_json, 16),
    "LSP": (add_lsp, 14),
}


@pytest.mark.parametrize(("add", "joints"), FORMATS.values(), ids=FORMATS)
def test_folders_and_files_of_every_format(folder, tmp_path, add, joints):
    path = add(folder)
    for data in (folder, path, str(path)):
        findings = Findings()
        people = read_people(data, findings=findings)
        assert people.source == path
        assert len(people.skeleton) == joints
        assert people.records[0].image.parent == folder / "images"
        assert people.findings is findings
    (folder / "images").rename(tmp_path / "photos")
    assert len(read_people(path, tmp_path / "photos")) == len(people)


@pytest.mark.parametrize(("add", "joints"), [FORMATS["COCO"], FORMATS["MPII json"]], ids=["COCO", "MPII"])
def test_a_json_with_a_byte_order_mark(folder, add, joints):
    path = add(folder)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_people(folder).skeleton) == joints


OTHER_NAMES = {
    "COCO": (add_coco, "people.txt", 7),
    "MPII mat": (add_mpii_mat, "annotations.json", 16),
    "MPII json": (add_json, "annotations.json", 16),
    "LSP": (add_lsp, "release.mat", 14),
    "LSP without suffix": (add_lsp, "joints", 14),
}


@pytest.mark.parametrize(("add", "name", "joints"), OTHER_NAMES.values(), ids=OTHER_NAMES)
def test_the_content_says_which_format(folder, add, name, joints):
    assert len(read_people(add(folder, name)).skeleton) == joints


def test_photos_in_the_folder_of_a_json_conversion(folder):
    path = add_json(folder)
    (folder / "annot" / "images").mkdir()
    (folder / "annot" / "images" / "1.jpg").touch()
    assert read_people(path).records[0].image.parent == folder / "annot" / "images"


def test_a_folder_takes_the_first(folder):
    for add, joints in [(add_json, 16), (add_lsp, 14), (add_coco, 7)]:
        add(folder)
        assert len(read_people(folder).skeleton) == joints


def test_other_mats_in_a_folder(folder):
    scipy.io.savemat(folder / "a.mat", {"preds": 1})
    path = add_lsp(folder)
    assert read_people(folder).source == path


def test_splits_are_handed_on(folder):
    path = add_lsp(folder)
    assert [record.person_id for record in read_people(path, split="test").records] == [1]
    assert len(read_people(path)) == 2
    path.unlink()
    add_mpii_mat(folder)
    assert len(read_people(folder, split="all")) == 1
    with pytest.raises(InputError, match="no person with labelled keypoints"):
        read_people(folder, split="test")


def test_the_jsons_of_a_folder_are_its_splits(folder):
    add_json(folder, people=1)
    assert len(read_people(folder, split="train")) == 1
    add_json(folder, "annot/valid.json", people=2)
    assert len(read_people(folder, split="train")) == 1
    assert len(read_people(folder, split="valid")) == 2
    for split in (None, "test"):
        with pytest.raises(InputError, match=f"data: split must be one of train, valid. Received: {split!r}"):
            read_people(folder, split=split)


def test_head_boxes_beside_a_json(folder):
    add_json(folder, "annot/valid.json")
    assert read_people(folder).records[0].head_box is None
    heads = np.array([[1.0, 2.0], [4.0, 8.0]])[..., np.newaxis]
    scipy.io.savemat(folder / "annot" / "gt_valid.mat", {"headboxes_src": heads})
    np.testing.assert_array_equal(read_people(folder).records[0].head_box, [0, 1, 3, 6])


BAD_SPLITS = {
    "COCO": (add_coco, "train", "annotations.json: a COCO json has no split. Received: 'train'"),
    "MPII json": (add_json, "train", "train.json: an MPII json has no split. Received: split='train'"),
    "MPII mat": (add_mpii_mat, "valid", "split must be one of train, test, all. Received: 'valid'"),
    "LSP": (add_lsp, "valid", "split of LSP must be one of train, test, all. Received: 'valid'"),
}


@pytest.mark.parametrize(("add", "split", "message"), BAD_SPLITS.values(), ids=BAD_SPLITS)
def test_bad_splits(folder, add, split, message):
    with pytest.raises(InputError) as caught:
        read_people(add(folder), split=split)
    assert message in str(caught.value)


def write(content):
    return lambda folder: (folder / "annotations.json").write_bytes(content)


BAD = {
    "an empty folder": (lambda folder: None, "data: a data set is a folder with annotations.json (COCO)"),
    "no photos": (
        lambda folder: (add_lsp(folder), (folder / "images").rename(folder / "a")),
        "a data set is",
    ),
    "two data sets": (
        lambda folder: (add_lsp(folder), add_mpii_mat(folder)),
        "give the file. Received: joints.mat, mpii_human_pose_v1_u12_1.mat",
    ),
    "a damaged .mat": (lambda folder: (folder / "a.mat").write_bytes(b"MATLAB 5.0"), "is not a MATLAB file"),
    "another .mat": (
        lambda folder: scipy.io.savemat(folder / "annotations.json", {"preds": 1}, appendmat=False),
        "is neither MPII, which has the variable RELEASE, nor LSP, which has joints. Received: ['preds']",
    ),
    "an empty file": (write(b""), "annotations.json: is not JSON"),
    "a list of boxes": (write(b'[{"image_id": 1, "bbox": []}]'), "annotations.json: is not an MPII json"),
    "an empty list": (write(b"[]"), "annotations.json: is not an MPII json"),
    "half a list": (write(b"[{"), "annotations.json: is not JSON"),
    "half a dict": (write(b"{"), "annotations.json: is not JSON"),
    "another dict": (write(b"{}"), "annotations.json: is not a COCO json"),
    "a picture": (write(b"\x89PNG\r\n\x1a\n"), "annotations.json: is not JSON"),
    "a folder as file": (
        lambda folder: (folder / "annotations.json").mkdir(),
        "data: a data set is a folder",
    ),
}


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD)
def test_what_is_no_data_set(folder, make, message):
    make(folder)
    with pytest.raises(InputError) as caught:
        read_people(folder)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", ["nowhere", "a" * 5000, "a/" * 3000, "\0"])
def test_paths_to_nothing(tmp_path, data):
    with pytest.raises(InputError, match="a data set is a folder"):
        read_people(tmp_path / data)
