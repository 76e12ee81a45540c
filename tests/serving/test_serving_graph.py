"""`serve_jpeg` gives what `PoseEstimator` gives, and says of each photo and box what is wrong."""

import json

import numpy as np
import pytest
import tensorflow as tf
from dot_network import DotNetwork
from helpers import REPOSITORY
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_files import every_form, saved
from real_data import real_data

from flpn_tf.convert.serving.export import export
from flpn_tf.errors import InputError
from flpn_tf.models.load import load_network
from flpn_tf.runtime.estimator import PoseEstimator, check_boxes
from flpn_tf.runtime.images import decode_image


@pytest.fixture(scope="session")
def estimator(network):
    return PoseEstimator(network)


def opened(folder):
    signature = tf.saved_model.load(str(folder)).signatures["serve_jpeg"]

    def serve(photos, boxes):
        """(keypoints, errors) of lists."""
        boxes = tf.reshape(tf.constant(boxes, tf.float32), (-1, 4))
        answer = signature(image_bytes=tf.constant(photos, tf.string, (len(photos),)), boxes=boxes)
        return answer["keypoints"].numpy(), [error.decode() for error in answer["error"].numpy()]

    return serve


@pytest.fixture(scope="session")
def serve(exported):
    return opened(exported / "1")


def distances(found, expected):
    return np.linalg.norm(found[..., :2] - expected[..., :2], axis=-1)


def assert_same(found, expected):
    """Crops differ by a grey level here and there (`flpn_tf.geometry.warp`), which moves points a little."""
    apart = distances(found, expected)
    assert np.median(apart) < 0.01
    assert np.quantile(apart, 0.99) < 0.1


@pytest.mark.parametrize("count", [1, 16])
@pytest.mark.parametrize("form", sorted(every_form(np.zeros((8, 8, 3), np.uint8))))
def test_every_form_of_photo(serve, estimator, crowd, form, count):
    pixels, boxes = crowd
    content = every_form(pixels)[form]
    upright = decode_image(content, form)
    assert upright.shape == pixels.shape
    expected = estimator.estimate(upright, boxes[:count]).keypoints
    found, errors = serve([content], boxes[:count])
    assert errors == [""] * count
    assert_same(found, expected)
    assert np.abs(found[..., 2] - expected[..., 2]).max() < 1e-3
    assert expected[..., 2].min() > 0.2  # dots were found


def test_the_flip_test(network, crowd, estimator, tmp_path):
    pixels, boxes = crowd
    found, _ = opened(export(network, tmp_path / "dots", flip_test=True))([saved(pixels, "PNG")], boxes)
    expected = estimator.estimate(pixels, boxes, flip_test=True).keypoints
    assert_same(found, expected)
    assert distances(found, estimator.estimate(pixels, boxes).keypoints).max() > 1


def test_photos_of_several_people_in_any_order(serve, crowd):
    pixels, boxes = crowd
    photos = [saved(pixels), saved(pixels[:, ::-1], "PNG"), saved(pixels[20:, 10:])]
    choice = [0, 2, 0, 1, 1, 2, 0, 1]
    found, errors = serve([photos[i] for i in choice], boxes[: len(choice)])
    assert errors == [""] * len(choice)
    for i, box, keypoints in zip(choice, boxes, found, strict=False):
        np.testing.assert_allclose(serve([photos[i]], [box])[0][0], keypoints, atol=1e-3)


