"""The drop between two evaluations and its interval, beside pycocotools and plain numpy."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import random_crowds
from helpers import exit_code
from knowing_backend import KnowingBackend
from synthetic_people import SKELETON

from flpn_tf.data.records import People, PersonRecord
from flpn_tf.errors import InputError
from flpn_tf.evaluation.analysis import Analysis
from flpn_tf.evaluation.coco_eval import keypoint_ap
from flpn_tf.evaluation.compare import compare
from flpn_tf.evaluation.evaluate import Evaluation, evaluate
from flpn_tf.evaluation.pose_set import PoseSet
from flpn_tf.skeleton import COCO_17, LSP_14, Skeleton

TORSO = 50.0  # pixels


def evaluation(people, keypoints, scores=None, image_ids=None, dataset="coco", **facts):
    """As `evaluate` gives it; poses are in ground-truth boxes where no `image_ids` say otherwise."""
    own = image_ids is None
    image_ids = [record.image_id for record in people.records] if own else image_ids
    scores = np.ones(len(keypoints)) if scores is None else scores
    poses = PoseSet(np.array(image_ids), np.asarray(keypoints), np.asarray(scores), np.ones(len(scores)))
    result = {"model": "m.tflite", "data": "d", "data_sha256": "0", "dataset": dataset, "flip": False}
    result |= {"boxes": "gt" if own else "d.json", "boxes_sha256": None, "decode": "dark", "nms": "none"}
    result["sigmas"] = dict(zip(people.skeleton.names, people.skeleton.sigmas, strict=True))
    # What else an analysis holds is not compared.
    analysis = Analysis(poses, *[np.empty(0)] * 4) if own else None
    return Evaluation(result | facts, people, poses, analysis)


def standing(photos, a_photo=1, skeleton=LSP_14):
    """People whose torsos are `TORSO` long, `a_photo` in each photo."""
    rng = np.random.default_rng(0)
    records = []
    for number in range(photos * a_photo):
        joints = np.append(rng.uniform(0, 200, (len(skeleton), 2)), np.full((len(skeleton), 1), 2), axis=1)
        shoulder, hip = (skeleton.names.index(name) for name in ("left_shoulder", "right_hip"))
        joints[hip, :2] = joints[shoulder, :2] + (0, TORSO)
        box = np.array([0.0, 0, 200, 200])
        records.append(PersonRecord(f"{number}", number // a_photo, number, box, 4e4, joints, skeleton))
    return People(records, "d", "0", format="lsp")


def missed(people, joints):
    """(N, K, 3) poses that are right but where `joints` (N, K) are True."""
    truth = np.stack([record.keypoints for record in people.records]).astype(float)
    truth[..., 0] += np.where(joints, TORSO, 0.1)
    return truth


def crowds(skeleton, seed, folder):
    """People of a COCO json, and two sets of poses, no two of the same score."""
    rng = np.random.default_rng(seed)
    document = random_crowds.document(skeleton, rng)
    sets = []
    for noise in (0.05, 0.03):
        keypoints, scores, image_ids = random_crowds.arrays(random_crowds.poses(document, rng, noise))
        sets.append((keypoints, scores + rng.uniform(-0.02, 0.02, len(scores)), image_ids))
    return random_crowds.read(document, folder), *sets


def repeated(people, poses, times):
    """Photo i as `times[i]` photos of their own; keypoint_ap of it."""
    keypoints, scores, image_ids = poses
    ids = sorted(people.coco.photos)
    records, photos, uncounted, kept = [], {}, [], []
    for photo, count in zip(ids, times, strict=True):
        for copy in range(count):
            new = 1000 * photo + copy
            photos[new] = people.coco.photos[photo]
            of = [record for record in people.records if record.image_id == photo]
            records += [dataclasses.replace(record, image_id=new) for record in of]
            uncounted += [r._replace(image_id=new) for r in people.coco.uncounted if r.image_id == photo]
            kept += [(place, new) for place in np.flatnonzero(image_ids == photo)]
    places, new_ids = np.array(kept).T
    coco = people.coco._replace(photos=photos, uncounted=uncounted)
    whole = dataclasses.replace(people, records=records, coco=coco)
    return keypoint_ap(whole, keypoints[places], scores[places], new_ids)["AP"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("skeleton", random_crowds.SKELETONS, ids=lambda skeleton: skeleton.name)
def test_ap_is_that_of_pycocotools_also_of_photos_drawn_twice(skeleton, seed, tmp_path):
    people, *sets = crowds(skeleton, seed, tmp_path)
    found, against = (evaluation(people, *poses) for poses in sets)
    (name, drop), *others = compare(found, against, resamples=1, seed=seed).items()
    assert (name, others) == ("AP", [])  # each person has no pose of its own
    whole = [keypoint_ap(people, *poses)["AP"] for poses in sets]
    assert abs(drop.value - (whole[1] - whole[0])) < 1e-9
    assert abs(drop.value) > 0.5
    count = len(people.coco.photos)
    times = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count))
    assert times.max() > 1 and times.min() == 0
    drawn = [repeated(people, poses, times) for poses in sets]
    assert drop.low == drop.high
    assert abs(drop.low - (drawn[1] - drawn[0])) < 1e-9


def test_pck_is_that_of_the_joints_drawn():
    people = standing(40, a_photo=2)
    rng = np.random.default_rng(1)
    wrong = [rng.random((80, 14)) < share for share in (0.4, 0.3)]
    found, against = (evaluation(people, missed(people, w), dataset="lsp") for w in wrong)
    drop = compare(found, against, resamples=1)["Mean"]
    assert abs(drop.value - 100 * (wrong[0].mean() - wrong[1].mean())) < 1e-9
    times = np.random.default_rng(0).multinomial(40, np.full(40, 1 / 40))
    drawn = [np.concatenate([w.reshape(40, 28)[i] for i in np.repeat(range(40), times)]) for w in wrong]
    assert abs(drop.low - 100 * (drawn[0].mean() - drawn[1].mean())) < 1e-9


def test_coco_has_both_and_unlabelled_joints_do_not_count():
    people = standing(10, skeleton=COCO_17)
    for record in people.records:
        record.keypoints[3, 2] = 0
    wrong = np.zeros((10, 17), bool)
    wrong[:, 3] = True
    same = compare(
        evaluation(people, missed(people, wrong)), evaluation(people, missed(people, wrong & False))
    )
    assert {name: tuple(drop) for name, drop in same.items()} == {"AP": (0, 0, 0), "PCK@0.2": (0, 0, 0)}
    wrong[:, :8] = True
    worse = compare(
        evaluation(people, missed(people, wrong)), evaluation(people, missed(people, wrong & False))
    )
    np.testing.assert_allclose(worse["PCK@0.2"], 3 * [100 * 7 / 16])
    assert worse["AP"].low > 10


def test_mpii_leaves_pelvis_and_thorax_out_of_the_mean():
    names = ("left_shoulder", "pelvis", "thorax", "right_hip")
    skeleton = dataclasses.replace(
        LSP_14, names=names, flip_pairs=(), limbs=(), sigmas=(0.1,) * 4, name="four"
    )
    people = standing(5, skeleton=skeleton)
    records = [dataclasses.replace(r, head_box=np.array([0, 0, 30.0, 40.0])) for r in people.records]
    people = dataclasses.replace(people, records=records)
    poses = missed(people, np.zeros((5, 4), bool))
    lower = poses.copy()
    lower[:, 1:3, 0] += 1000
    lower[:2, 0, 0] += 16  # of a head of 30
    drop = compare(evaluation(people, lower, dataset="mpii"), evaluation(people, poses, dataset="mpii"))
    assert abs(drop["Mean"].value - 20) < 1e-9


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """The drop of the whole population is 5 points; each set is 100 photos of it."""
    rng, people, inside = np.random.default_rng(3), standing(100), 0
    for _ in range(100):
        hard = rng.random((100, 14))  # both models find the same joints hard
        found, against = (
            evaluation(people, missed(people, hard + rng.normal(0, 0.05, hard.shape) > kept), dataset="lsp")
            for kept in (0.65, 0.70)
        )
        drop = compare(found, against, resamples=200)["Mean"]
        assert drop.low <= drop.value <= drop.high
        inside += drop.low <= 5 <= drop.high
    assert 88 <= inside <= 99


def test_pairing_makes_the_interval_narrow():
    """Alone each varies by several points."""
    people, rng = standing(50), np.random.default_rng(4)
    wrong = rng.random((50, 14)) < rng.random((50, 1))
    few = wrong.copy()
    few[:10, 0] = True
    found, against = (evaluation(people, missed(people, w), dataset="lsp") for w in (few, wrong))
    drop = compare(found, against)["Mean"]
    assert drop.high - drop.low < 3
    assert drop.low >= 0 < drop.value


def test_people_of_one_photo_are_drawn_together():
    widths = {}
    rng = np.random.default_rng(5)
    wrong = rng.random((30, 14)) < 0.3
    for copies in (1, 9):
        people = standing(30, copies)
        poses = (missed(people, np.repeat(w, copies, axis=0)) for w in (wrong, wrong & False))
        found, against = (evaluation(people, pose, dataset="lsp") for pose in poses)
        drop = compare(found, against)["Mean"]
        widths[copies] = drop.high - drop.low
    assert abs(widths[1] - widths[9]) < 1e-9 < widths[1]


def test_the_same_poses_lose_nothing_and_the_same_seed_gives_the_same(tmp_path):
    people, worse, better = crowds(random_crowds.FIVE, 7, tmp_path)
    found, against = evaluation(people, *worse), evaluation(people, *better)
    assert tuple(compare(found, found)["AP"]) == (0, 0, 0)
    assert compare(found, against, 50) == compare(found, against, 50)
    assert compare(found, against, 50) != compare(found, against, 50, seed=1)
    there, back = compare(found, against, 50)["AP"], compare(against, found, 50)["AP"]
    np.testing.assert_allclose([back.value, back.high, back.low], [-number for number in there])


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"data_sha256": "1"}, "with the same data_sha256. Received: 1 and 0"),
        ({"flip": True}, "the same flip"),
        ({"decode": "argmax"}, "the same decode. Received: argmax and dark"),
        ({"boxes": "d.json"}, "the same boxes"),
        ({"sigmas": {"a": 1}}, "the same joints"),
        ({"dataset": "mpii"}, "the same dataset"),
    ],
    ids=str,
)
def test_what_is_not_comparable_is_refused(facts, message):
    people = standing(3)
    found = evaluation(people, missed(people, np.zeros((3, 14), bool)), dataset="lsp")
    other = dataclasses.replace(found, result=found.result | facts)
    with pytest.raises(InputError, match=message):
        compare(other, found)


def test_photos_without_annotations_are_refused():
    people = standing(3)
    found = evaluation(people, missed(people, np.zeros((3, 14), bool)), dataset="lsp")
    found = dataclasses.replace(found, people=None)
    with pytest.raises(InputError, match="has no annotations"):
        compare(found, found)


def test_poses_of_people_without_the_joints_of_the_models_are_no_false_ones(data, model_of, tmp_path):
    """As in AP itself: every second person has labels of ankles alone, which the models lack."""
    content = json.loads((data / "annotations.json").read_text())
    for annotation in content["annotations"][::2]:
        for joint, name in enumerate(SKELETON.names):
            annotation["keypoints"][3 * joint + 2] *= name.endswith("ankle")
    folder = tmp_path / "people"
    folder.mkdir()
    (folder / "images").symlink_to(data / "images")
    (folder / "annotations.json").write_text(json.dumps(content))
    skeleton = Skeleton("other", SKELETON.names[:5], (), (), (0.05,) * 5)
    against, found = (
        evaluate(model_of(KnowingBackend(skeleton, shift=(shift, 0))), folder) for shift in (0, 4)
    )
    assert (len(found.people), len(found.poses)) == (4, 8)
    lost = [of.result["metrics"]["AP"] for of in (against, found)]
    assert lost[0] == 100 > lost[1]
    assert compare(found, against, resamples=1)["AP"].value == pytest.approx(lost[0] - lost[1], abs=1e-4)


@pytest.fixture
def flpn(data, tmp_path, monkeypatch):
    """The exit code of `flpn evaluate`; right.tflite finds the joints, wrong.tflite some pixels beside."""
    (tmp_path / "people").symlink_to(data)
    backends = {"right.tflite": KnowingBackend(), "wrong.tflite": KnowingBackend(shift=(4, 0))}
    for name in backends:
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(
        "flpn_tf.runtime.estimator.open_backend", lambda path, threads: backends[Path(path).name]
    )
    monkeypatch.chdir(tmp_path)

    def run(text):
        return exit_code(monkeypatch, "evaluate", *text.split())

    return run


def test_a_model_against_another(flpn, capsys):
    assert flpn("wrong.tflite people --against right.tflite --json -") == 0
    result = json.loads(capsys.readouterr().out)
    against = result["against"]
    assert against.keys() == {"model", "model_sha256", "metrics", "drop"}
    assert (against["model"], against["metrics"]["AP"]) == ("right.tflite", 100)
    assert against["drop"].keys() == {"AP", "PCK@0.2"}
    for name, drop in against["drop"].items():
        lost = against["metrics"][name] - result["metrics"][name]
        assert drop["value"] == pytest.approx(lost, abs=2e-4)
        assert drop["low"] <= drop["value"] <= drop["high"]
    assert against["drop"]["AP"]["low"] > 1
    assert flpn("wrong.tflite people --against right.tflite") == 0
    words = ", ".join(
        f"{name} {drop['value']:.2f} (95 %: {drop['low']:.2f} to {drop['high']:.2f})"
        for name, drop in against["drop"].items()
    )
    assert capsys.readouterr().out.splitlines()[-1] == f"drop against right.tflite: {words}"
    assert flpn("right.tflite people --json -") == 0
    assert "against" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("right.tflite people --against none.tflite", "Received: 'none.tflite'"),
        ("right.tflite people --against poses.json --json poses.json", "overwrite poses.json"),
        ("right.tflite people --against poses.json --json r.json", "Received: right.tflite and poses.json"),
        ("right.tflite photos --against wrong.tflite --boxes b.json --results p.json", "nothing to compare"),
    ],
)
def test_a_comparison_that_cannot_be(flpn, data, tmp_path, capsys, text, message):
    assert flpn("right.tflite people --results poses.json") == 0
    content = json.loads((data / "annotations.json").read_text())
    del content["annotations"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "annotations.json").write_text(json.dumps(content))
    (tmp_path / "photos" / "images").symlink_to(data / "images")
    (tmp_path / "b.json").write_text("[]")
    before = (tmp_path / "poses.json").read_bytes()
    capsys.readouterr()
    assert flpn(text) == 2
    out, error = capsys.readouterr()
    assert message in error
    assert "Traceback" not in error and out == ""
    assert (tmp_path / "poses.json").read_bytes() == before
    assert not (tmp_path / "r.json").exists()
