"""RemoteEstimator where something is wrong with the server, or with its answer."""

import base64
import contextlib
import socket
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from photo_files import saved
from scripted_server import BOXES, centres, middle_of

from flpn_tf import RemoteEstimator
from flpn_tf.errors import InputError, RemoteError
from flpn_tf.runtime.remote import estimator as estimator_module
from flpn_tf.runtime.remote import over_rest
from flpn_tf.runtime.remote.transport import Unavailable

URL = "http://localhost:8501/v1/models/flpn"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again(serve, pixels, status):
    def later(number, request):
        return (status, {"error": "wait"}) if number < 2 else centres(number, request)

    server = serve(later)
    RemoteEstimator(server.url).estimate(saved(pixels), BOXES)
    assert len(server.asked) == 3


def test_the_pauses(pixels, monkeypatch):
    """By a clock of its own: pauses double, with chance, from 0.1 to 5 s, and end before the deadline."""
    now, pauses = [0.0], []

    def sleep(seconds):
        pauses.append(seconds)
        now[0] += seconds

    def busy(request, count, timeout):
        assert now[0] + timeout == pytest.approx(30)
        raise Unavailable("still loading")

    monkeypatch.setattr(estimator_module, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    estimator = RemoteEstimator(URL)
    monkeypatch.setattr(estimator._transport, "predict", busy)
    with pytest.raises(RemoteError, match="^no answer within 30 s. Last: still loading$"):
        estimator.estimate(saved(pixels), BOXES)
    longest = np.minimum(0.1 * 2.0 ** np.arange(len(pauses)), 5)
    assert np.all((longest / 2 <= pauses) & (pauses <= longest))
    assert len(set(np.round(pauses / longest, 6))) > 1
    assert 20 < now[0] < 30


@pytest.mark.parametrize("part", ["nothing", "head", "body"])
def test_a_slow_server_is_left_at_the_deadline(pixels, part):
    """Also one that sends a byte now and then, which would take 30 s."""
    sent = {
        "nothing": b"",
        "head": b"HTTP/1.1 200 OK\r\nX: ",
        "body": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
    }
    done = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def drip():
        connection = listener.accept()[0]
        with connection, contextlib.suppress(OSError):
            connection.sendall(sent[part])
            for _ in range(100):
                if done.wait(0.3):
                    return
                if part != "nothing":
                    connection.sendall(b" ")

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/models/flpn"
    start = time.monotonic()
    with pytest.raises(RemoteError, match=r"no answer within 1 s. Last: http.*[Tt]imed out"):
        RemoteEstimator(url, deadline=1).estimate(saved(pixels), BOXES)
    assert time.monotonic() - start < 10
    done.set()
    thread.join()
    listener.close()


def test_no_server(pixels):
    with pytest.raises(
        RemoteError,
        match=f"^no answer within 1 s. Last: {URL.replace('localhost:8501', '127.0.0.1:9')}: .*refused",
    ):
        RemoteEstimator("http://me:secret@127.0.0.1:9/v1/models/flpn", deadline=1).estimate(
            saved(pixels), BOXES
        )


def test_a_connection_that_ends(serve, pixels):
    def breaks(number, request):
        if number == 0:
            raise ConnectionError
        return centres(number, request)

    server = serve(breaks)
    RemoteEstimator(server.url).estimate(saved(pixels), BOXES)
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((404, {"error": "Servable not found\nfor request"}), "HTTP 404: Servable not found for request$"),
        ((400, b"<html>what?</html>"), "HTTP 400: <html>what"),
        ((400, b"[" * 10**5), r"HTTP 400: \[\["),
        ((307, b""), "HTTP 307"),
        ((200, b"no json"), "does not answer as a model of `flpn export` does. Received: b'no json'"),
        ((200, b"[" * 10**5), r"does not answer as a model of .* Received: b'\[\["),
        ((200, {"predictions": []}), "does not answer as a model"),
        ((200, {"outputs": {"keypoints": [[[1, 2]]], "error": [""]}}), "Received: keypoints of shape"),
        ((200, {"outputs": {"keypoints": [[[1, 2], [3]]], "error": [""]}}), "does not answer as a model"),
        ((200, {"outputs": {"keypoints": [[[1, 2, 3]]] * 3, "error": [""]}}), "1 errors for 3 boxes"),
        ((200, {"outputs": {"keypoints": [[[1, 2, 3]]] * 3, "error": [None] * 3}}), "no text but NoneType"),
        (
            (200, {"outputs": {"keypoints": [[[1, 2, 3]]] * 3, "error": [{"b64": "?"}] * 3}}),
            "does not answer",
        ),
        ((200, {"outputs": {"keypoints": [[[1, 2, 10**400]]] * 3, "error": [""] * 3}}), "does not answer"),
        (
            (200, {"outputs": {"keypoints": [[[1, 2, float("nan")]]] * 3, "error": [""] * 3}}),
            "are not finite",
        ),
    ],
)
def test_answers_of_no_use_are_not_asked_for_again(serve, pixels, answer, message):
    server = serve(lambda *_: answer)
    with pytest.raises(RemoteError, match=message):
        RemoteEstimator(server.url).estimate(saved(pixels), BOXES)
    assert len(server.asked) == 1


def test_an_answer_without_end(serve, pixels, monkeypatch):
    monkeypatch.setattr(over_rest, "LONGEST_ANSWER", 10**6)
    server = serve(lambda *_: (200, bytes(10**7)))
    estimator = RemoteEstimator(server.url)
    for _ in range(40):  # more than there are connections: each is given back
        with pytest.raises(RemoteError, match="Received: more than 1000000 bytes"):
            estimator.estimate(saved(pixels), BOXES)


@pytest.mark.parametrize("wrap", [str, lambda text: {"b64": base64.b64encode(text.encode()).decode()}])
def test_the_servers_word_on_a_box(serve, pixels, wrap):
    """With the box's number in the whole list, as text or base64."""

    def the_third_is_bad(_, request):
        boxes = request["inputs"]["boxes"]
        errors = [wrap("be nicer" if box == BOXES[2] else "") for box in boxes]
        return 200, {"outputs": {"keypoints": middle_of(boxes).tolist(), "error": errors}}

    estimator = RemoteEstimator(serve(the_third_is_bad).url, batch=2)
    assert len(estimator.estimate(saved(pixels), BOXES[:2])) == 2
    with pytest.raises(InputError, match="^mine: box 2: the server says: be nicer$"):
        estimator.estimate(saved(pixels), BOXES, name="mine")


@pytest.mark.parametrize("url", [URL, "grpc://localhost:8500/flpn"])
def test_after_close(pixels, url):
    with RemoteEstimator(url) as estimator:
        pass
    estimator.close()
    with pytest.raises(InputError, match="this RemoteEstimator is closed"):
        estimator.estimate(saved(pixels), BOXES)
