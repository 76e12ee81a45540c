"""The evaluation around a model that knows the answer, and what it makes of wrong ones."""

import json
import sys

import numpy as np
import pytest
import synthetic_people
from synthetic_people import SKELETON

from flpn_tf import cli
from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError
from flpn_tf.evaluation import lsp_eval
from flpn_tf.evaluation.predict import predict_people
from flpn_tf.runtime.estimator import PoseEstimator
from flpn_tf.skeleton import Skeleton
from flpn_tf.spec import PoseSpec

SIZE = (128, 96)


class KnowingBackend:
    """A backend that finds joints by the colour they are drawn in, and draws their heatmaps.

    Args:
        skeleton: of the heatmaps; joints that are not drawn, or whose colour is not seen, stay empty.
        partners: names that change places, as in a model that mixes up left and right.
        shift: added to the found points, crop pixels.
    """

    def __init__(self, skeleton=SKELETON, partners=None, shift=(0.0, 0.0)):
        half = (0.5, 0.5, 0.5)
        self.spec = PoseSpec("knowing", {}, *SIZE, SIZE[0] // 4, SIZE[1] // 4, skeleton, mean=half, std=half)
        self.partners = partners or {}
        self.shift = np.array(shift)

    def predict(self, crops):
        return np.stack([self._heatmaps(crop) for crop in crops])

    def _heatmaps(self, crop):
        points = np.full((len(self.spec.skeleton), 2), np.nan)
        for joint, name in enumerate(self.spec.skeleton.names):
            name = self.partners.get(name, name)
            if name in SKELETON.names:
                colour = synthetic_people.COLOURS[SKELETON.names.index(name)]
                rows, columns = np.nonzero((np.abs(crop.astype(int) - colour) < 60).all(axis=-1))
                if len(rows):
                    points[joint] = (columns.mean(), rows.mean())
        return self.spec.codec.encode(points + self.shift, np.ones(len(points)))[0]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return synthetic_people.write(tmp_path_factory.mktemp("people") / "data", synthetic_people.document())


@pytest.fixture
def evaluate(monkeypatch, tmp_path):
    """`evaluate_lsp` with the backend given in place of a model file's."""

    def run(data, backend, **options):
        model = tmp_path / "model.tflite"
        model.write_bytes(b"model")
        monkeypatch.setattr("flpn_tf.runtime.estimator.open_backend", lambda path, threads: backend)
        return lsp_eval.evaluate_lsp(model, data, **options)

    return run


def test_the_truth_as_prediction_is_100(evaluate, data):
    result = evaluate(data, KnowingBackend())
    assert result["metrics"] == {"PCK@0.2": 100, **dict.fromkeys(SKELETON.names, 100)}


def test_flip_test_reaches_the_estimator(evaluate, data):
    """This model knows sides by colour, so in the mirror it calls left what a real one calls right."""
    assert evaluate(data, KnowingBackend(), flip_test=True)["metrics"]["PCK@0.2"] < 60


def test_shifted_by_more_than_the_radius_is_0(evaluate, data):
    # The torso is about 45 photo pixels, so the radius is 9; the crop shows the photo at about 0.9.
    assert evaluate(data, KnowingBackend(shift=(5, 0)))["metrics"]["PCK@0.2"] == 100
    assert evaluate(data, KnowingBackend(shift=(20, 0)))["metrics"]["PCK@0.2"] == 0


def test_left_and_right_mixed_up_costs_the_paired_joints(evaluate, data):
    partners = {SKELETON.names[a]: SKELETON.names[b] for a, b in SKELETON.flip_pairs}
    partners |= {b: a for a, b in partners.items()}
    metrics = evaluate(data, KnowingBackend(partners=partners))["metrics"]
    assert metrics["nose"] == 100
    assert [metrics[name] for name in partners] == [0] * 6


def test_joints_meet_by_name(evaluate, data, capsys):
    """A model with the joints in another order, two of them unknown here, and without ankles."""
    names = ("tail", *SKELETON.names[4::-1], "left_eye")
    skeleton = Skeleton("other", names, ((2, 1), (4, 3)), (), (0.05,) * len(names))
    result = evaluate(data, KnowingBackend(skeleton))
    assert result["metrics"] == {"PCK@0.2": 100, **dict.fromkeys(SKELETON.names[:5], 100)}
    assert result["unmatched"] == ["left_ankle", "right_ankle"]
    assert "left out, the model has no such joint: left_ankle, right_ankle" in capsys.readouterr().err


def test_too_few_common_joints_is_refused(evaluate, data):
    skeleton = Skeleton("other", ("nose", "left_hip", "a", "b", "c", "d"), (), (), (0.05,) * 6)
    with pytest.raises(InputError, match="share 2 joints, fewer than half"):
        evaluate(data, KnowingBackend(skeleton))


def changed(data, tmp_path, change):
    content = json.loads((data / "annotations.json").read_text())
    for annotation in content["annotations"]:
        change(annotation)
    folder = tmp_path / "changed"
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


def test_a_joint_nobody_has_labelled_has_no_number(evaluate, data, tmp_path):
    metrics = evaluate(changed(data, tmp_path, unlabel("nose")), KnowingBackend())["metrics"]
    assert metrics["nose"] is None
    assert metrics["PCK@0.2"] == 100


def test_people_without_a_torso_are_not_counted(evaluate, data, tmp_path):
    """And the others keep their own torso: the last person's is made so long that a shift is forgiven."""

    def change(annotation):
        unlabel("left_shoulder", only=1003)(annotation)
        if annotation["id"] == 1007:
            annotation["keypoints"][3 * SKELETON.names.index("left_shoulder")] += 300

    result = evaluate(changed(data, tmp_path, change), KnowingBackend(shift=(20, 0)))
    assert result["people"] == 7
    assert result["metrics"]["PCK@0.2"] == round(100 * 6 / 49, 2)


def test_no_torso_at_all_is_refused(evaluate, data, tmp_path):
    with pytest.raises(InputError, match="nobody has a labelled torso"):
        evaluate(changed(data, tmp_path, unlabel("right_hip")), KnowingBackend())


def test_the_result_says_what_was_measured(evaluate, data):
    result = evaluate(data, KnowingBackend(), decode="quarter", flip_test=True)
    hashes = result.pop("model_sha256"), result.pop("data_sha256")
    assert all(len(value) == 64 for value in hashes)
    assert result.pop("metrics").keys() == {"PCK@0.2", *SKELETON.names}
    assert result == {
        "boxes": "gt",
        "flip": True,
        "decode": "quarter",
        "people": 8,
        "unmatched": [],
        "model": "model.tflite",
    }


def test_predictions_keep_the_records_order(monkeypatch, tmp_path, data, capsys):
    """Also where the people of one photo are not neighbours."""
    records = read_people(data).records
    records = [records[i] for i in (2, 0, 2, 1, 0)]
    monkeypatch.setattr("flpn_tf.runtime.estimator.open_backend", lambda path, threads: KnowingBackend())
    (tmp_path / "m.tflite").write_bytes(b"")
    keypoints, scores = predict_people(PoseEstimator(tmp_path / "m.tflite"), records)
    truth = np.stack([record.keypoints for record in records])
    np.testing.assert_allclose(keypoints[..., :2], truth[..., :2], atol=1)
    assert keypoints.shape == (5, 7, 3)
    assert (scores > 0.9).all()
    assert capsys.readouterr().err == "5/5 people\n"


def command(monkeypatch, folder, text):
    """The exit code of `flpn evaluate`."""
    monkeypatch.setattr("flpn_tf.runtime.estimator.open_backend", lambda path, threads: KnowingBackend())
    monkeypatch.chdir(folder)
    (folder / "m.tflite").write_bytes(b"model")
    monkeypatch.setattr(sys, "argv", ["flpn", "evaluate", *text.split()])
    try:
        cli.main()
    except SystemExit as end:
        return end.code
    return 0


def test_command_prints_a_table_and_writes_json(monkeypatch, tmp_path, data, capsys):
    assert not command(monkeypatch, tmp_path, f"m.tflite {data} --json r.json")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "8 people, boxes: gt, flip: False, decode: dark"
    assert lines[1].split() == ["PCK@0.2", "100.00"]
    assert len(lines) == 2 + len(SKELETON)
    assert json.loads((tmp_path / "r.json").read_text())["metrics"]["nose"] == 100


def test_json_alone_on_standard_output(monkeypatch, tmp_path, data, capsys):
    assert not command(monkeypatch, tmp_path, f"m.tflite {data} --json -")
    assert json.loads(capsys.readouterr().out)["people"] == 8


def test_a_joint_without_a_number_is_a_dash_in_the_table(monkeypatch, tmp_path, data, capsys):
    folder = changed(data, tmp_path, unlabel("nose"))
    assert not command(monkeypatch, tmp_path, f"m.tflite {folder} --json r.json")
    assert "nose       -" in capsys.readouterr().out
    assert json.loads((tmp_path / "r.json").read_text())["metrics"]["nose"] is None


BAD_INPUT = [
    ("m.tflite nowhere", "nowhere: a data set is a folder"),
    ("none.tflite {data}", "none.tflite"),
    ("m.tflite {data} --decode best", "best"),
    ("m.tflite {data} --json nowhere/r.json", "nowhere/r.json"),
    ("m.tflite spoilt", "spoilt/images/0.png"),
    ("m.tflite small", "small/images/0.png"),
]


@pytest.mark.parametrize(("text", "message"), BAD_INPUT)
def test_bad_input_is_one_line_and_writes_nothing(monkeypatch, tmp_path, data, capsys, text, message):
    for name in ("spoilt", "small"):
        (tmp_path / name / "images").mkdir(parents=True)
        (tmp_path / name / "annotations.json").symlink_to(data / "annotations.json")
        for photo in (data / "images").iterdir():
            half = photo.read_bytes()[:300]
            (tmp_path / name / "images" / photo.name).write_bytes(half)
    # A photo smaller than its json says: the box lies beside it.
    pixels = np.zeros((8, 8, 3), np.uint8)
    synthetic_people.cv2.imwrite(str(tmp_path / "small" / "images" / "0.png"), pixels)
    options = "" if "--json" in text else " --json r.json"
    assert command(monkeypatch, tmp_path, text.format(data=data) + options) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1, error
    assert error.startswith("flpn: error: ")
    assert message in error
    assert not (tmp_path / "r.json").exists()
