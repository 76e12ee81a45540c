"""The evaluation around a model that knows the answer, and what it makes of wrong ones."""

import dataclasses
import hashlib
import json
import sys

import cv2
import numpy as np
import pytest
import scipy.io
import synthetic_people
from knowing_backend import HEIGHT, MIRRORED, STANDS_FOR, WIDTH, KnowingBackend, UnaskedBackend
from synthetic_people import SKELETON

from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError
from flpn_tf.evaluation import predict
from flpn_tf.evaluation.analysis import KINDS
from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.evaluation.predict import predict_people
from flpn_tf.runtime.estimator import PoseEstimator
from flpn_tf.skeleton import LSP_14, Skeleton

AP_NAMES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
PARTS = ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean", "Mean@0.1")


def truth_of(data):
    """(8, 7, 2) as it was drawn."""
    annotations = json.loads((data / "annotations.json").read_text())["annotations"]
    return np.reshape([a["keypoints"] for a in annotations], (-1, 7, 3))[..., :2]


def changed(data, folder, change):
    """The data set with `change` made to each annotation, in `folder`."""
    content = json.loads((data / "annotations.json").read_text())
    for annotation in content["annotations"]:
        change(annotation)
    folder.mkdir()
    (folder / "images").symlink_to(data / "images")
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


def unlabel(*names, only=None):
    def change(annotation):
        if only is None or annotation["id"] == only:
            for name in names:
                annotation["keypoints"][3 * SKELETON.names.index(name) + 2] = 0

    return change


def skeleton_of(*names):
    return Skeleton("other", names, (), (), (0.05,) * len(names))


def shifts(**names):
    """(7, 2): to the right by so many crop pixels."""
    moved = np.zeros((7, 2))
    for name, shift in names.items():
        moved[SKELETON.names.index(name), 0] = shift
    return moved


def test_the_truth_as_prediction_is_100(data, model_of):
    """The codec is exact to under half a pixel; OKS 0.95 here allows three."""
    found = evaluate(model_of(KnowingBackend()), data)
    assert np.abs(found.poses.keypoints[..., :2] - truth_of(data)).max() < 0.5
    # All are of 32² to 96² square pixels.
    expected = dict.fromkeys(AP_NAMES, 100) | {"APL": None, "ARL": None, "PCK@0.2": 100}
    assert found.result["metrics"] == expected
    assert list(found.result["metrics"]) == [*AP_NAMES, "PCK@0.2"]
    assert found.result["errors"].keys() == {"all", *SKELETON.names}
    assert all(shares["good"] == 100 for shares in found.result["errors"].values())


@pytest.fixture(scope="module")
def lsp_data(tmp_path_factory, data):
    """The drawn people as LSP's joints.mat and JPEGs."""
    folder = tmp_path_factory.mktemp("lsp")
    (folder / "images").mkdir()
    drawn = truth_of(data)
    for number, points in enumerate(drawn, start=1):
        photo = synthetic_people.draw(points)[..., ::-1]
        cv2.imwrite(str(folder / "images" / f"im{number:04d}.jpg"), photo, [cv2.IMWRITE_JPEG_QUALITY, 100])
    places = [SKELETON.names.index(STANDS_FOR.get(name, name)) for name in LSP_14.names]
    joints = np.concatenate([drawn[:, places] + 1, np.zeros((8, 14, 1))], axis=2)
    scipy.io.savemat(folder / "joints.mat", {"joints": joints.transpose(2, 1, 0)})
    return folder


def test_lsps_own_format(lsp_data, model_of):
    result = evaluate(model_of(KnowingBackend(LSP_14)), lsp_data).result
    assert result["metrics"] == dict.fromkeys(PARTS, 100)
    assert list(result["metrics"]) == list(PARTS)
    assert (result["dataset"], result["nms"], result["data"]) == ("lsp", None, f"{lsp_data.name}/joints.mat")
    assert result["errors"]["all"]["good"] == 100
    assert evaluate(model_of(KnowingBackend(LSP_14)), lsp_data, split="test").result["people"] == 4


