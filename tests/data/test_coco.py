import copy
import hashlib
import json

import numpy as np
import pytest
import synthetic_people
from real_data import real_data

from flpn_tf.data.coco import read_coco, read_coco_photos
from flpn_tf.data.findings import Findings
from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError
from flpn_tf.skeleton import COCO_17, DEFAULT_SIGMA


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A data-set folder, and its document."""
    content = synthetic_people.document(people=3)
    return synthetic_people.write(tmp_path_factory.mktemp("good"), content), content


def read_changed(good, tmp_path, change, **options):
    """Reads the good photos with the annotations that `change` has altered in place."""
    folder, content = good
    content = copy.deepcopy(content)
    change(content)
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(content))
    return read_coco(path, folder / "images", **options)


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
    "a limb outside": (first("categories", skeleton=[[1, 99]]), "pairs of 1-based joints, 1 to 7"),
    "two kinds of body": (
        lambda content: content["categories"].append({"id": 2, "keypoints": ["nose", "tail"]}),
        "name different keypoints",
    ),
    "an image is a number": (
        replaced("images", [5]),
        "image number 0 needs a whole number of 64 bits as `id`",
    ),
    "an image without id": (
        without("images", "id"),
        "image number 0 needs a whole number of 64 bits as `id`",
    ),
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


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_can_be_collected(good, tmp_path, change, message):
    findings = Findings(collect=True)
    texts = []
    try:
        people = read_changed(good, tmp_path, change, findings=findings)
    except InputError as error:  # it concerns the whole file, or nobody is left
        texts.append(str(error))
    else:
        assert [record.person_id for record in people.records] in ([1001, 1002], [1000, 1001, 1002])
    texts += sum(findings.errors.values(), [])
    assert any(message in text or "there is no photo" in text for text in texts)


def test_errors_are_collected_by_kind(good, tmp_path):
    def change(content):
        content["annotations"][0]["bbox"] = [1, 2, 3]
        content["annotations"][1]["keypoints"] = []
        content["annotations"].append(content["annotations"][2] | {"id": 5, "bbox": None})
        content["images"].append({"id": 7})

    findings = Findings(collect=True)
    people = read_changed(good, tmp_path, change, findings=findings)
    assert [record.person_id for record in people.records] == [1002]
    assert people.findings is findings
    counts = {kind: len(messages) for kind, messages in findings.errors.items()}
    assert counts == {"bad file name": 1, "bad box": 2, "bad keypoints": 1}


def test_why_people_are_left_out(good, tmp_path):
    def change(content):
        content["annotations"][0]["iscrowd"] = 1
        content["annotations"][2]["keypoints"] = [0] * 21

    people = read_changed(good, tmp_path, change)
    assert people.findings.left_out == {"a crowd": ["1000"], "no labelled keypoint": ["1002"]}


def test_what_else_is_in_the_json(good, tmp_path):
    """Also the photos without people."""

    def change(content):
        content["images"].append({"id": 7, "file_name": "sub/7.jpg", "width": 30, "height": 40})
        content["categories"] += [content["categories"][0] | {"id": 5}, {"id": 9, "name": "kite"}]

    folder, _ = good
    people = read_changed(good, tmp_path, change)
    coco, size = people.coco, (synthetic_people.WIDTH, synthetic_people.HEIGHT)
    assert coco.photos == {
        100: (folder / "images" / "0.png", *size),
        101: (folder / "images" / "1.png", *size),
        102: (folder / "images" / "2.png", *size),
        7: (folder / "images" / "sub" / "7.jpg", 30, 40),
    }
    assert coco.skeleton == people.skeleton
    assert coco.categories == (1, 5)
    assert coco.source == people.source == tmp_path / "annotations.json"
    assert coco.sha256 == people.sha256 == hashlib.sha256(people.source.read_bytes()).hexdigest()
    assert coco.uncounted == []


UNLABELLED = [5, 6, 0] * 7
UNCOUNTED = {
    "a crowd": {"iscrowd": 1, "keypoints": [0] * 21},
    "a crowd with labels": {"iscrowd": 1, "keypoints": [5, 6, 1] * 7},
    "a crowd with no list of keypoints": {"iscrowd": 1, "keypoints": []},
    "nothing labelled": {"keypoints": UNLABELLED},
    "no area": {"area": 0},
    "beside the photo": {"bbox": [200, 10, 20, 30], "area": 70},
    "only a box": {"bbox": [-30, 5, 70.5, 2], "keypoints": UNLABELLED, "area": None},
}


@pytest.mark.parametrize("values", UNCOUNTED.values(), ids=UNCOUNTED)
def test_people_that_only_the_evaluation_knows(good, tmp_path, values):
    def change(content):
        annotation = content["annotations"][0]
        annotation.update(values)
        if annotation["area"] is None:
            annotation.pop("area")

    people = read_changed(good, tmp_path, change)
    assert [record.person_id for record in people.records] == [1001, 1002]
    annotation = good[1]["annotations"][0] | values
    (region,) = people.coco.uncounted
    assert region.image_id == 100
    np.testing.assert_array_equal(region.box, annotation["bbox"])  # not clipped
    assert region.area == (70.5 * 2 if annotation["area"] is None else annotation["area"])
    np.testing.assert_array_equal(region.keypoints.ravel(), annotation["keypoints"] or [0] * 21)
    assert region.crowd is bool(annotation["iscrowd"])
    assert people.findings.warnings == {}


def test_other_categories_are_nothing_to_the_evaluation(good, tmp_path):
    people = read_changed(good, tmp_path, changed_person(category_id=2, iscrowd=1))
    assert people.coco.uncounted == []


@pytest.mark.parametrize("missing", ["bbox", "area"])
def test_a_crowd_without_box_is_missed_by_the_evaluation(good, tmp_path, missing):
    people = read_changed(good, tmp_path, changed_person(iscrowd=1, **{missing: None}))
    assert people.findings.left_out == {"a crowd": ["1000"]}
    assert people.coco.uncounted == []
    ((kind, messages),) = people.findings.warnings.items()
    assert kind == "no box or area"
    assert messages == [
        f"{tmp_path / 'annotations.json'}: annotation 1000: a crowd, and has no bbox or area; AP misses it"
    ]


@pytest.mark.parametrize("image_id", [5, "100", [100], None])
@pytest.mark.parametrize("values", [{"iscrowd": 1}, {"keypoints": UNLABELLED}], ids=["crowd", "unlabelled"])
def test_a_crowd_of_no_photo(good, tmp_path, values, image_id):
    """Is as wrong as a person of no photo."""
    with pytest.raises(InputError, match="1000: there is no image with its image_id. Received: "):
        read_changed(good, tmp_path, changed_person(**values, image_id=image_id))


def test_some_photos_of_a_json(good, tmp_path):
    def change(content):
        content["annotations"][0]["iscrowd"] = 1
        content["annotations"][1]["area"] = 0

    coco = read_changed(good, tmp_path, change).coco
    some = coco.of_photos([102, 101])
    assert some.photos == {image_id: coco.photos[image_id] for image_id in (101, 102)}
    assert some.uncounted == coco.uncounted[1:]
    assert some._replace(photos=coco.photos, uncounted=coco.uncounted) == coco


def read_photos(good, tmp_path, change):
    content = copy.deepcopy(good[1])
    change(content)
    path = tmp_path / "photos.json"
    path.write_text(json.dumps(content))
    return read_coco_photos(path, good[0] / "images")


def test_photos_of_a_json_without_annotations(good, tmp_path):
    whole = read_people(good[0]).coco
    found = read_photos(good, tmp_path, lambda content: content.pop("annotations"))
    assert found.photos == whole.photos
    assert found.skeleton == synthetic_people.SKELETON
    assert (found.categories, found.uncounted) == ((1,), [])
    assert found.sha256 == hashlib.sha256((tmp_path / "photos.json").read_bytes()).hexdigest()


def test_photos_of_test_dev(good, tmp_path):
    """Its categories name no keypoints, and not all of its photos need be here."""

    def change(content):
        content.pop("annotations")
        content["categories"] = [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}]
        content["images"][0]["file_name"] = "elsewhere.jpg"

    found = read_photos(good, tmp_path, change)
    assert (found.skeleton, found.categories) == (COCO_17, (1,))
    assert found.photos[100].path == good[0] / "images" / "elsewhere.jpg"


# All but those that are of annotations.
BAD_PHOTOS = {
    name: bad
    for name, bad in BAD.items()
    if ("image" in name and "image_id" not in name) or "path" in name or "kinds of body" in name
}


@pytest.mark.parametrize(("change", "message"), BAD_PHOTOS.values(), ids=BAD_PHOTOS)
def test_bad_jsons_of_photos(good, tmp_path, change, message):
    with pytest.raises(InputError) as caught:
        read_photos(good, tmp_path, change)
    assert message in str(caught.value)
    assert "photos.json" in str(caught.value)


WARNINGS = {
    "box without area": ({"bbox": [20, 20, 0, 50]}, "bbox [20.0, 20.0, 0.0, 50.0] becomes one pixel"),
    "box beyond its photo": (
        {"bbox": [20, 20, 50, 500]},
        "bbox [20.0, 20.0, 50.0, 500.0] in 100x120 is clipped",
    ),
    "wrong num_keypoints": ({"num_keypoints": 3}, "7 are labelled. Received: 3"),
}


@pytest.mark.parametrize("kind", WARNINGS)
def test_warnings(good, tmp_path, kind):
    values, message = WARNINGS[kind]
    people = read_changed(good, tmp_path, changed_person(**values))
    assert len(people) == 3
    ((found, messages),) = people.findings.warnings.items()
    assert found == kind
    assert messages == [f"{tmp_path / 'annotations.json'}: annotation 1000: {message}"]


def test_good_people_have_no_findings(good):
    assert read_people(good[0]).findings == Findings()


def test_flip_pairs_and_sigmas_of_a_category(good, tmp_path):
    pairs, sigmas = [[1, 2], [5, 6]], [0.01 * joint for joint in range(1, 8)]
    people = read_changed(good, tmp_path, first("categories", flip_pairs=pairs, sigmas=sigmas))
    assert people.skeleton.flip_pairs == ((1, 2), (5, 6))
    assert people.skeleton.sigmas == tuple(sigmas)


BAD_CATEGORIES = {
    "a pair outside": {"flip_pairs": [[1, 7]]},
    "a pair of three": {"flip_pairs": [[1, 2, 3]]},
    "a pair of texts": {"flip_pairs": [["1", "2"]]},
    "pairs are a number": {"flip_pairs": 5},
    "a joint in two pairs": {"flip_pairs": [[1, 2], [2, 3]]},
    "a sigma too few": {"sigmas": [0.1] * 6},
    "a sigma of 0": {"sigmas": [0.0] * 7},
    "NaN sigmas": {"sigmas": [NAN] * 7},
    "sigmas are texts": {"sigmas": ["a"] * 7},
    "sigmas are a number": {"sigmas": 5},
    "a name twice": {"keypoints": ["nose"] * 7},
    "names are numbers in a dict": {"keypoints": {"a": 1}},
}


@pytest.mark.parametrize("values", BAD_CATEGORIES.values(), ids=BAD_CATEGORIES)
def test_bad_categories(good, tmp_path, values):
    with pytest.raises(InputError, match="annotations.json: ") as caught:
        read_changed(good, tmp_path, first("categories", **values))
    assert "\n" not in str(caught.value)


# The 26 joints of Halpe (github.com/Fang-Haoshu/Halpe-FullBody), as such files name them.
HALPE_26 = [
    *("Nose", "LEye", "REye", "LEar", "REar", "LShoulder", "RShoulder", "LElbow", "RElbow"),
    *("LWrist", "RWrist", "LHip", "RHip", "LKnee", "RKnee", "LAnkle", "RAnkle", "Head", "Neck", "Hip"),
    *("LBigToe", "RBigToe", "LSmallToe", "RSmallToe", "LHeel", "RHeel"),
]
OTHER_BODIES = {
    "4 corners": (["top_left", "top_right", "bottom_right", "bottom_left"], [[1, 2], [2, 3], [3, 4], [4, 1]]),
    "26 joints": (HALPE_26, [[1, 2], [25, 26]]),
}


@pytest.mark.parametrize(("names", "limbs"), OTHER_BODIES.values(), ids=OTHER_BODIES)
def test_other_bodies(good, tmp_path, names, limbs):
    values = [value for joint in range(len(names)) for value in (10 + joint, 20 + joint, 1 + joint % 2)]

    def change(content):
        content["categories"] = [{"id": 1, "name": "thing", "keypoints": names, "skeleton": limbs}]
        for annotation in content["annotations"]:
            annotation.update(keypoints=values, num_keypoints=len(names))

    people = read_changed(good, tmp_path, change)
    assert len(people) == 3
    assert people.skeleton.names == tuple(names)
    assert people.skeleton.limbs == tuple((a - 1, b - 1) for a, b in limbs)
    assert people.skeleton.sigmas == (DEFAULT_SIGMA,) * len(names)
    np.testing.assert_array_equal(people.records[0].keypoints, np.reshape(values, (-1, 3)))


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
    people = read_people(real_data("coco_train"))
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
