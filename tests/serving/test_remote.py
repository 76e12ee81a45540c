"""RemoteEstimator by REST, against servers that answer by a script: what it sends and gives."""

import base64
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import cv2
import helpers
import numpy as np
import pytest
from photo_files import saved
from scripted_server import BOXES, centres, photos_of

from flpn_tf import RemoteEstimator
from flpn_tf.errors import InputError
from flpn_tf.runtime.images import decode_image
from flpn_tf.runtime.remote import over_rest
from flpn_tf.runtime.remote.protocol import BATCH
from flpn_tf.skeleton import COCO_17
from flpn_tf.spec import PoseSpec


def counts(server) -> list[tuple[int, int]]:
    """Photos and boxes of the requests."""
    return [(len(photos_of(request)), len(request["inputs"]["boxes"])) for _, request, _ in server.asked]


def test_what_is_asked_and_given(serve, pixels, tmp_path):
    server, content = serve(centres), saved(pixels)
    (tmp_path / "photo.jpg").write_bytes(content)
    with RemoteEstimator(server.url) as estimator:
        poses = estimator.estimate(tmp_path / "photo.jpg", BOXES, box_scores=[1.0, 0.5, 0.1])
    ((path, request, headers),) = server.asked
    assert path == "/v1/models/flpn:predict"
    assert headers["Content-Type"] == "application/json"
    assert "Authorization" not in headers
    assert request["signature_name"] == "serve_jpeg"
    assert photos_of(request) == [content] * 3
    assert request["inputs"]["boxes"] == BOXES
    np.testing.assert_array_equal(poses.boxes, BOXES)
    np.testing.assert_allclose(poses.keypoints[1], [[40, 40, 0.9]] * 17)
    np.testing.assert_allclose(poses.scores, [0.9, 0.45, 0.09])
    assert poses.skeleton == COCO_17


def test_a_user_in_the_url(serve, pixels):
    server = serve(centres)
    estimator = RemoteEstimator(server.url.replace("://", "://me:a%40b@") + "/versions/7")
    estimator.estimate(saved(pixels), BOXES)
    ((path, _, headers),) = server.asked
    assert path == "/v1/models/flpn/versions/7:predict"
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"me:a@b"
    assert estimator.url == f"{server.url}/versions/7"


def test_batches_and_a_photo_sent_once(serve, pixels):
    server = serve(centres)
    estimator = RemoteEstimator(server.url, batch=np.int64(2), send_once=True)
    poses = estimator.estimate(saved(pixels), BOXES)
    assert counts(server) == [(1, 2), (1, 1)]
    np.testing.assert_allclose(poses.keypoints[2, 0], [20, 20, 0.9])


def test_the_batch_is_what_the_export_allows(serve, pixels, exported):
    server = serve(centres)
    RemoteEstimator(server.url).estimate(saved(pixels), BOXES * 12)
    assert counts(server) == [(BATCH, BATCH), (36 - BATCH, 36 - BATCH)]
    assert f"max_batch_size {{ value: {BATCH} }}" in (exported / "batching.config").read_text()


@pytest.mark.parametrize(
    ("megabytes", "expected"), [(11, [(2, 2), (1, 1)]), (26, [(1, 1)] * 3)], ids=["large", "huge"]
)
def test_large_photos_go_with_fewer_boxes(serve, pixels, monkeypatch, megabytes, expected):
    """And are encoded once, whatever is sent again."""
    encoded = []
    counting = SimpleNamespace(b64encode=lambda photo: encoded.append(1) or base64.b64encode(photo))
    monkeypatch.setattr(over_rest, "base64", counting)
    server = serve(lambda number, request: centres(number, request) if number else (503, {}))
    content = saved(pixels) + bytes(megabytes << 20)
    poses = RemoteEstimator(server.url, deadline=300).estimate(content, BOXES)
    assert counts(server) == [expected[0], *expected]
    assert encoded == [1]
    assert photos_of(server.asked[-1][1]) == [content]
    np.testing.assert_allclose(poses.keypoints[2, 0], [20, 20, 0.9])


def test_nobody_is_not_asked_for(serve, pixels):
    server = serve(centres)
    assert RemoteEstimator(server.url).estimate(saved(pixels), []).keypoints.shape == (0, 17, 3)
    assert server.asked == []


