import dataclasses

import cv2
import dot_model
import numpy as np
import pytest

from flpn_tf.errors import InputError
from flpn_tf.runtime.estimator import PoseEstimator

POINTS = np.array([[100.0, 80.0], [150.0, 120.0], [120.0, 190.0]])
BOX = [80, 60, 110, 150]


@pytest.fixture(scope="module")
def photo():
    return dot_model.photo_with_dots(300, 400, POINTS, radius=20)


@pytest.fixture(scope="module")
def estimator(dots_tflite):
    return PoseEstimator(dots_tflite)


def test_dots_are_found_where_they_are(estimator, photo):
    poses = estimator.estimate(photo, [BOX])
    assert len(poses) == 1
    np.testing.assert_allclose(poses.keypoints[0, :, :2], POINTS, atol=0.5)
    assert (poses.keypoints[0, :, 2] > 0.8).all()
    np.testing.assert_array_equal(poses.boxes, [BOX])
    assert poses.skeleton == dot_model.DOTS


def test_boxes_of_any_shape_and_reach_find_the_same_dots(estimator, photo):
    boxes = [BOX, [60, 50, 200, 160], [90, -40, 60, 300], [-100, 20, 350, 200]]
    poses = estimator.estimate(photo, np.array(boxes))
    for found in poses.keypoints:
        np.testing.assert_allclose(found[:, :2], POINTS, atol=2.0)


def test_path_and_array_agree(estimator, photo, tmp_path):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), photo[..., ::-1])
    by_path, by_array = estimator.estimate(path, [BOX]), estimator.estimate(photo, [BOX])
    np.testing.assert_array_equal(by_path.keypoints, by_array.keypoints)


def test_every_backend_gives_the_same_pose(dots_tflite, dots_saved_model, photo):
    first, second = (PoseEstimator(model).estimate(photo, [BOX]) for model in (dots_tflite, dots_saved_model))
    np.testing.assert_allclose(first.keypoints, second.keypoints, atol=1e-3)


@pytest.mark.parametrize("flip_test", [False, True])
def test_crops_and_poses_are_the_two_halves_of_estimate(estimator, photo, flip_test):
    """Also where the crops of several photos go together."""
    darker, box = photo // 2, [90, 70, 100, 140]
    first, second = estimator.crops(photo, [BOX, box]), estimator.crops(darker, [BOX])
    assert first[0].shape == (2, dot_model.HEIGHT, dot_model.WIDTH, 3)
    assert first[0].dtype == np.uint8
    together = (np.concatenate(part) for part in zip(first, second, strict=True))
    keypoints, scores = estimator.poses(*together, flip_test)
    expected = [
        estimator.estimate(photo, [BOX, box], flip_test=flip_test),
        estimator.estimate(darker, [BOX], flip_test=flip_test),
    ]
    np.testing.assert_array_equal(keypoints, np.concatenate([poses.keypoints for poses in expected]))
    np.testing.assert_array_equal(scores, np.concatenate([poses.scores for poses in expected]))
    assert scores[2] < 0.6 * scores[0]


def test_flip_test_stays_within_its_known_shift(estimator, photo):
    """The whole-pixel shift leaves a quarter heatmap pixel in one of the two averaged maps."""
    plain = estimator.estimate(photo, [BOX])
    flipped = estimator.estimate(photo, [BOX], flip_test=True)
    image_pixels_per_heatmap_pixel = 4 * (1.25 * BOX[3] * 0.75) / dot_model.WIDTH
    shift = flipped.keypoints[0, :, :2] - plain.keypoints[0, :, :2]
    np.testing.assert_allclose(shift[:, 0], 0.125 * image_pixels_per_heatmap_pixel, atol=0.3)
    np.testing.assert_allclose(shift[:, 1], 0, atol=0.1)


def test_no_box_says_so_and_looks_again_closer(estimator, photo, capsys):
    poses = estimator.estimate(photo, name="street.jpg")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line for line in captured.err.splitlines() if line.startswith("flpn:")] == [
        "flpn: no box for street.jpg: the whole frame is taken as one person, then the box around the pose "
        "found; a box of your own gives a better pose"
    ]
    np.testing.assert_allclose(poses.keypoints[0, :, :2], POINTS, atol=2.0)
    x, y, w, h = poses.boxes[0]
    assert w < 150
    assert h < 200
    inside = POINTS - (x, y)
    assert (inside > 0).all()
    assert (inside < (w, h)).all()