def test_a_known_shift(data, model_of):
    """A torso's fifth is 8.9 to 10.9 crop pixels for seven of the people, and 11.9 for the fourth."""
    people = read_people(data)
    boxes = np.stack([record.box for record in people.records])
    zoom = WIDTH / (1.25 * np.maximum(boxes[:, 2], boxes[:, 3] * WIDTH / HEIGHT))
    drawn = truth_of(data)
    radii = 0.2 * np.linalg.norm(drawn[:, 1] - drawn[:, 4], axis=1) * zoom
    assert (radii > 11.4).tolist() == [False] * 3 + [True] + [False] * 4
    assert np.abs(radii - 11.4).min() > 0.4
    moved = {"left_hip": 11.4, "right_hip": 11.4, "left_ankle": 20, "right_ankle": 20, "nose": 2}
    model = model_of(KnowingBackend(shift=shifts(**moved)))
    metrics = evaluate(model, data, dataset="lsp").result["metrics"]
    # All of 3 joints, those of one person of 2, none of 2.
    mean = round(100 * (3 * 8 + 2 * 1) / 56, 4)
    assert metrics == {
        **{"Head": None, "Shoulder": 100, "Elbow": None, "Wrist": None, "Hip": 12.5, "Knee": None},
        **{"Ankle": 0, "Mean": mean, "Mean@0.1": round(100 * 3 * 8 / 56, 4)},
    }
    assert evaluate(model, data).result["metrics"]["PCK@0.2"] == mean


def test_left_and_right_mixed_up(data, model_of):
    """One of seven joints is left: an OKS of a seventh."""
    result = evaluate(model_of(KnowingBackend(stands_for=MIRRORED)), data).result
    assert result["metrics"]["AP"] == result["metrics"]["AR50"] == 0
    assert result["metrics"]["PCK@0.2"] == round(100 / 7, 4)
    assert result["errors"]["all"]["inversion"] == round(600 / 7, 4)
    assert result["errors"]["nose"]["good"] == 100


def test_ankles_mixed_up(data, model_of):
    """Five of seven joints are left: OKS passes the thresholds up to 0.7, 5 of 10."""
    drawn = truth_of(data)
    apart = np.linalg.norm(drawn[:, 5] - drawn[:, 6], axis=1)
    areas = [a["area"] for a in json.loads((data / "annotations.json").read_text())["annotations"]]
    oks = (5 + 2 * np.exp(-(apart**2) / (2 * np.array(areas) * (2 * SKELETON.sigmas[5]) ** 2))) / 7
    assert (oks > 0.705).all()
    assert (oks < 0.745).all()
    ankles = {name: MIRRORED[name] for name in ("left_ankle", "right_ankle")}
    result = evaluate(model_of(KnowingBackend(stands_for=ankles)), data).result
    assert [result["metrics"][name] for name in ("AP", "AP50", "AP75", "AR")] == [50, 100, 0, 50]
    assert result["metrics"]["PCK@0.2"] == round(500 / 7, 4)
    assert result["errors"]["left_ankle"] == dict.fromkeys(KINDS, 0) | {"inversion": 100}
    assert result["errors"]["all"]["inversion"] == round(200 / 7, 4)
    assert result["errors"]["all"]["good"] == round(500 / 7, 4)


def test_flip_test_reaches_the_estimator(data, model_of):
    """This model knows sides by colour, so in the mirror it calls left what a real one calls right."""
    result = evaluate(model_of(KnowingBackend()), data, flip_test=True).result
    assert result["flip"] is True
    assert result["metrics"]["PCK@0.2"] < 60


def test_decode_reaches_the_estimator(data, model_of):
    off = {}
    for rule in ("argmax", "quarter", "dark"):
        found = evaluate(model_of(KnowingBackend()), data, decode=rule)
        assert found.result["decode"] == rule
        off[rule] = np.linalg.norm(found.poses.keypoints[..., :2] - truth_of(data), axis=-1).mean()
    assert off["argmax"] > 1.5 * off["quarter"] > 3 * off["dark"]


def test_joints_meet_by_name(data, tmp_path, model_of):
    """A model with the joints in another order, two of them unknown here, and without ankles."""
    skeleton = Skeleton("other", ("tail", *SKELETON.names[4::-1], "left_eye"), (), (), (0.05,) * 7)
    found = evaluate(model_of(KnowingBackend(skeleton)), data)
    assert found.result["metrics"]["AP"] == found.result["metrics"]["PCK@0.2"] == 100
    assert found.result["errors"].keys() == {"all", *SKELETON.names[:5]}
    assert found.result["unmatched"] == ["left_ankle", "right_ankle"]
    assert found.result["unmeasured"] == ["tail", "left_eye"]
    assert found.people.skeleton.names == SKELETON.names[:5]
    np.testing.assert_allclose(found.poses.keypoints[..., :2], truth_of(data)[:, :5], atol=0.5)
    with pytest.raises(InputError, match="the model has no left_ankle, right_ankle$"):
        found.poses_json()
    with pytest.raises(InputError, match="the model has no left_ankle, right_ankle$"):
        evaluate(model_of(UnaskedBackend(skeleton)), data, results=tmp_path / "r.json")