@pytest.mark.parametrize("form", ["array", "bmp"])
def test_other_photos_go_as_png(serve, pixels, tmp_path, form):
    server, image = serve(centres), pixels
    if form == "bmp":
        image = tmp_path / "photo.bmp"
        cv2.imwrite(str(image), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    RemoteEstimator(server.url).estimate(image, BOXES[:1])
    (photo,) = photos_of(server.asked[0][1])
    assert photo.startswith(b"\x89PNG")
    np.testing.assert_array_equal(decode_image(photo, "sent"), pixels)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_the_content_of_a_file(serve, pixels, kind):
    server, content = serve(centres), saved(pixels)
    RemoteEstimator(server.url).estimate(kind(content), BOXES[:1])
    assert photos_of(server.asked[0][1]) == [content]


def test_a_photo_without_a_box(serve, pixels, capsys):
    def spread(_, request):
        (box,) = request["inputs"]["boxes"]
        points = [[30.0 + i, 20.0 + 2 * i, 0.9] for i in range(17)]
        return 200, {"outputs": {"keypoints": [points], "error": [""]}}

    server = serve(spread)
    content = saved(pixels, tag=6)
    poses = RemoteEstimator(server.url).estimate(content, name="mine")
    first, second = (request["inputs"]["boxes"][0] for _, request, _ in server.asked)
    assert first == [0, 0, 120, 90]  # of the upright photo
    x, y, w, h = second
    assert x < 30 < 46 < x + w < 60
    assert y < 20 < 52 < y + h < 70
    np.testing.assert_allclose(poses.boxes[0], second, rtol=1e-6)
    assert "no box for mine" in capsys.readouterr().err


def test_joints_are_named_by_the_spec(serve, pixels, exported):
    def three(_, request):
        count = len(request["inputs"]["boxes"])
        return 200, {"outputs": {"keypoints": [[[1, 2, 0.5]] * 3] * count, "error": [""] * count}}

    server, path = serve(three), exported / "1" / "assets" / "pose_spec.json"
    content = json.loads(path.read_text())
    given = [path, str(path), content, PoseSpec.from_json(path.read_text()), None]
    *named, plain = (
        RemoteEstimator(server.url, spec=spec).estimate(saved(pixels), BOXES).skeleton.names for spec in given
    )
    assert named == [("left_red", "right_green", "blue")] * 4
    assert plain == ("keypoint_0", "keypoint_1", "keypoint_2")
    with pytest.raises(InputError, match="the model has 17 joints, the spec given for it 3"):
        RemoteEstimator(serve(centres).url, spec=path).estimate(saved(pixels), BOXES)


def test_one_estimator_for_many_threads(serve, pixels, caplog):
    """32 requests are on their way at once, more threads wait, and connections are kept."""
    together = threading.Barrier(32)

    def all_at_once(number, request):
        if number < 32:
            together.wait(60)
        return centres(number, request)

    server, content = serve(all_at_once), saved(pixels)
    estimator = RemoteEstimator(server.url, deadline=120)

    def ask(number):
        box = [number % 60, 10, 20, 20 + number % 7]
        return box, estimator.estimate(content, [box]).keypoints[0, 0, :2]

    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(40) as threads:
        for (x, y, w, h), point in threads.map(ask, range(200)):
            np.testing.assert_allclose(point, [x + w / 2, y + h / 2])
    assert len(server.asked) == 200
    assert server.connections == 32
    assert caplog.records == []


def test_the_command(serve, pixels, tmp_path, monkeypatch, capfd):
    server = serve(centres)
    (tmp_path / "photo.jpg").write_bytes(saved(pixels))
    (tmp_path / "boxes.json").write_text(json.dumps(BOXES))
    command = ("pose", tmp_path / "photo.jpg", "--boxes", tmp_path / "boxes.json", "--model", server.url)
    assert helpers.exit_code(monkeypatch, *command) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["model"], len(found["people"])) == ("flpn", 3)
    assert found["people"][1]["keypoints"][0] == {"name": "nose", "x": 40.0, "y": 40.0, "score": 0.9}
    assert helpers.exit_code(monkeypatch, *command, "--flip") == 2
    assert "--flip and --decode are the server's" in capfd.readouterr().err
    lost = serve(lambda *_: (404, {"error": "no such model"}))
    assert helpers.exit_code(monkeypatch, *command[:-1], lost.url) == 4
    assert capfd.readouterr().err.strip() == f"flpn: error: {lost.url}: HTTP 404: no such model"
