import copy
import json
import os
from pathlib import Path

import numpy as np
import pytest
import synthetic_people

from flpn_tf.data.coco import read_coco
from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A data-set folder, and its document."""
    content = synthetic_people.document(people=3)
    return synthetic_people.write(tmp_path_factory.mktemp("good"), content), content


def read_changed(good, tmp_path, change):
    """Reads the good photos with the annotations that `change` has altered in place."""
    folder, content = good
    content = copy.deepcopy(content)
    change(content)
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(content))
    return read_coco(path, folder / "images")


def test_records_and_skeleton(good):
    folder, content = good
    people = read_people(folder)
    skeleton, records = people.skeleton, people.records
    assert skeleton == synthetic_people.SKELETON
    assert skeleton.flip_pairs == ((1, 2), (3, 4), (5, 6))
    assert [record.person_id for record in records] == [1000, 1001, 1002]
    record, annotation = records[1], content["annotations"][1]
    assert record.image == folder / "images" / "1.png"
    assert record.image_id == 101
    assert record.area == annotation["area"]
    assert record.keypoints.dtype == np.float32
    np.testing.assert_array_equal(record.keypoints.ravel(), annotation["keypoints"])
    x, y, w, h = annotation["bbox"]
    np.testing.assert_array_equal(record.box, [x, y, w - 1, h - 1])  # from first to last pixel


def changed_person(**values):
    return lambda content: content["annotations"][0].update(values)


def without(part, key):
    return lambda content: content[part][0].pop(key)


LEFT_OUT = {
    "a crowd": changed_person(iscrowd=1),
    "nothing labelled": changed_person(keypoints=[0] * 21),
    "no keypoints": without("annotations", "keypoints"),
    "another category": changed_person(category_id=2),
    "no area": changed_person(area=0),
    "a box beside the photo": changed_person(bbox=[200, 10, 20, 20]),
}


@pytest.mark.parametrize("change", LEFT_OUT.values(), ids=LEFT_OUT)
def test_people_left_out(good, tmp_path, change):
    records = read_changed(good, tmp_path, change).records
    assert [record.person_id for record in records] == [1001, 1002]


def test_boxes_are_clipped_to_the_photo(good, tmp_path):
    records = read_changed(good, tmp_path, changed_person(bbox=[-10, 100, 30, 500])).records
    np.testing.assert_array_equal(records[0].box, [0, 100, 19, synthetic_people.HEIGHT - 1 - 100])


def test_a_json_without_area_or_counts_takes_the_box(good, tmp_path):
    def change(content):
        for key in ("area", "num_keypoints", "iscrowd"):
            content["annotations"][0].pop(key)

    records = read_changed(good, tmp_path, change).records
    assert records[0].area == pytest.approx(np.prod(records[0].box[2:]))


def test_several_categories_of_one_body(good, tmp_path):
    def change(content):
        content["categories"].append(content["categories"][0] | {"id": 7, "name": "child"})
        content["categories"].append({"id": 9, "name": "kite"})
        content["annotations"][0]["category_id"] = 7
        content["annotations"][1]["category_id"] = 9

    records = read_changed(good, tmp_path, change).records
    assert [record.person_id for record in records] == [1000, 1002]


def replaced(part, value):
    return lambda content: content.update({part: value})


def first(part, **values):
    return lambda content: content[part][0].update(values)


def duplicate(part):
    return lambda content: content[part].append(content[part][0])


NAN, INF = float("nan"), float("inf")
BAD = {
    "no images": (lambda content: content.pop("images"), "the lists images are missing"),
    "images is no list": (replaced("images", {}), "the lists images are missing"),
    "no person": (replaced("annotations", []), "no person with labelled keypoints"),
    "no category": (replaced("categories", []), "no category with a `keypoints` list"),
    "a category is a text": (replaced("categories", ["person"]), "no category with a `keypoints` list"),
    "a limb outside": (first("categories", skeleton=[[1, 99]]), "limbs must join"),
    "two kinds of body": (
        lambda content: content["categories"].append({"id": 2, "keypoints": ["nose", "tail"]}),
        "name different keypoints",
    ),
    "an image is a number": (replaced("images", [5]), "image number 0 needs a whole number as `id`"),
    "an image without id": (without("images", "id"), "image number 0 needs a whole number as `id`"),
    "an image without width": (without("images", "width"), "image 100: width and height"),
    "an image without height": (without("images", "height"), "image 100: width and height"),
    "a width that is a text": (first("images", width="100"), "image 100: width and height"),
    "a width of 0": (first("images", width=0), "image 100: width and height must be above 0"),
    "an image without file_name": (without("images", "file_name"), "image 100: file_name"),
    "a path to the parent": (first("images", file_name="../images/0.png"), "must stay inside"),
    "a path through the parent": (first("images", file_name="a/../../0.png"), "must stay inside"),
    "an absolute path": (first("images", file_name="/etc/passwd"), "must stay inside"),
    "a file name too long": (first("images", file_name="9" * 300), "1 of its 3 photos are missing"),
    "a missing photo": (first("images", file_name="9.png"), "1 of its 3 photos are missing"),
    "an image twice": (duplicate("images"), "image ids must be unique. Received: 100 twice"),
    "an annotation is a list": (replaced("annotations", [[]]), "annotation number 0 needs"),
    "an annotation without id": (without("annotations", "id"), "annotation number 0 needs"),
    "an annotation twice": (duplicate("annotations"), "annotation ids must be unique. Received: 1000 twice"),
    "no image_id": (without("annotations", "image_id"), "1000: there is no image with its image_id"),
    "an unknown image_id": (first("annotations", image_id=5), "1000: there is no image with its image_id"),
    "an image_id that is a list": (
        first("annotations", image_id=[100]),
        "1000: there is no image with its image_id",
    ),
    "no bbox": (without("annotations", "bbox"), "annotation 1000: bbox must be 4 finite numbers"),
    "three numbers": (first("annotations", bbox=[1, 2, 3]), "annotation 1000: bbox must be 4"),
    "a text in the box": (first("annotations", bbox=[1, 2, 3, "4"]), "annotation 1000: bbox must be 4"),
    "an endless box": (first("annotations", bbox=[1, 2, INF, 4]), "annotation 1000: bbox must be 4"),
    "a number too large": (first("annotations", bbox=[1, 2, 10**400, 4]), "annotation 1000: bbox must be 4"),
    "null as area": (
        first("annotations", area=None),
        "annotation 1000: area must be a finite number. Received: None",
    ),
    "too few keypoints": (first("annotations", keypoints=[1, 2, 2]), "1000: keypoints must be 21"),
    "NaN keypoints": (
        first("annotations", keypoints=[NAN, 2, 2] * 7),
        "1000: keypoints must be 21",
    ),
    "null keypoints": (first("annotations", keypoints=[None] * 21), "1000: keypoints must be 21"),
    "nested keypoints": (
        first("annotations", keypoints=[[1, 2, 2]] * 7),
        "1000: keypoints must be",
    ),
    "keypoints in RLE": (first("annotations", keypoints={"a": 1}), "1000: keypoints must be 21"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_bad_jsons(good, tmp_path, change, message):
    with pytest.raises(InputError) as caught:
        read_changed(good, tmp_path, change)
    text = str(caught.value)
    assert message in text
    assert "annotations.json" in text
    assert "\n" not in text
    assert len(text) < 600


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b'"images"', b"[" * 100_000])
def test_files_that_are_no_coco_json(good, tmp_path, content):
    path = tmp_path / "annotations.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="annotations.json: is not"):
        read_coco(path, good[0] / "images")


@pytest.mark.parametrize("missing", ["annotations.json", "images", "."])
def test_a_folder_that_is_no_data_set(good, tmp_path, missing):
    folder = tmp_path / "data"
    if missing != ".":
        synthetic_people.write(folder, good[1])
        (folder / missing).rename(tmp_path / "away")
    with pytest.raises(InputError, match="data: a data set is a folder with"):
        read_people(folder)


def test_real_photos():
    data = Path(os.environ.get("FLPN_DATA", Path(__file__).parents[3] / "shared" / "data")) / "coco_train"
    if not data.is_dir():
        pytest.skip(f"no {data}; set FLPN_DATA to a folder with coco_train/")
    people = read_people(data)
    skeleton, records = people.skeleton, people.records
    assert skeleton.name == "coco_17"
    assert len(records) == 670  # its README's number of labelled people
    assert len({record.person_id for record in records}) == 670
    inside = [
        (record.keypoints[:, :2] >= record.box[:2] - 2).all(-1)
        & (record.keypoints[:, :2] <= record.box[:2] + record.box[2:] + 2).all(-1)
        for record in records
    ]
    labelled = np.stack([record.keypoints[:, 2] > 0 for record in records])
    assert np.stack(inside)[labelled].mean() > 0.95
