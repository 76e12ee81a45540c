"""The exported model behind a real server: KServe, in its own environment (`make test-serving`)."""

import base64
import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import REPOSITORY
from photo_files import every_form
from real_data import real_data

from flpn_tf import PoseEstimator, RemoteEstimator
from flpn_tf.convert.serving.export import export
from flpn_tf.errors import RemoteError
from flpn_tf.models.load import load_network
from flpn_tf.runtime.images import decode_image

pytestmark = pytest.mark.serving

PYTHON = REPOSITORY / ".venv-serving" / "bin" / "python"
WEIGHTS = REPOSITORY / "training/weights/flpn_mobile_people_192x160.keras"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export(load_network(WEIGHTS), tmp_path_factory.mktemp("export") / "flpn").parent


@pytest.fixture(scope="module")
def url(folder, tmp_path_factory):
    """Of the model on the running server."""
    if not PYTHON.exists():
        pytest.skip(f"no KServe at {PYTHON}: make test-serving installs it")
    port, log = free_port(), tmp_path_factory.mktemp("log") / "kserve.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [PYTHON, Path(__file__).parent / "kserve_server.py", folder, str(port)],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONNOUSERSITE": "1"},
        )
    model = f"http://127.0.0.1:{port}/v1/models/flpn"
    try:
        for _ in range(600):
            if process.poll() is not None:
                pytest.fail(log.read_text()[-3000:])
            try:
                with urllib.request.urlopen(model, timeout=1) as answer:
                    assert json.loads(answer.read())["ready"] in (True, "True")
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.2)
        else:
            pytest.fail(f"the server did not start:\n{log.read_text()[-3000:]}")
        yield model
    finally:
        process.terminate()
        process.wait(30)


def people():
    """(path, boxes) of the photos of `coco_val` with labelled people."""
    data = real_data("coco_val")
    content = json.loads((data / "annotations.json").read_text())
    for image in content["images"]:
        boxes = [person["bbox"] for person in content["annotations"] if person["image_id"] == image["id"]]
        if boxes:
            yield data / "images" / image["file_name"], boxes


def assert_near(apart):
    print(f"{len(apart)} joints: median {np.median(apart):.4f}, 99 % {np.quantile(apart, 0.99):.4f} pixels")
    assert np.median(apart) < 0.01
    assert np.quantile(apart, 0.99) < 0.1


def test_real_photos(url, folder):
    """As the same graph gives them here to 0.001 pixels, and `PoseEstimator` to what crops differ by."""
    graph = tf.saved_model.load(str(folder / "1")).signatures["serve_jpeg"]
    estimator, apart = PoseEstimator(WEIGHTS), []
    with RemoteEstimator(url, deadline=120) as remote:
        for path, boxes in people():
            found = remote.estimate(path, boxes).keypoints
            photos = tf.constant([path.read_bytes()] * len(boxes))
            here = graph(image_bytes=photos, boxes=tf.constant(boxes, tf.float32))["keypoints"].numpy()
            assert np.abs(found - here).max() < 1e-3
            local = estimator.estimate(path, boxes).keypoints
            apart.append(np.linalg.norm(found[..., :2] - local[..., :2], axis=-1).ravel())
    assert_near(np.concatenate(apart))


def test_every_form_of_photo(url):
    """Over the first photos: 16 boxes of one, then a box each."""
    estimator, apart = PoseEstimator(WEIGHTS), []
    with RemoteEstimator(url, deadline=120) as remote:
        for number, (path, boxes) in zip(range(12), people(), strict=False):
            pixels = decode_image(path.read_bytes(), path)
            shifted = [[x + i, y - i, w + i, h + i] for i in range(16) for x, y, w, h in boxes][:16]
            for content in every_form(pixels).values():
                boxes = shifted[: 1 if number else 16]
                found = remote.estimate(content, boxes).keypoints
                local = estimator.estimate(decode_image(content, "photo"), boxes).keypoints
                apart.append(np.linalg.norm(found[..., :2] - local[..., :2], axis=-1).ravel())
    assert_near(np.concatenate(apart))


def post(url, body):
    """(status, json) of a POST."""
    request = urllib.request.Request(f"{url}:predict", json.dumps(body).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_rows_of_crops(url):
    crop = np.full((192, 160, 3), 99, np.uint8)
    status, answer = post(url, {"instances": [{"image": crop.tolist()}] * 2})
    assert status == 200
    first, second = answer["predictions"]
    assert np.shape(first["keypoints"]) == (17, 3)
    assert np.shape(second["heatmaps"]) == (48, 40, 17)


def test_the_curl_line_of_the_docs(url, tmp_path):
    blocks = re.findall(r"```sh\n(.*?)```", (REPOSITORY / "docs/serving.md").read_text(), re.DOTALL)
    (command,) = [block for block in blocks if "curl" in block]
    path, _ = next(iter(people()))
    (tmp_path / "photo.jpg").write_bytes(path.read_bytes())
    command = command.replace("http://localhost:8501", url.split("/v1")[0])
    result = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True, timeout=60)
    (found,) = json.loads(result.stdout)["predictions"]
    assert found["error"] == ""
    local = PoseEstimator(WEIGHTS).estimate(path, [[40, 20, 110, 260]])
    assert np.median(np.abs(np.array(found["keypoints"]) - local.keypoints[0])) < 0.01


def test_bad_requests_harm_no_other(url):
    path, boxes = next(iter(people()))
    photo = path.read_bytes()
    with RemoteEstimator(url, deadline=60) as remote:
        expected = remote.estimate(path, boxes).keypoints
        for inputs in (
            {"image_bytes": [], "boxes": []},
            {"image_bytes": [{"b64": "no base64!"}], "boxes": [boxes[0]]},
            {"image_bytes": [{"b64": "AAAA"}], "boxes": [["1", "2"]]},
            {"boxes": boxes},
        ):
            status, answer = post(url, {"signature_name": "serve_jpeg", "inputs": inputs})
            assert status == 400
            assert answer["error"]
            assert np.array_equal(remote.estimate(path, boxes).keypoints, expected)
        for content, box in ((photo[:-5000], boxes[0]), (photo, [1e5, 0, 9, 9])):
            inputs = {"image_bytes": [{"b64": base64.b64encode(content).decode()}], "boxes": [box]}
            status, answer = post(url, {"signature_name": "serve_jpeg", "inputs": inputs})
            assert status == 200
            assert answer["outputs"]["error"][0]
            assert np.array_equal(remote.estimate(path, boxes).keypoints, expected)
        with pytest.raises(RemoteError, match="HTTP 404"):
            RemoteEstimator(url.replace("flpn", "cats"), deadline=5).estimate(path, boxes)
