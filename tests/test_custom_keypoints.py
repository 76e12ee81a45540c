"""An object's own keypoints, from its json to the phone: the commands of docs/custom_keypoints.md."""

import csv
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import REPOSITORY

from flpn_tf import cli
from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError
from flpn_tf.models import load
from flpn_tf.models.load import load_network
from flpn_tf.skeleton import COCO_17
from flpn_tf.spec import PoseSpec

GUIDE = REPOSITORY / "docs" / "custom_keypoints.md"
PRESET = "flpn-mobile"  # whose shipped weights the guide starts from
NAMES = ["front_left", "front_right", "back_right", "back_left"]
LIMBS = [[1, 2], [2, 3], [3, 4], [4, 1]]
CATEGORY = {"id": 7, "name": "parcel", "keypoints": NAMES, "skeleton": LIMBS}
HEIGHT, WIDTH = 240, 320
LID = (120, 160)  # height and width of a parcel's lid, pixels of its drawing


def lid():
    """(120, 160, 3) RGB, its front below: a white band with a red label; mirrored it looks the same."""
    face = np.full((*LID, 3), (150, 110, 60), np.uint8)
    cv2.rectangle(face, (70, 0), (90, 119), (205, 180, 140), -1)
    cv2.rectangle(face, (0, 90), (159, 119), (235, 235, 225), -1)
    cv2.rectangle(face, (0, 0), (159, 6), (60, 40, 30), -1)
    cv2.rectangle(face, (40, 96), (120, 112), (170, 30, 30), -1)
    return face


def corners(rng, centre):
    """(4, 2) whole pixels of one parcel, its far edge shorter, turned by up to 60°."""
    turn, size = np.deg2rad(rng.uniform(-60, 60)), rng.uniform(30, 48)
    quad = np.array([(-1, 0.75), (1, 0.75), (1, -0.75), (-1, -0.75)]) * size
    quad *= np.where(quad[:, 1:] < 0, rng.uniform(0.65, 1.0), 1.0)
    rotation = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    return np.rint(quad @ np.transpose(rotation) + centre + rng.uniform(-4, 4, (4, 2)))


def photo_of(rng, quads):
    coarse = rng.integers(40, 200, (4, 5, 3)).astype(np.uint8)
    photo = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    face = np.array([(0, 119), (159, 119), (159, 0), (0, 0)], np.float32)
    for quad in quads:
        mapping = cv2.getPerspectiveTransform(face, quad.astype(np.float32))
        covered = cv2.warpPerspective(np.full(LID, 255, np.uint8), mapping, (WIDTH, HEIGHT)) > 127
        shaded = cv2.warpPerspective(lid(), mapping, (WIDTH, HEIGHT)) * rng.uniform(0.7, 1.1)
        photo[covered] = shaded.clip(0, 255).astype(np.uint8)[covered]
    return (photo + rng.normal(0, 4, photo.shape)).clip(0, 255).astype(np.uint8)


def write_parcels(folder, photos, seed):
    """A data set of six parcels a photo, with what an annotation tool writes and no more."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(photos):
        quads = [corners(rng, (x, y)) for x in (60, 160, 260) for y in (60, 180)]
        name = f"{number:03}.png"
        images.append({"id": number + 1, "file_name": name, "width": WIDTH, "height": HEIGHT})
        assert cv2.imwrite(str(folder / "images" / name), photo_of(rng, quads)[..., ::-1])
        for quad in quads:
            low, high = quad.min(axis=0), quad.max(axis=0)
            annotation = {
                "id": len(annotations) + 1,
                "image_id": number + 1,
                "category_id": CATEGORY["id"],
                "iscrowd": 0,
                "keypoints": np.column_stack([quad, np.full(4, 2)]).ravel().tolist(),
                "bbox": [*low.tolist(), *(high - low).tolist()],
            }
            annotations.append(annotation)
    content = {"images": images, "annotations": annotations, "categories": [CATEGORY]}
    (folder / "annotations.json").write_text(json.dumps(content))


def guide_commands():
    """The `flpn` commands of the guide's fenced blocks, in order, each a list of arguments."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    blocks = "\n".join(block for language, block in fenced if not language)
    lines = blocks.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("flpn ")]


@pytest.fixture
def folder(tmp_path):
    """Where the guide's reader stands."""
    write_parcels(tmp_path / "parcels" / "train", 36, seed=0)
    write_parcels(tmp_path / "parcels" / "val", 6, seed=1)
    boxes = [a["bbox"] for a in truth_of(tmp_path / "parcels" / "val") if a["image_id"] == 1]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "configs").symlink_to(REPOSITORY / "training" / "configs")
    return tmp_path


def truth_of(data):
    return json.loads((data / "annotations.json").read_text())["annotations"]