def test_people_without_a_joint_that_the_model_has_are_left_out(data, tmp_path, model_of):
    folder = changed(data, tmp_path / "changed", unlabel(*SKELETON.names[:5], only=1003))
    result = evaluate(model_of(KnowingBackend(skeleton_of(*SKELETON.names[:5]))), folder).result
    assert result["metrics"]["AR"] == 100
    assert result["people"] == 7
    assert sum(result["left_out"].values()) == 1


def test_too_few_common_joints_is_refused(data, model_of):
    model = model_of(UnaskedBackend(skeleton_of("nose", "left_hip", "a", "b", "c", "d")))
    with pytest.raises(InputError, match="share 2 joints, fewer than half"):
        evaluate(model, data)


def test_a_joint_nobody_has_labelled_has_no_number(data, tmp_path, model_of):
    folder = changed(data, tmp_path / "changed", unlabel("nose", "left_ankle", "right_ankle"))
    model = model_of(KnowingBackend())
    result = evaluate(model, folder).result
    assert result["errors"]["nose"] == dict.fromkeys(KINDS)
    assert result["metrics"]["AP"] == 100
    metrics = evaluate(model, folder, dataset="lsp").result["metrics"]
    assert (metrics["Ankle"], metrics["Mean"]) == (None, 100)


def test_people_without_a_torso_are_not_counted(data, tmp_path, model_of):
    """And the others keep their own torso: the last person's is made so long that a shift is forgiven."""

    def change(annotation):
        unlabel("left_shoulder", only=1003)(annotation)
        if annotation["id"] == 1007:
            annotation["keypoints"][3 * SKELETON.names.index("left_shoulder")] += 300

    folder = changed(data, tmp_path / "changed", change)
    result = evaluate(model_of(KnowingBackend(shift=(20, 0))), folder, dataset="lsp").result
    assert result["people"] == 7
    assert result["left_out"] == {"no torso to measure by": 1}
    assert result["metrics"]["Mean"] == round(100 * 6 / 49, 4)


def test_without_torsos(data, tmp_path, model_of):
    folder = changed(data, tmp_path / "changed", unlabel("right_hip"))
    assert list(evaluate(model_of(KnowingBackend()), folder).result["metrics"]) == list(AP_NAMES)
    with pytest.raises(InputError, match=r"annotations\.json: nobody has a labelled torso, which lsp"):
        evaluate(model_of(UnaskedBackend()), folder, dataset="lsp")


def test_the_result_says_what_was_measured(data, model_of):
    result = evaluate(model_of(KnowingBackend()), data, decode="quarter", flip_test=True).result
    assert set(result.pop("metrics")) == {*AP_NAMES, "PCK@0.2"}
    assert set(result.pop("errors")) == {"all", *SKELETON.names}
    assert result.pop("measure").startswith("AP and AR over OKS 0.50 to 0.95")
    assert result == {
        **{"dataset": "coco", "boxes": "gt", "boxes_sha256": None, "flip": True, "decode": "quarter"},
        **{
            "nms": "oks",
            "people": 8,
            "left_out": {},
            "poses": 8,
            "unmatched": [],
            "config_sha256": None,
            "unmeasured": [],
        },
        "sigmas": dict(zip(SKELETON.names, SKELETON.sigmas, strict=True)),
        **{"model": "m.tflite", "model_sha256": hashlib.sha256(b"model").hexdigest()},
        "data": "people/annotations.json",
        "data_sha256": hashlib.sha256((data / "annotations.json").read_bytes()).hexdigest(),
    }


def test_a_saved_models_sha256_is_of_all_its_files(data, tmp_path, model_of):
    model_of(KnowingBackend())
    folder = tmp_path / "saved"
    (folder / "variables").mkdir(parents=True)
    (folder / "variables" / "data").write_bytes(b"2")
    (folder / "saved_model.pb").write_bytes(b"1")
    result = evaluate(folder, data).result
    assert (result["model"], result["model_sha256"]) == ("saved", hashlib.sha256(b"12").hexdigest())


