"""PCKh beside plain numpy, and by hand."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
import synthetic_people
from knowing_backend import STANDS_FOR, KnowingBackend, UnaskedBackend
from synthetic_people import SKELETON

from flpn_tf.data.records import People, PersonRecord
from flpn_tf.errors import InputError
from flpn_tf.evaluation import evaluate_command
from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.evaluation.mpii_eval import head_lengths, mpii_metrics
from flpn_tf.skeleton import MPII_16

# The places of the joints in MPII's arrays.
HEAD, PELVIS, THORAX = 9, 6, 7
PAIRS = {"Shoulder": (12, 13), "Elbow": (11, 14), "Wrist": (10, 15), "Hip": (2, 3), "Knee": (1, 4)}
PAIRS["Ankle"] = (0, 5)
PEOPLE = 8
WITHOUT_HEAD = 3  # this person has no head box


def structs(*items: dict) -> np.ndarray:
    """(1, n) struct array as MATLAB stores it."""
    array = np.empty((1, len(items)), [(field, "O") for field in items[0]])
    for element, item in zip(array[0], items, strict=True):
        for field in array.dtype.names:
            element[field] = item[field]
    return array


def drawn():
    """Photos, (8, 16, 2) joints in their pixels from 0, (8, 16) which are labelled, (8, 4) head boxes."""
    rng = np.random.default_rng(5)
    bodies = np.array([synthetic_people.joints(rng) for _ in range(PEOPLE)])
    names = [STANDS_FOR.get(name, name) for name in MPII_16.names]
    truth = bodies[:, [SKELETON.names.index(name) for name in names]]
    labelled = rng.uniform(size=truth.shape[:2]) < 0.8
    corners = truth[:, HEAD] - 5
    heads = np.concatenate([corners, corners + rng.uniform(8, 30, corners.shape)], axis=1)
    return [synthetic_people.draw(body) for body in bodies], truth, labelled, heads


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The people in the layout of MPII's own file, whose pixels count from 1."""
    folder = tmp_path_factory.mktemp("mpii")
    (folder / "images").mkdir()
    photos, truth, labelled, heads = drawn()
    entries = []
    for number, (photo, joints, known, head) in enumerate(zip(photos, truth, labelled, heads, strict=True)):
        cv2.imwrite(str(folder / "images" / f"{number}.png"), photo[..., ::-1])
        points = [
            {"id": joint, "x": joints[joint, 0] + 1, "y": joints[joint, 1] + 1, "is_visible": 1}
            for joint in np.flatnonzero(known)
        ]
        box = [np.zeros((0, 0))] * 4 if number == WITHOUT_HEAD else (head + 1).tolist()
        rect = dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)) | {
            "annopoints": structs({"point": structs(*points)}),
            "scale": 0.6,  # of 200 pixels
            "objpos": structs({"x": synthetic_people.WIDTH / 2, "y": synthetic_people.HEIGHT / 2 - 9}),
        }
        entries.append({"image": structs({"name": f"{number}.png"}), "annorect": structs(rect)})
    release = {"annolist": structs(*entries), "img_train": np.ones((1, PEOPLE)), "version": "12"}
    scipy.io.savemat(folder / "mpii.mat", {"RELEASE": structs(release)})
    return folder


@pytest.fixture(scope="module")
def json_data(data, tmp_path_factory):
    """Those with a head box in the layout of the code of Xiao et al. 2018."""
    folder = tmp_path_factory.mktemp("json")
    (folder / "images").symlink_to(data / "images")
    (folder / "annot").mkdir()
    _, truth, labelled, heads = drawn()
    numbers = [number for number in range(PEOPLE) if number != WITHOUT_HEAD]
    entries = [
        {
            "image": f"{number}.png",
            "joints": np.where(labelled[number][:, None], truth[number] + 1, -1.0).tolist(),
            "joints_vis": labelled[number].astype(int).tolist(),
            "center": [synthetic_people.WIDTH / 2, synthetic_people.HEIGHT / 2 - 9],
            "scale": 0.6,
        }
        for number in numbers
    ]
    for name in ("train", "valid"):
        (folder / "annot" / f"{name}.json").write_text(json.dumps(entries))
    corners = (heads[numbers] + 1).reshape(-1, 2, 2).transpose(1, 2, 0)
    scipy.io.savemat(folder / "annot" / "gt_valid.mat", {"headboxes_src": corners})
    return folder


def pckh(found, truth, labelled, heads):
    """As published: a joint counts within half of the head's length, which is 0.6 of its box's diagonal."""
    lengths = 0.6 * np.hypot(heads[:, 2] - heads[:, 0], heads[:, 3] - heads[:, 1])
    distances = np.hypot(*np.moveaxis(found - truth, -1, 0)) / lengths[:, None]

    def joint(place, threshold):
        known = labelled[:, place]
        return 100 * np.mean(distances[known, place] <= threshold)

    def mean(threshold):
        known = labelled.copy()
        known[:, [PELVIS, THORAX]] = False
        return 100 * np.mean(distances[known] <= threshold)

    parts = {name: (joint(a, 0.5) + joint(b, 0.5)) / 2 for name, (a, b) in PAIRS.items()}
    return {"Head": joint(HEAD, 0.5)} | parts | {"Mean": mean(0.5), "Mean@0.1": mean(0.1)}