def check_outputs(folder, printed):
    """What must hold of the files that the guide makes, whatever the weights.

    Returns:
        What `flpn evaluate` and `flpn pose` wrote as json.
    """
    with (folder / "runs" / "parcels" / "log.csv").open() as stream:
        losses = [float(row["loss"]) for row in csv.DictReader(stream)]
    assert len(losses) == 5
    assert losses[-1] < losses[0]
    limbs = tuple((a - 1, b - 1) for a, b in LIMBS)
    skeletons = [
        load_network(folder / "runs" / "parcels" / "model.keras").skeleton,
        *(PoseSpec.read_from_tflite(folder / f"parcels_{to}.tflite").skeleton for to in ("float16", "int8")),
    ]
    for skeleton in skeletons:
        assert skeleton.names == tuple(NAMES)
        assert skeleton.limbs == limbs
        assert skeleton.flip_pairs == ((0, 1), (2, 3))
    result = json.loads((folder / "metrics.json").read_text())
    assert list(result["errors"]) == ["all", *NAMES]
    assert result["people"] == 36
    assert 0 <= result["metrics"]["AP"] <= 100
    assert not any(name.startswith("PCK") for name in result["metrics"])
    assert "no PCK@0.2" in result["measure"]
    (pose,) = (json.loads(text) for text in printed if text.startswith("{"))
    assert pose["model"] == "parcels_float16"
    assert len(pose["people"]) == 6
    for person in pose["people"]:
        assert [joint["name"] for joint in person["keypoints"]] == NAMES
    assert (folder / "report.html").stat().st_size > 0
    assert (folder / "pose.png").stat().st_size > 0
    return result, pose


def test_the_guides_commands_in_order():
    """Each step stands on the one before; and no option of the test's own."""
    words = [" ".join(command[: 1 + (command[0] == "data")]) for command in guide_commands()]
    assert list(dict.fromkeys(words)) == ["data check", "data show", "train", "evaluate", "convert", "pose"]
    assert [c for c in guide_commands() if "schedule.epochs=5" in c and c[c.index("--init") + 1] == PRESET]


@pytest.mark.slow
def test_the_guide_with_a_tiny_network(folder, monkeypatch, capfd):
    """Everything around the network: FLPN's training step alone takes half a minute to trace."""
    monkeypatch.syspath_prepend(REPOSITORY / "tests" / "training")
    import tiny_network

    from flpn_tf.training import fit

    weights = folder / "tiny.keras"
    tiny_network.TinyNetwork((192, 160), COCO_17).save(weights)
    monkeypatch.setattr(load, "weights_path", {Path(PRESET): weights}.__getitem__)
    monkeypatch.setattr(fit, "build_model", tiny_network.build)
    monkeypatch.chdir(folder)
    printed = []
    for command in guide_commands():
        monkeypatch.setattr(sys, "argv", ["flpn", *command])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, error = capfd.readouterr()
        assert stopped.value.code in (0, None), error
        printed.append(out)
    check_outputs(folder, printed)


