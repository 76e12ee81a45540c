"""The page in a real Chromium, driven as by a visitor (drive_chromium.mjs), beside `PoseEstimator`."""

import json
import shutil
import subprocess
import threading
from pathlib import Path
from urllib.parse import urlparse

import cv2
import helpers
import numpy as np
import pytest
from PIL import Image

from flpn_tf import presets
from flpn_tf.runtime import web_command
from flpn_tf.runtime.demo import PHOTOS, photo_folder
from flpn_tf.runtime.estimator import PoseEstimator
from flpn_tf.runtime.images import read_image

DEMO = helpers.REPOSITORY / "web_demo"
FORMATS = ("float16", "int8_float_io")
ALL_INTEGERS = presets.assets_folder() / "flpn_mobile_people_192x160_int8.tflite"
PHOTO = "astronaut.png"
FRAMES = 12
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ORIENTATION, QUARTER_TURN = 0x0112, 6  # EXIF

pytestmark = [
    pytest.mark.web,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)"),
    pytest.mark.skipif(
        not (DEMO / "node_modules/playwright-core").is_dir(), reason="needs npm ci in web_demo"
    ),
]


@pytest.fixture(scope="module")
def models():
    """Paths of the shipped models, by format."""
    found = {name: list(presets.assets_folder().glob(f"*_{name}.tflite")) for name in FORMATS}
    assert all(len(paths) == 1 for paths in found.values()), found
    return {name: path for name, [path] in found.items()}