def test_nothing_found_gives_the_frame_and_score_zero(estimator):
    poses = estimator.estimate(np.zeros((50, 30, 3), np.uint8))
    np.testing.assert_array_equal(poses.boxes, [[0, 0, 30, 50]])
    assert poses.scores.tolist() == [0]
    assert np.isfinite(poses.keypoints).all()


def test_no_boxes_is_nobody(estimator, photo):
    poses = estimator.estimate(photo, [])
    assert len(poses) == 0
    assert poses.keypoints.shape == (0, 3, 3)
    assert poses.people() == []


def test_person_score_is_box_score_times_mean_of_found(estimator, photo):
    without_blue = photo.copy()
    without_blue[..., 2] = 0
    poses = estimator.estimate(without_blue, [BOX, BOX], box_scores=[1.0, 0.5])
    red, green, blue = poses.keypoints[0, :, 2]
    assert blue < 0.2
    np.testing.assert_allclose(poses.scores, [(red + green) / 2, (red + green) / 4])


def test_decode_rule_can_be_chosen(dots_tflite, photo):
    poses = PoseEstimator(dots_tflite, decode="argmax").estimate(photo, [BOX])
    exact = PoseEstimator(dots_tflite, decode="dark").estimate(photo, [BOX])
    assert np.abs(poses.keypoints[..., :2] - exact.keypoints[..., :2]).max() > 0.5
    with pytest.raises(InputError, match="Received: 'best'"):
        PoseEstimator(dots_tflite, decode="best")


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([BOX, [np.nan, 0, 5, 5]], "box 1 must be four finite"),
        ([[0, 0, np.inf, 5]], "box 0 must be four finite"),
        ([[0, 0, 5]], "box 0 must be four finite"),
        ([["a", 0, 5, 5]], "box 0 must be four finite"),
        ([None], "box 0 must be four finite"),
        ([[[1, 2], 0, 5, 5]], "box 0 must be four finite"),
        ([["1", 0, 5, 5]], "box 0 must be four finite"),
        ([[True, 0, 5, 5]], "box 0 must be four finite"),
        (["1234"], "box 0 must be four finite"),
        ([[0, 0, 1e308, 1e308]], "box 0 must be four finite"),
        ([[0, 0, 10**400, 5]], "box 0 must be four finite"),
        ([[0, 0, 1e-300, 1e-300]], "box 0 needs a width"),
        ([BOX, BOX, [0, 0, 0, 5]], "box 2 needs a width"),
        ([[0, 0, 5, -5]], "box 0 needs a width"),
        ([[400, 0, 5, 5]], "box 0 must touch"),
        ([[0, -6, 5, 5]], "box 0 must touch"),
        (3, "boxes are a list"),
        (BOX, "box 0 must be four finite"),
    ],
    ids=str,
)
def test_bad_boxes_are_refused_by_index(estimator, photo, boxes, message):
    with pytest.raises(InputError, match=f"the image: {message}.*Received: "):
        estimator.estimate(photo, boxes)


@pytest.mark.parametrize("scores", [[1.0, 2.0], [np.nan], 1.0, ["a"], [[1.0], [1.0, 2.0]]])
def test_bad_box_scores_are_refused(estimator, photo, scores):
    with pytest.raises(InputError, match="box_scores"):
        estimator.estimate(photo, [BOX], box_scores=scores)
    with pytest.raises(InputError, match="box_scores need boxes"):
        estimator.estimate(photo, box_scores=[1.0])


def test_people_are_json_ready_and_named(estimator, photo):
    (person,) = estimator.estimate(photo, [BOX]).people()
    assert person["box"] == BOX
    assert [joint["name"] for joint in person["keypoints"]] == list(dot_model.DOTS.names)
    assert person["keypoints"][0]["x"] == pytest.approx(POINTS[0, 0], abs=0.5)


def test_poses_are_frozen(estimator, photo):
    with pytest.raises(dataclasses.FrozenInstanceError):
        estimator.estimate(photo, [BOX]).boxes = None