@pytest.mark.slow
def test_the_guide_from_the_shipped_weights(folder):
    """In processes of their own, as its reader runs them; five epochs find most corners."""
    printed = []
    for command in guide_commands():
        done = subprocess.run(
            [sys.executable, "-m", "flpn_tf", *command],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    result, pose = check_outputs(folder, printed)
    # A guess that knows the boxes and where corners are on average, but has not seen the photo.
    assert good_share(folder, mean_places(folder)) < 5
    assert result["errors"]["all"]["good"] > 60
    check_overlay(folder, pose)


def mean_places(folder):
    """(4, 2) of the corners in their box, as shares of its sides, over the training parcels."""
    boxes, places = boxes_and_corners(folder / "parcels" / "train")
    return ((places - boxes[:, None, :2]) / boxes[:, None, 2:]).mean(axis=0)


def good_share(folder, guess):
    """% of the validation's corners that a guess, shares of the box, finds as `good` (OKS likeness 0.85)."""
    boxes, places = boxes_and_corners(folder / "parcels" / "val")
    distances = np.linalg.norm(boxes[:, None, :2] + guess * boxes[:, None, 2:] - places, axis=-1)
    areas = (boxes[:, 2:] - 1).prod(axis=1, keepdims=True)
    return 100 * (np.exp(-(distances**2) / (2 * areas * (2 * 0.072) ** 2)) >= 0.85).mean()


def boxes_and_corners(data):
    annotations = truth_of(data)
    places = np.reshape([a["keypoints"] for a in annotations], (-1, 4, 3))[..., :2]
    return np.array([a["bbox"] for a in annotations]), places


def check_overlay(folder, pose):
    """A parcel's edges are drawn where both ends are found: their middles, away from the drawn corners."""
    drawn = cv2.imread(str(folder / "pose.png"))
    photo = cv2.imread(str(folder / "parcels" / "val" / "images" / "000.png"))
    changed = (drawn != photo).any(axis=-1)
    edges = 0
    for person in pose["people"]:
        joints = np.array([(joint["x"], joint["y"], joint["score"]) for joint in person["keypoints"]])
        for one, other in joints[np.array(LIMBS) - 1]:
            if min(one[2], other[2]) > 0.2 and np.linalg.norm(one[:2] - other[:2]) > 20:
                x, y = np.rint((one[:2] + other[:2]) / 2).astype(int)
                assert changed[y - 2 : y + 3, x - 2 : x + 3].any()
                edges += 1
    assert edges > 0


def cvat(content):
    """What CVAT adds: floats, empty segmentations, attributes, a category of another kind of label."""
    content["categories"].insert(0, {"id": 1, "name": "pallet", "supercategory": ""})
    for annotation in content["annotations"]:
        annotation["keypoints"] = [float(value) for value in annotation["keypoints"]]
        annotation |= {"segmentation": [], "attributes": {"occluded": False}, "num_keypoints": 4}
        annotation["area"] = float(np.prod(annotation["bbox"][2:]))


def label_studio(content):
    """Ids from 0, no limbs; drawn boxes are annotations of their own, in a category without keypoints."""
    content["categories"] = [
        {"id": 0, "name": "box"},
        CATEGORY | {"id": 1, "name": "default", "skeleton": []},
    ]
    for image in content["images"]:
        image |= {"id": image["id"] - 1, "file_name": f"images/{image['file_name']}"}
    for number, annotation in enumerate(content["annotations"]):
        annotation |= {"id": 2 * number + 1, "image_id": annotation["image_id"] - 1, "category_id": 1}
    boxes = [
        {key: a[key] for key in ("image_id", "bbox", "iscrowd")} | {"id": a["id"] - 1, "category_id": 0}
        for a in content["annotations"]
    ]
    content["annotations"] += boxes


def rewrite(folder, change):
    write_parcels(folder, 1, seed=2)
    path = folder / "annotations.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(("tool", "limbs"), [(cvat, 4), (label_studio, 0)], ids=["cvat", "label_studio"])
def test_jsons_as_tools_write_them(tmp_path, tool, limbs):
    folder = rewrite(tmp_path / "parcels", tool)
    if tool is label_studio:  # as the guide says
        (folder / "images").rename(folder / "moved")
        (folder / "images").mkdir()
        (folder / "moved").rename(folder / "images" / "images")
    people = read_people(folder)
    assert len(people) == 6
    assert people.skeleton.names == tuple(NAMES)
    assert people.skeleton.flip_pairs == ((0, 1), (2, 3))
    assert len(people.skeleton.limbs) == limbs
    write_parcels(tmp_path / "again", 1, seed=2)
    _, expected = boxes_and_corners(tmp_path / "again")
    np.testing.assert_array_equal([record.keypoints[:, :2] for record in people.records], expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"skeleton": [[0, 1], [1, 2], [2, 3], [3, 0]]}, r"1-based joints, 1 to 4\. Received: \[\[0, 1\]"),
        ({"skeleton": [[1, 5]]}, r"1-based joints, 1 to 4\. Received: \[\[1, 5\]\]"),
        ({"flip_pairs": [[1, 2], [3, 4]]}, r"flip_pairs must join two different joints in 0…3"),
        ({"flip_pairs": [["front_left", "front_right"]]}, "a joint is a whole number"),
        ({"sigmas": [0.05]}, "4 positive sigmas"),
        ({"keypoints": ["corner"] * 4}, "unique joint names"),
    ],
)
def test_a_category_that_cannot_be_is_refused(tmp_path, change, message):
    folder = rewrite(tmp_path / "parcels", lambda content: content["categories"][0].update(change))
    with pytest.raises(InputError, match=f"annotations.json: .*{message}"):
        read_people(folder)


def test_stated_pairs_and_sigmas_are_taken(tmp_path):
    stated = {"keypoints": ["a", "b", "c", "d"], "flip_pairs": [[0, 1], [3, 2]], "sigmas": [0.02] * 4}
    folder = rewrite(tmp_path / "parcels", lambda content: content["categories"][0].update(stated))
    skeleton = read_people(folder).skeleton
    assert skeleton.flip_pairs == ((0, 1), (3, 2))
    assert skeleton.sigmas == (0.02,) * 4
    unstated = rewrite(
        tmp_path / "unstated", lambda content: content["categories"][0].update(keypoints=["a", "b", "c", "d"])
    )
    assert read_people(unstated).skeleton.flip_pairs == ()
