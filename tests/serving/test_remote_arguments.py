"""RemoteEstimator given what it cannot use: nothing is sent."""

import io

import numpy as np
import pytest
from photo_files import saved
from PIL import Image
from scripted_server import BOXES, centres

from flpn_tf import RemoteEstimator
from flpn_tf.errors import InputError
from flpn_tf.runtime.images import decode_image
from flpn_tf.runtime.remote.photos import to_send

URL = "http://localhost:8501/v1/models/flpn"
SERVERS = "a server's model is http://HOST:8501/v1/models/NAME or grpc://"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"url": None}, SERVERS),
        ({"url": "localhost:8501"}, SERVERS),
        ({"url": "http://localhost:8501/flpn"}, SERVERS),
        ({"url": "ftp://localhost/v1/models/flpn"}, SERVERS),
        ({"url": "grpc://localhost:8500"}, SERVERS),
        ({"url": "http://local host/v1/models/flpn"}, SERVERS),
        ({"url": URL + "\n"}, SERVERS),
        ({"url": "grpc://localhost:8500/m/" + "1" * 20}, SERVERS),
        ({"url": "grpc://localhost:8500/m/9223372036854775808"}, "version is at most 9223372036854775807"),
        ({"url": URL + "/versions/9223372036854775808"}, "version is at most"),
        ({"url": "grpc://me:secret@localhost:8500/m"}, "no user and password.*: grpc://localhost:8500/m$"),
        ({"url": "ftp://me:secret@localhost/m"}, f"{SERVERS}.*: 'ftp://localhost/m'$"),
        *(
            ({"url": url.format(address)}, "names no server: ")
            for url in ("http://{}/v1/models/flpn", "grpc://{}/flpn")
            for address in ("h:99999", "h:abc", "h:0", "[::1", ":80", "a..b", "a" * 64, "a,b:80")
        ),
        ({"deadline": 0}, "deadline is a number of seconds above 0"),
        ({"deadline": float("nan")}, "deadline is a number"),
        ({"deadline": 1e300}, "deadline is a number of seconds above 0, at most 1000000"),
        ({"batch": 0}, "batch is a number of boxes"),
        ({"batch": 2.0}, "batch is a number of boxes"),
        ({"spec": "missing.json"}, "missing.json: cannot be read"),
        ({"spec": "a\0b"}, "cannot be read"),
        ({"spec": {}}, "spec"),
        ({"spec": {"name": {1}}}, "spec is no content of pose_spec.json: .*set"),
        ({"spec": 3}, "spec is a path, a dict or a PoseSpec. Received: int"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        RemoteEstimator(**{"url": URL} | arguments)


@pytest.mark.parametrize(
    "url", ["http://[::1]:8501/v1/models/m", "https://a-b.c_d./x/v1/models/m", "grpc://[::1]:9/m"]
)
def test_good_urls(url):
    assert (RemoteEstimator(url).url, RemoteEstimator(url).name) == (url, "m")


HUGE = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + (2**15).to_bytes(4) * 2 + b"\x08\x02" + bytes(40)


@pytest.mark.parametrize(
    ("image", "boxes", "message"),
    [
        (b"no photo", BOXES, "the image"),
        (b"", BOXES, "the image"),
        (
            None,
            BOXES,
            "the image: an image is a path, a file's content, or an RGB array.* Received: NoneType",
        ),
        ("missing.jpg", BOXES, "missing.jpg: cannot be read"),
        ("a\0b", BOXES, "cannot be read"),
        (HUGE, BOXES, "has 1073.7 megapixels"),
        (np.broadcast_to(np.uint8(0), (8001, 8000, 3)), BOXES, "has 64.0 megapixels"),
        ("good", [[0, 0, float("nan"), 4]], "the image: box 0 must be four finite numbers"),
        ("good", [[900, 0, 5, 4]], "the image: box 0 must touch the 120x90 image"),
    ],
    ids=["text", "empty", "none", "missing", "NUL", "huge file", "huge array", "NaN", "far"],
)
def test_bad_input_is_found_before_anything_is_sent(serve, pixels, image, boxes, message):
    server = serve(centres)
    image = saved(pixels) if isinstance(image, str) and image == "good" else image
    with pytest.raises(InputError, match=message):
        RemoteEstimator(server.url).estimate(image, boxes)
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


@pytest.mark.parametrize("end", ["/", ":predict", "/versions/3:predict"])
def test_a_url_copied_from_elsewhere(end):
    assert RemoteEstimator(URL + end).url == URL + end.removesuffix(":predict").rstrip("/")


@pytest.mark.parametrize("damage", [None, "checksum", "place"])
def test_a_png_with_a_tag_that_decoders_differ_on_goes_turned(pixels, damage):
    image, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(image, "PNG", exif=exif)
    content = image.getvalue()
    at = content.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(content[at : at + 4])
    if damage == "checksum":
        content = content[: end - 1] + bytes([content[end - 1] ^ 1]) + content[end:]
    elif damage == "place":
        content = content[:at] + content[end:-12] + content[at:end] + content[-12:]
    expected = decode_image(content, "photo")
    sent, width, height = to_send(content, "photo")
    assert b"eXIf" not in sent
    assert (height, width) == expected.shape[:2]
    np.testing.assert_array_equal(decode_image(sent, "photo"), expected)