def test_predictions_keep_the_records_order(data, model_of, capsys, monkeypatch):
    """Also where the people of one photo are not neighbours, and over several batches."""
    monkeypatch.setattr(predict, "BATCH_SIZE", 2)
    people, order = read_people(data).records, [2, 0, 2, 1, 0]
    poses = predict_people(PoseEstimator(model_of(KnowingBackend())), [people[i] for i in order])
    np.testing.assert_allclose(poses.keypoints[..., :2], truth_of(data)[order], atol=0.5)
    assert poses.image_ids.tolist() == [102, 100, 102, 101, 100]
    # The crop shows 1.25 times a box of the crop's shape.
    sides = np.array([people[i].box[2:] for i in order])
    shown = 1.25 * np.maximum(sides[:, 0], sides[:, 1] * WIDTH / HEIGHT)
    np.testing.assert_allclose(poses.areas, shown**2 * HEIGHT / WIDTH)
    assert capsys.readouterr().err.startswith("5/5 people, ")


def test_scores_are_the_boxs_times_the_mean_of_the_joints_that_are_seen(data, model_of):
    """The model has two joints more, which it does not see."""
    model = model_of(KnowingBackend(skeleton_of(*SKELETON.names, "tail", "left_eye")))
    records = [dataclasses.replace(record, box_score=0.5) for record in read_people(data).records]
    poses = predict_people(PoseEstimator(model), records)
    assert poses.keypoints[:, 7:, 2].max() == 0
    assert poses.keypoints[:, :7, 2].min() > 0.9
    np.testing.assert_allclose(poses.scores, 0.5 * poses.keypoints[:, :7, 2].mean(axis=1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "lspet"}, "dataset must be one of coco, mpii, lsp. Received: 'lspet'"),
        ({"nms": "hard"}, "nms must be one of oks, soft, none. Received: 'hard'"),
        ({"decode": "best"}, "Received: 'best'"),
        ({"dataset": "mpii"}, "annotations.json: has no head boxes, which PCKh is measured by"),
        ({"dataset": "lsp", "boxes": "d.json"}, "is measured with one pose of each person"),
        ({"dataset": "mpii", "boxes": "d.json"}, "is measured with one pose of each person"),
        ({"boxes": "missing.json"}, "missing.json: cannot be read"),
        ({"config": "config.yaml"}, r"only a .weights.h5 file needs a config"),
    ],
    ids=str,
)
def test_bad_options_are_refused_at_once(data, tmp_path, monkeypatch, model_of, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.json").write_text("[]")
    with pytest.raises(InputError, match=message):
        evaluate(model_of(UnaskedBackend()), data, **options)


def test_detections_in_lsp_are_refused(lsp_data, tmp_path, model_of):
    (tmp_path / "d.json").write_text("[]")
    with pytest.raises(InputError, match="is measured with one pose of each person"):
        evaluate(model_of(UnaskedBackend(LSP_14)), lsp_data, boxes=tmp_path / "d.json")


def test_missing_pycocotools_is_said_at_once(data, monkeypatch, model_of):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    monkeypatch.setitem(sys.modules, "pycocotools.cocoeval", None)
    with pytest.raises(InputError, match=r"pip install 'flpn-tf\[evaluate\]'"):
        evaluate(model_of(UnaskedBackend()), data)
    assert evaluate(model_of(KnowingBackend()), data, dataset="lsp").result["metrics"]["Mean"] == 100


def test_errors_are_of_the_people_who_count(data, model_of, tmp_path):
    """The one without a torso has a nose that is missed."""
    content = json.loads((data / "annotations.json").read_text())
    keypoints = content["annotations"][3]["keypoints"]
    keypoints[0] += 300
    keypoints[3 * SKELETON.names.index("left_shoulder") + 2] = 0
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    model = model_of(KnowingBackend())
    found = evaluate(model, tmp_path / "annotations.json", data / "images", dataset="lsp")
    assert found.result["people"] == len(found.people) == 7
    assert found.result["left_out"] == {"no torso to measure by": 1}
    assert found.result["errors"]["nose"]["good"] == 100
    coco = evaluate(model, tmp_path / "annotations.json", data / "images")
    assert coco.result["errors"]["nose"]["miss"] == 12.5