@pytest.fixture(scope="module")
def page(models, tmp_path_factory):
    """The folder that build.js makes."""
    out = tmp_path_factory.mktemp("page") / "dist"
    command = ["node", DEMO / "build.js", *models.values(), "--out", out]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return out


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Paths: a photo, and a part of it as a camera stores it that was held sideways."""
    folder = tmp_path_factory.mktemp("photos")
    photo = read_image(photo_folder() / PHOTO)
    exif = Image.Exif()
    exif[ORIENTATION] = QUARTER_TURN
    sideways = np.ascontiguousarray(np.rot90(photo[:, 40:440]))
    Image.fromarray(sideways).save(folder / "turned.jpg", quality=95, exif=exif)
    Image.fromarray(photo[:5, :5]).save(folder / "tiny.png")
    return {"whole": photo_folder() / PHOTO, "turned": folder / "turned.jpg", "tiny": folder / "tiny.png"}


def write_video(path: Path) -> None:
    """A camera that moves to and fro before a person, as Chromium takes one: raw 4:2:0 with headers."""
    photo = read_image(photo_folder() / PHOTO)
    wide = cv2.copyMakeBorder(photo, 0, 0, 200, 200, cv2.BORDER_REPLICATE)
    with path.open("wb") as stream:
        stream.write(b"YUV4MPEG2 W640 H480 F25:1 Ip A1:1 C420mpeg2\n")
        for frame in range(50):
            left = 136 + round(100 * np.sin(2 * np.pi * frame / 50))
            view = np.ascontiguousarray(wide[16:496, left : left + 640])
            stream.write(b"FRAME\n" + cv2.cvtColor(view, cv2.COLOR_RGB2YUV_I420).tobytes())


@pytest.fixture(scope="module")
def facts(page, photos, models, tmp_path_factory):
    """What drive_chromium.mjs saw; screenshots are in out/web."""
    folder = tmp_path_factory.mktemp("job")
    pictures = helpers.REPOSITORY / "out" / "web"
    pictures.mkdir(parents=True, exist_ok=True)
    write_video(folder / "camera.y4m")
    model = models["float16"].read_bytes()
    assert model.count(b'"spec_version": 1,') == 1
    (folder / "newer.tflite").write_bytes(model.replace(b'"spec_version": 1,', b'"spec_version": 2,'))
    shutil.copyfile(ALL_INTEGERS, folder / "other.tflite")
    with web_command.open_server(page, 0, "127.0.0.1") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        job = {
            "url": web_command.address(server, "127.0.0.1"),
            "demo": str(DEMO),
            "chromium": CHROMIUM,
            "pictures": str(pictures),
            "photos": {name: str(photos[name]) for name in ("whole", "turned")},
            "boxed": "whole",
            "box": PHOTOS[PHOTO],
            "tiny": str(photos["tiny"]),
            "newer_model": str(folder / "newer.tflite"),
            "other_model": str(folder / "other.tflite"),
            "video": str(folder / "camera.y4m"),
            "frames": FRAMES,
        }
        process = subprocess.run(
            ["node", Path(__file__).with_name("drive_chromium.mjs")],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=400,
        )
        server.shutdown()
    assert process.returncode == 0, process.stderr[-4000:]
    return json.loads(process.stdout) | {"url": job["url"]}


def keypoints(pose):
    return np.array([[point["x"], point["y"], point["score"]] for point in pose["keypoints"]])


@pytest.mark.parametrize("name", ["whole", "turned", "boxed"])
@pytest.mark.parametrize("kind", FORMATS)
def test_poses_are_those_of_python(facts, models, photos, kind, name):
    pose = facts["photos"]["models"][models[kind].name][name]
    boxes = [PHOTOS[PHOTO]] if name == "boxed" else None
    expected = PoseEstimator(models[kind]).estimate(photos["whole" if name == "boxed" else name], boxes)
    np.testing.assert_allclose(pose["box"], expected.boxes[0], atol=0.5)
    found = expected.keypoints[0, :, 2] > 0.2
    assert found.sum() >= 10
    distance = np.linalg.norm(keypoints(pose)[:, :2] - expected.keypoints[0, :, :2], axis=1)
    assert distance.max() < 0.5, distance.round(3)
    np.testing.assert_allclose(keypoints(pose)[:, 2], expected.keypoints[0, :, 2], atol=0.02)
    np.testing.assert_allclose(pose["score"], expected.scores[0], atol=0.02)


def test_the_page_is_isolated_and_says_that_it_is_ready(facts):
    assert facts["photos"]["isolated"]
    assert "is ready" in facts["photos"]["ready"]


@pytest.mark.parametrize("visit", ["photos", "camera", "phone"])
def test_nothing_is_asked_of_another_host(facts, visit):
    hosts = {
        urlparse(url)[:2] for url in facts[visit]["log"]["requests"] if not url.startswith(("blob:", "data:"))
    }
    assert hosts == {urlparse(facts["url"])[:2]}


@pytest.mark.parametrize("visit", ["photos", "camera", "phone"])
def test_the_console_holds_no_error(facts, visit):
    assert facts[visit]["log"]["errors"] == []
    assert [text for kind, text in facts[visit]["log"]["console"] if kind == "error"] == []


def test_what_was_found_is_also_told_in_words(facts):
    seen = facts["photos"]
    assert "joints found in your box" in seen["poseStatus"]
    assert PHOTO in seen["pictureLabel"]
    assert len(seen["jointRows"]) == 17
    assert seen["jointRows"][0].startswith("nose")


def test_a_box_can_be_drawn_and_left(facts):
    seen = facts["photos"]
    np.testing.assert_allclose(seen["drawn"]["box"], np.array([0.1, 0.1, 0.5, 0.4]) * 512, atol=1.0)
    last = list(seen["models"].values())[-1]
    np.testing.assert_allclose(keypoints(seen["whole"]), keypoints(last["whole"]), atol=1e-6)


def test_a_slip_of_the_mouse_is_no_box(facts):
    assert facts["photos"]["posesOfSlip"] == 0
    assert "too small or too thin" in facts["photos"]["slip"]


def test_a_finger_scrolls_over_the_photo(facts):
    seen = facts["phone"]
    assert seen["scrolledBySwipe"] > 100
    assert seen["posesOfSwipe"] == 0


def test_a_finger_draws_one_box_when_asked_to(facts):
    seen = facts["phone"]
    assert seen["drawing"] == "true"
    assert (seen["posesOfSlip"], seen["scrolledByDrawing"]) == (0, 0)
    assert "too small or too thin" in seen["slip"]
    np.testing.assert_allclose(seen["drawn"]["box"], np.array([0.1, 0.1, 0.5, 0.4]) * 512, atol=2.0)
    assert seen["drawingAfterwards"] == "false"


def test_only_who_can_drop_is_asked_to(facts):
    assert facts["photos"]["headline"].startswith("Drop a photo here")
    assert facts["phone"]["headline"] == "Choose a photo or start the camera"


def test_a_dropped_model_of_integers_runs(facts, photos):
    expected = PoseEstimator(ALL_INTEGERS).estimate(photos["whole"]).keypoints[0]
    assert np.linalg.norm((keypoints(facts["photos"]["dropped"]) - expected)[:, :2], axis=1).max() < 0.5


@pytest.mark.parametrize(
    "what, words",
    {
        "text": "notes.txt is not an image",
        "empty": "empty.png is an empty file",
        "tiny": "at least 8×8 pixels. Received: 5×5",
        "model": "bad.tflite is not a TFLite model",
        "version": "reads spec_version 1",
        "outside": "must touch the 512×512 picture",
        "flat": "width and a height above 0",
        "emptied": "x is empty: type pixels of the photo.",
    }.items(),
    ids=lambda value: value.split()[0],
)
def test_says_what_is_wrong_and_goes_on(facts, what, words):
    message = facts["photos"]["messages"][what]
    assert words in message
    assert "no way back" not in message
    assert facts["photos"]["modelsLeft"] == len(FORMATS)


def test_an_error_goes_when_a_new_box_is_begun(facts):
    seen = facts["photos"]
    assert (seen["focused"], seen["errorBeforeDrag"], seen["errorInDrag"]) == ("w", True, False)


def test_every_message_ends_with_a_full_stop(facts):
    said = [*facts["photos"]["messages"].values(), facts["photos"]["poseStatus"], facts["photos"]["slip"]]
    said += [
        facts["absentGpu"]["status"],
        facts["wrongGpu"]["status"],
        facts["refused"]["status"],
        facts["absent"]["status"],
    ]
    said += [facts[what] for what in ("noWebAssembly", "noList", "noModels", "noModelFile", "noWorker")]
    assert [message for message in said if not message.endswith(".") or message.endswith("..")] == []


def test_the_models_are_named_by_format_and_size(facts, models):
    labels, titles = zip(*facts["photos"]["menu"], strict=True)
    sizes = [f"{path.stat().st_size / 1e6:.1f} MB" for path in models.values()]
    assert labels == (f"float16 · {sizes[0]}", f"int8 · {sizes[1]}")
    assert titles == tuple(path.stem for path in models.values())


def test_graphics_are_offered_where_there_is_an_adapter(facts):
    assert not facts["photos"]["offersGpu"]  # headless Chromium has WebGPU and no adapter


def test_a_gpu_that_does_not_run_the_model_leaves_it_to_the_processor(facts):
    assert "WebGPU does not run flpn_mobile" in facts["absentGpu"]["status"]
    assert facts["absentGpu"]["accelerator"] == "wasm"


def test_a_gpu_that_computes_something_else_leaves_it_to_the_processor(facts):
    assert "WebGPU computes flpn_mobile" in facts["wrongGpu"]["status"]
    assert facts["wrongGpu"]["accelerator"] == "wasm"


@pytest.mark.parametrize(
    "what, words",
    {
        "noWebAssembly": "no WebAssembly",
        "noList": "There is no models.json in this page's folder (404)",
        "noModels": "There is no model in this folder",
        "noModelFile": "_float16.tflite in this page's folder (404)",
        "noWorker": "worker cannot be loaded",
    }.items(),
    ids=lambda value: value.split()[0],
)
def test_says_what_is_missing(facts, what, words):
    assert words in facts[what]


def test_a_camera_that_is_refused_or_absent(facts):
    assert "camera was refused" in facts["refused"]["status"]
    assert "No camera was found" in facts["absent"]["status"]
    assert facts["refused"]["button"] == facts["absent"]["button"] == "Start the camera"


def test_the_camera_is_followed(facts):
    seen = facts["camera"]
    assert len(seen["poses"]) >= FRAMES
    assert all(pose["found"] for pose in seen["poses"])
    assert int(seen["fps"]) > 0
    assert float(seen["milliseconds"].removesuffix(" ms")) > 0
    assert seen["status"] == "Following one person."
    assert (seen["mirrored"], seen["size"]) == (True, [640, 480])
    # The box is that of the pose before, so it moves with the person.
    boxes = np.array([pose["box"] for pose in seen["poses"]])
    assert not (boxes == [0, 0, 640, 480]).all(axis=1).any()
    assert np.ptp(boxes[:, 0]) > 5


def test_the_camera_survives_another_model_and_stops(facts):
    assert not facts["camera"]["errorAfterSwitch"]
    assert facts["camera"]["stopped"] == "The camera is off."
    assert facts["camera"]["posesAfterStop"] == 0


def test_a_phone_shows_it_without_scrolling_sideways(facts):
    assert facts["phone"]["overflow"] == [0, 0, 0, 0]
    assert facts["phone"]["smallTargets"] == []
    assert facts["tablet"]["overflow"] == 0


def test_the_menus_stand_in_one_row_of_a_tablet(facts):
    model, accelerator = facts["tablet"]["tops"]
    assert model == accelerator


def test_the_keyboard_reaches_every_control(facts):
    order = ["draw", "choose", "camera", "model", "box-details", "x", "y", "w", "h"]
    reached = [name for name in facts["photos"]["tabs"] if name in order]
    assert reached == order
