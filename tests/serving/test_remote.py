"""RemoteEstimator against servers that answer by a script: what it sends, and what it makes of answers."""

import base64
import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import helpers
import numpy as np
import pytest
from photo_files import saved

from flpn_tf import RemoteEstimator
from flpn_tf.errors import InputError, RemoteError
from flpn_tf.runtime.images import decode_image
from flpn_tf.skeleton import COCO_17

BOXES = [[10, 10, 50, 60], [20, 15, 40, 50], [5, 5, 30, 30]]


@pytest.fixture(scope="module")
def pixels():
    rows, columns = np.mgrid[:90, :120]
    return np.stack([rows, columns, rows + columns], axis=-1).astype(np.uint8)


class Server(ThreadingHTTPServer):
    """Answers with what `script` gives for a request's number and json: (status, json or bytes)."""

    daemon_threads = True

    def __init__(self, script):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.asked, self.lock = script, [], threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1/models/flpn"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):  # noqa: N802, the base class's name
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            number = len(self.server.asked)
            self.server.asked.append((self.path, request))
        status, content = self.server.script(number, request)
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """A function script → a running `Server`."""
    with contextlib.ExitStack() as stack:

        def start(script):
            server = stack.enter_context(Server(script))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            return server

        yield start


def centres(_, request):
    """Every joint in the middle of its box, sure of itself."""
    boxes = np.array(request["inputs"]["boxes"])
    middle = boxes[:, :2] + boxes[:, 2:] / 2
    points = np.repeat(np.column_stack([middle, np.full(len(boxes), 0.9)])[:, None], 17, axis=1)
    return 200, {"outputs": {"keypoints": points.tolist(), "error": [""] * len(boxes)}}


def photos_of(request):
    return [base64.b64decode(photo["b64"]) for photo in request["inputs"]["image_bytes"]]


def test_what_is_asked_and_given(serve, pixels, tmp_path):
    server, content = serve(centres), saved(pixels)
    (tmp_path / "photo.jpg").write_bytes(content)
    with RemoteEstimator(server.url) as estimator:
        poses = estimator.estimate(tmp_path / "photo.jpg", BOXES, box_scores=[1.0, 0.5, 0.1])
    ((path, request),) = server.asked
    assert path == "/v1/models/flpn:predict"
    assert request["signature_name"] == "serve_jpeg"
    assert photos_of(request) == [content] * 3
    assert request["inputs"]["boxes"] == BOXES
    np.testing.assert_array_equal(poses.boxes, BOXES)
    np.testing.assert_allclose(poses.keypoints[1], [[40, 40, 0.9]] * 17)
    np.testing.assert_allclose(poses.scores, [0.9, 0.45, 0.09])
    assert poses.skeleton == COCO_17


def test_batches_and_a_photo_sent_once(serve, pixels):
    server = serve(centres)
    estimator = RemoteEstimator(server.url, batch=2, send_once=True)
    poses = estimator.estimate(saved(pixels), BOXES)
    assert [len(request["inputs"]["boxes"]) for _, request in server.asked] == [2, 1]
    assert [len(photos_of(request)) for _, request in server.asked] == [1, 1]
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


def test_a_photo_without_a_box(serve, pixels, capsys):
    def spread(_, request):
        (box,) = request["inputs"]["boxes"]
        points = [[30.0 + i, 20.0 + 2 * i, 0.9] for i in range(17)]
        return 200, {"outputs": {"keypoints": [points], "error": [""]}}

    server = serve(spread)
    content = saved(pixels, tag=6)
    poses = RemoteEstimator(server.url).estimate(content, name="mine")
    first, second = (request["inputs"]["boxes"][0] for _, request in server.asked)
    assert first == [0, 0, 120, 90]  # of the upright photo
    x, y, w, h = second
    assert x < 30 < 46 < x + w < 60
    assert y < 20 < 52 < y + h < 70
    np.testing.assert_allclose(poses.boxes[0], second, rtol=1e-6)
    assert "no box for mine" in capsys.readouterr().err


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again(serve, pixels, status):
    def later(number, request):
        return (status, {"error": "wait"}) if number < 2 else centres(number, request)

    server = serve(later)
    RemoteEstimator(server.url).estimate(saved(pixels), BOXES)
    assert len(server.asked) == 3


def test_the_deadline(serve, pixels):
    server = serve(lambda *_: (503, {"error": "loading the model"}))
    with pytest.raises(RemoteError, match="no answer within 0.5 s. Last: .*HTTP 503: loading the model"):
        RemoteEstimator(server.url, deadline=0.5).estimate(saved(pixels), BOXES)
    assert 2 <= len(server.asked) <= 6


def test_a_slow_server_is_left_at_the_deadline(serve, pixels):
    done = threading.Event()

    def slow(*_):
        done.wait(20)
        return 200, {}

    server = serve(slow)
    with pytest.raises(RemoteError, match=r"no answer within 0.3 s. Last: .*[Tt]imed out"):
        RemoteEstimator(server.url, deadline=0.3).estimate(saved(pixels), BOXES)
    done.set()