def test_the_truth_is_100(data, model_of):
    result = evaluate(model_of(KnowingBackend(MPII_16)), data).result
    assert result["metrics"] == dict.fromkeys(("Head", *PAIRS, "Mean", "Mean@0.1"), 100)
    assert list(result["metrics"]) == ["Head", *PAIRS, "Mean", "Mean@0.1"]
    assert result["errors"]["all"]["good"] == 100
    assert result["measure"].startswith("PCKh@0.5")
    assert (result["dataset"], result["data"], result["boxes"]) == ("mpii", f"{data.name}/mpii.mat", "gt")


def test_against_numpy(data, model_of):
    """Each joint is off by another distance, most by 2 to 14 crop pixels."""
    shift = np.random.default_rng(0).normal(scale=6, size=(16, 2))
    found = evaluate(model_of(KnowingBackend(MPII_16, shift=shift)), data)
    counted = np.arange(PEOPLE) != WITHOUT_HEAD
    _, truth, labelled, heads = (np.asarray(part)[counted] for part in drawn())
    expected = pckh(found.poses.keypoints[counted, :, :2], truth, labelled, heads)
    assert 20 < expected["Mean"] < 80
    assert 0 < expected["Mean@0.1"] < expected["Mean"]
    assert len(set(expected.values())) > 5
    assert found.result["metrics"] == pytest.approx(expected, abs=1e-4)


def test_people_without_a_head_box_do_not_count(data, model_of):
    found = evaluate(model_of(KnowingBackend(MPII_16)), data)
    assert found.result["people"] == PEOPLE - 1
    assert found.result["left_out"] == {"no head box to measure by": 1}


def test_the_usual_jsons_give_the_same(data, json_data, model_of, tmp_path):
    shift = np.random.default_rng(0).normal(scale=6, size=(16, 2))
    model = model_of(KnowingBackend(MPII_16, shift=shift))
    result = evaluate(model, json_data, split="valid").result
    assert result["metrics"] == evaluate(model, data).result["metrics"]
    assert (result["data"], result["people"], result["left_out"]) == ("annot/valid.json", PEOPLE - 1, {})
    # gt_train.mat is not there.
    with pytest.raises(InputError, match=r"train\.json: has no head boxes"):
        evaluate(model, json_data, split="train")
    output = tmp_path / "r.json"
    evaluate_command.run(model, json_data, json_to=str(output), split="valid")
    assert json.loads(output.read_text()) == result
    output.write_text("[]")
    with pytest.raises(InputError, match="is measured with one pose of each person"):
        evaluate(model, json_data, split="valid", boxes=output)


def test_joints_that_the_model_has_not(data, model_of):
    """COCO's joints: no head top, no pelvis."""
    kept = [joint for joint in range(16) if joint not in (PELVIS, THORAX, 8, HEAD)]
    result = evaluate(model_of(KnowingBackend(MPII_16.subset(kept))), data).result
    assert result["metrics"] == {"Head": None} | dict.fromkeys((*PAIRS, "Mean", "Mean@0.1"), 100)
    assert result["unmatched"] == ["pelvis", "thorax", "upper_neck", "head_top"]


def person(labels, head_box):
    """Every joint at (0, 0)."""
    joints = np.zeros((16, 3), np.float32)
    joints[:, 2] = labels
    box = np.array([0.0, 0, 100, 100])
    return PersonRecord(Path("1.jpg"), 0, 0, box, 1e4, joints, MPII_16, head_box=head_box)


def test_by_hand():
    """A head box of 30 by 40 has the diagonal 50, so the head is 30 long: 15 pixels, or 3, are allowed."""
    people = People([person(2, np.array([7.0, 7, 30, 40]))], Path("a.mat"), "", format="mpii")
    assert head_lengths(people) == pytest.approx([30])
    found = np.zeros((1, 16, 3))
    found[0, HEAD, 0] = 3
    found[0, PAIRS["Knee"], 0] = 3.01, 15
    found[0, PAIRS["Hip"], 1] = 15.01, 0
    found[0, (PELVIS, THORAX), 0] = 99
    metrics = mpii_metrics(people, found, head_lengths(people))
    expected = dict.fromkeys(PAIRS, 100) | {"Head": 100, "Hip": 50}
    assert metrics == pytest.approx(expected | {"Mean": 100 * 13 / 14, "Mean@0.1": 100 * 11 / 14})


def test_the_mean_is_of_all_labelled_joints():
    """Not of the columns: the second person has one joint, and it is a hit."""
    one = np.zeros(16)
    one[0] = 1
    heads = [np.array([0.0, 0, 30, 40])] * 2
    people = People([person(2, heads[0]), person(one, heads[1])], Path("a.mat"), "", format="mpii")
    found = np.zeros((2, 16, 3))
    found[0, :, 0] = 99
    metrics = mpii_metrics(people, found, head_lengths(people))
    assert metrics["Ankle"] == 25
    assert metrics["Mean"] == pytest.approx(100 / 15)


def test_no_head_boxes_at_all():
    people = People([person(2, None)], Path("a.json"), "", format="mpii")
    with pytest.raises(InputError, match=r"a\.json: has no head boxes, which PCKh is measured by"):
        head_lengths(people)


def test_detections_are_refused(data, tmp_path, model_of):
    (tmp_path / "d.json").write_text("[]")
    with pytest.raises(InputError, match="is measured with one pose of each person"):
        evaluate(model_of(UnaskedBackend(MPII_16)), data, boxes=tmp_path / "d.json")