BAD_PHOTOS = {
    "empty": lambda photo: b"",
    "text": lambda photo: b"no photo at all",
    "cut": lambda photo: photo[: len(photo) // 2],
    "header alone": lambda photo: photo[:30],
    "gif": lambda photo: saved(np.zeros((20, 20, 3), np.uint8), "GIF")[:40],
    "10,000 x 10,000": lambda photo: photo[:16] + (10_000).to_bytes(4) * 2 + photo[24:],
    "gigabytes": lambda photo: photo[:16] + (2**31 - 1).to_bytes(4) * 2 + photo[24:],
    "jpeg cut": lambda photo: saved(np.full((90, 90, 3), 7, np.uint8))[:-200],
}


@pytest.mark.parametrize("kind", BAD_PHOTOS)
def test_a_bad_photo_harms_no_other(serve, crowd, kind):
    pixels, boxes = crowd
    good = saved(pixels, "PNG")
    expected, _ = serve([good], boxes[:2])
    found, errors = serve([good, BAD_PHOTOS[kind](good), good], [boxes[0], boxes[0], boxes[1]])
    assert errors[0] == errors[2] == ""
    assert errors[1].startswith("image_bytes cannot be decoded: send an intact JPEG or PNG")
    np.testing.assert_allclose(found[[0, 2]], expected, atol=1e-4)
    assert not found[1].any()


def test_a_photo_too_small(serve):
    _, (error,) = serve([saved(np.zeros((5, 9, 3), np.uint8), "PNG")], [[0, 0, 5, 5]])
    assert error == "image_bytes needs at least 8x8 pixels to show a person. Received: 9x5"


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([np.nan, 0, 10, 10], "must be four finite numbers [x, y, w, h], at most 1000000 pixels"),
        ([0, 0, np.inf, 10], "must be four finite numbers"),
        ([0, -2e6, 10, 10], "must be four finite numbers"),
        ([5, 5, 0, 10], "need a width and a height of at least 0.01 pixels. Received: [5, 5, 0, 10]"),
        ([5, 5, 10, -1], "need a width and a height"),
        ([220, 5, 10, 10], "must touch the 220x150 image"),
        ([5, -10, 10, 10], "must touch the 220x150 image"),
    ],
)
def test_a_bad_box_harms_no_other(serve, crowd, box, message):
    pixels, boxes = crowd
    photo = saved(pixels)
    found, errors = serve([photo], [boxes[0], box, boxes[1]])
    assert errors[0] == errors[2] == ""
    assert errors[1].startswith("boxes ")
    assert message in errors[1]
    assert not found[1].any()
    np.testing.assert_allclose(found[[0, 2]], serve([photo], boxes[:2])[0], atol=1e-4)


SIDE = st.one_of(
    st.floats(-300, 300, width=32),
    st.sampled_from([0.0, 0.009, 0.011, 219.5, 220.0, 149.5, 150.0, 1e6, -1e6, 2e6, np.nan, np.inf, -np.inf]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(SIDE, min_size=4, max_size=4))
def test_boxes_are_refused_as_by_the_estimator(serve, crowd, box):
    box = np.float32(box).tolist()
    try:
        check_boxes([box], 150, 220, "photo")
        allowed = True
    except InputError:
        allowed = False
    found, (error,) = serve([saved(crowd[0], "PNG")], [box])
    assert (error == "") == allowed, error
    assert np.isfinite(found).all()


@pytest.mark.parametrize(("photos", "boxes"), [(0, 0), (1, 0), (2, 3), (0, 1)])
def test_other_numbers_of_photos_than_boxes(serve, crowd, photos, boxes):
    with pytest.raises(tf.errors.InvalidArgumentError, match="must hold"):
        serve([saved(crowd[0])] * photos, crowd[1][:boxes])


def served_set(name, serve, estimator):
    """The server's and the estimator's keypoints (N, K, 3) of the annotated people of a data set."""
    folder = real_data(name)
    content = json.loads((folder / "annotations.json").read_text())
    served, expected = [], []
    for image in content["images"]:
        boxes = [person["bbox"] for person in content["annotations"] if person["image_id"] == image["id"]]
        if boxes:
            path = folder / "images" / image["file_name"]
            keypoints, errors = serve([path.read_bytes()], boxes)
            assert not any(errors), (path, errors)
            served.append(keypoints)
            expected.append(estimator.estimate(path, boxes).keypoints)
    return np.concatenate(served), np.concatenate(expected)


@pytest.mark.parametrize("boxes", [[1.0, 2.0, 3.0], [[1.0, 2.0, 3.0]], [[[1.0, 2.0, 3.0, 4.0]]]])
def test_boxes_of_another_shape(exported, crowd, boxes):
    """A server need not check shapes; by the concrete function nobody does."""
    function = tf.saved_model.load(str(exported / "1")).signatures["serve_jpeg"]
    photo = tf.constant(saved(crowd[0], "JPEG"))
    with pytest.raises((tf.errors.InvalidArgumentError, TypeError)):
        function(image_bytes=tf.reshape(photo, 1), boxes=tf.constant(boxes))


def test_a_network_that_gives_nan(tmp_path):
    network = DotNetwork(name="nan")
    network.get_layer("heatmaps").kernel.assign(np.full_like(network.get_layer("heatmaps").kernel, np.nan))
    serve = opened(export(network, tmp_path / "nan"))
    keypoints, errors = serve([saved(np.zeros((60, 60, 3), np.uint8), "JPEG")], [[0, 0, 60, 60]])
    assert errors == [""]
    assert np.isfinite(keypoints).all()
    np.testing.assert_array_equal(keypoints[..., 2], 0)


@pytest.mark.slow
def test_real_photos_by_the_shipped_weights(tmp_path):
    network = load_network(REPOSITORY / "training/weights/flpn_mobile_people_192x160.keras")
    serve, estimator = opened(export(network, tmp_path / "flpn")), PoseEstimator(network)
    for name in ("coco_val", "lsp_val"):
        assert_same(*served_set(name, serve, estimator))