def test_no_server(pixels):
    with pytest.raises(RemoteError, match="no answer within 0.2 s. Last: http://127.0.0.1:9/.*refused"):
        RemoteEstimator("http://127.0.0.1:9/v1/models/flpn", deadline=0.2).estimate(saved(pixels), BOXES)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((404, {"error": "Servable not found\nfor request"}), "HTTP 404: Servable not found for request$"),
        ((400, b"<html>what?</html>"), "HTTP 400: <html>what"),
        ((200, b"no json"), "does not answer as a model of `flpn export` does"),
        ((200, {"predictions": []}), "does not answer as a model"),
        ((200, {"outputs": {"keypoints": [[[1, 2]]], "error": [""]}}), "Received: keypoints of shape"),
        ((200, {"outputs": {"keypoints": [[[1, 2], [3]]], "error": [""]}}), "does not answer as a model"),
        ((200, {"outputs": {"keypoints": [[[1, 2, 3]]] * 3, "error": [""]}}), "1 errors for 3 boxes"),
        (
            (200, b'{"outputs": {"keypoints": [[[NaN, 2, 3]]], "error": ["", "", ""]}}'),
            "does not answer|not fin",
        ),
    ],
)
def test_answers_of_no_use_are_not_asked_for_again(serve, pixels, answer, message):
    server = serve(lambda *_: answer)
    with pytest.raises(RemoteError, match=message):
        RemoteEstimator(server.url).estimate(saved(pixels), BOXES)
    assert len(server.asked) == 1


def test_the_servers_word_on_a_box(serve, pixels):
    def second_is_bad(number, request):
        status, content = centres(number, request)
        content["outputs"]["error"][1] = "boxes must be nicer"
        return status, content

    server = serve(second_is_bad)
    with pytest.raises(InputError, match="mine: box 1: the server says: boxes must be nicer"):
        RemoteEstimator(server.url).estimate(saved(pixels), BOXES, name="mine")


def test_strings_as_base64(serve, pixels):
    def bytes_out(number, request):
        status, content = centres(number, request)
        content["outputs"]["error"] = [{"b64": base64.b64encode(b"").decode()}] * len(BOXES)
        return status, content

    assert len(RemoteEstimator(serve(bytes_out).url).estimate(saved(pixels), BOXES)) == 3


def test_joints_are_named_by_the_spec(serve, pixels, exported):
    def three(_, request):
        count = len(request["inputs"]["boxes"])
        return 200, {"outputs": {"keypoints": [[[1, 2, 0.5]] * 3] * count, "error": [""] * count}}

    server, spec = serve(three), exported / "1" / "assets" / "pose_spec.json"
    names = [
        RemoteEstimator(server.url, spec=given).estimate(saved(pixels), BOXES).skeleton.names
        for given in (spec, None)
    ]
    assert names == [("left_red", "right_green", "blue"), ("keypoint_0", "keypoint_1", "keypoint_2")]
    with pytest.raises(InputError, match="the model has 17 joints, the spec given for it 3"):
        RemoteEstimator(serve(centres).url, spec=spec).estimate(saved(pixels), BOXES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"url": "localhost:8501"}, "a server's model is http://HOST:8501/v1/models/NAME or grpc://"),
        ({"url": "http://localhost:8501/flpn"}, "a server's model is"),
        ({"url": "ftp://localhost/v1/models/flpn"}, "a server's model is"),
        ({"url": "grpc://localhost:8500"}, "a server's model is"),
        ({"deadline": 0}, "deadline is a number of seconds above 0"),
        ({"deadline": float("nan")}, "deadline is a number"),
        ({"batch": 0}, "batch is a number of boxes"),
        ({"spec": "missing.json"}, "missing.json: cannot be read"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        RemoteEstimator(**{"url": "http://localhost:8501/v1/models/flpn"} | arguments)


@pytest.mark.parametrize(
    ("image", "boxes", "message"),
    [
        (b"no photo", BOXES, "the image"),
        (b"", BOXES, "the image"),
        ("missing.jpg", BOXES, "missing.jpg: cannot be read"),
        (None, [[0, 0, float("nan"), 4]], "the image: box 0 must be four finite numbers"),
        (None, [[900, 0, 5, 4]], "the image: box 0 must touch the 120x90 image"),
    ],
)
def test_bad_input_is_found_before_anything_is_sent(serve, pixels, image, boxes, message):
    server = serve(centres)
    with pytest.raises(InputError, match=message):
        RemoteEstimator(server.url).estimate(saved(pixels) if image is None else image, boxes)
    assert server.asked == []


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "urllib3", None)
    with pytest.raises(
        InputError, match=r"REST needs urllib3; install it with: pip install 'flpn-tf\[remote\]'"
    ):
        RemoteEstimator("http://localhost/v1/models/flpn")
    monkeypatch.setitem(__import__("sys").modules, "tensorflow_serving.apis", None)
    with pytest.raises(InputError, match=r"gRPC needs tensorflow_serving.apis; .*flpn-tf\[remote-grpc\]"):
        RemoteEstimator("grpc://localhost:8500/flpn")


def test_one_estimator_for_many_threads(serve, pixels):
    server, content = serve(centres), saved(pixels)
    estimator = RemoteEstimator(server.url)

    def ask(number):
        box = [number % 60, 10, 20, 20 + number % 7]
        return box, estimator.estimate(content, [box]).keypoints[0, 0, :2]

    with ThreadPoolExecutor(8) as threads:
        for (x, y, w, h), point in threads.map(ask, range(200)):
            np.testing.assert_allclose(point, [x + w / 2, y + h / 2])
    assert len(server.asked) == 200


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
