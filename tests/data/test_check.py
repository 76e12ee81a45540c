import contextlib
import copy
import io
import json
import struct
import zlib

import cv2
import numpy as np
import pytest
import synthetic_people
from PIL import Image

from flpn_tf.data import check_photos
from flpn_tf.data.check import check_data
from flpn_tf.data.check_command import render, run
from flpn_tf.errors import InputError
from flpn_tf.runtime.images import read_image, read_intact_image

GOOD = synthetic_people.document(people=6)
NAMES = list(synthetic_people.NAMES)


def data_set(tmp_path, change=None, content=GOOD):
    """A data set whose annotations `change` has altered in place; the photos are the good ones."""
    folder = synthetic_people.write(tmp_path / "data", content)
    if change is not None:
        content = copy.deepcopy(content)
        change(content)
        (folder / "annotations.json").write_text(json.dumps(content))
    return folder


def person(index, **values):
    return lambda content: content["annotations"][index].update(values)


def image(index, **values):
    return lambda content: content["images"][index].update(values)


def keypoints(index, joint, *values):
    def change(content):
        content["annotations"][index]["keypoints"][3 * joint : 3 * joint + 3] = values

    return change


def copied(part, index, **values):
    return lambda content: content[part].append(content[part][index] | values)


def found(kinds):
    return {kind: len(messages) for kind, messages in kinds.items()}


@pytest.mark.parametrize("quick", [False, True])
def test_a_clean_data_set(tmp_path, capsys, quick):
    folder = data_set(tmp_path)
    assert run(folder, quick=quick) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == f"{folder}/annotations.json"
    assert lines[1] == "photos 6, people 6, joints labelled 42, left out 0"
    assert {"errors: none", "warnings: none", "left out: none"} <= set(lines)
    assert "left_shoulder          6   100.0 %" in lines
    assert lines[-1] == "0 errors, 0 warnings"
    assert err == "6/6 photos\n"


ANNOTATION_ERRORS = {
    "a bad id": (copied("images", 0, id="7"), "bad id", "image number 6 needs a whole number"),
    "a duplicate id": (copied("annotations", 2), "duplicate id", "Received: 1002 twice"),
    "an unknown image_id": (person(1, image_id=5), "unknown image_id", "annotation 1001: there is no image"),
    "a bad box": (person(1, bbox=[1, 2, 3]), "bad box", "annotation 1001: bbox must be"),
    "bad keypoints": (person(1, keypoints=[1, 2, 2]), "bad keypoints", "annotation 1001: keypoints must be"),
    "a bad area": (person(1, area="1"), "bad area", "annotation 1001: area must be"),
    "a bad size": (image(5, width=0), "bad image size", "image 105: width and height"),
    "an unsafe name": (
        image(5, file_name="../images/5.png"),
        "bad file name",
        "image 105: file_name must stay",
    ),
    "a missing photo": (image(1, file_name="9.png"), "missing photo", "person 1001: there is no photo"),
    "a code of 3": (keypoints(1, 2, 40, 40, 3), "bad visibility", "annotation 1001: visibility"),
    "a negative code": (
        keypoints(1, 2, 40, 40, -1),
        "bad visibility",
        "must be 0, 1 or 2. Received: -1",
    ),
    "half a code": (keypoints(1, 2, 40, 40, 0.5), "bad visibility", "Received: 0.5"),
    "another size": (image(1, width=99), "wrong image size", "1.png: has 100x120 pixels, the"),
    "exchanged sides": (image(1, width=120, height=100), "wrong image size", "Received: 120x100"),
}


@pytest.mark.parametrize(("change", "kind", "message"), ANNOTATION_ERRORS.values(), ids=ANNOTATION_ERRORS)
def test_errors_in_annotations(tmp_path, capsys, change, kind, message):
    folder = data_set(tmp_path, change)
    result = check_data(folder)
    messages = result.findings.errors[kind]
    assert len(messages) == 1
    assert message in messages[0]
    assert run(folder) == 1
    out = capsys.readouterr().out
    assert f"\n  {kind}: 1\n" in out
    assert message in out
    assert f"\n{result.errors} errors, " in out


def half_of(content):
    return content[: len(content) // 2]


def jpeg(points, **options):
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(-9, 9, (synthetic_people.HEIGHT, synthetic_people.WIDTH, 3))
    photo = (synthetic_people.draw(points) + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(photo).save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


def scratched(content):
    content = bytearray(content)
    middle = len(content) // 2
    content[middle : middle + 200] = np.random.default_rng(1).bytes(200)
    return bytes(content)


def png_header(width, height):
    def chunk(name, payload):
        return (
            struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))
        )

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


POINTS = np.reshape(GOOD["annotations"][3]["keypoints"], (-1, 3))[:, :2]
PHOTO = cv2.imencode(".png", synthetic_people.draw(POINTS))[1].tobytes()
PHOTO_ERRORS = {
    "half a jpeg": (half_of(jpeg(POINTS)), "undecodable photo", False),
    "half a png": (half_of(PHOTO), "undecodable photo", False),
    "a text": (b"not a photo", "undecodable photo", True),
    "empty": (b"", "undecodable photo", True),
    "a scratched jpeg": (scratched(jpeg(POINTS)), "damaged photo", False),
    "100 megapixels": (png_header(10_000, 10_000), "photo too large", True),
}


@pytest.mark.parametrize(("content", "kind", "quickly"), PHOTO_ERRORS.values(), ids=PHOTO_ERRORS)
def test_errors_in_photos(tmp_path, capfd, content, kind, quickly):
    folder = data_set(tmp_path)
    (folder / "images" / "3.png").write_bytes(content)
    findings = check_data(folder).findings
    assert found(findings.errors) == {kind: 1}
    assert "images/3.png" in findings.errors[kind][0]
    assert found(check_data(folder, quick=True).findings.errors) == ({kind: 1} if quickly else {})
    assert capfd.readouterr() == ("", "")  # the decoders' own lines


def test_many_bad_photos_among_good_ones(tmp_path):
    """More than one batch of threads; of each photo what `read_intact_image` says of it by itself."""
    folder = data_set(tmp_path, content=synthetic_people.document(people=150))
    photos = {path.name: path for path in (folder / "images").iterdir()}
    for i in range(0, 150, 7):
        photos[f"{i}.png"].write_bytes(scratched(jpeg(POINTS)) if i % 2 else half_of(PHOTO))
    bad = set()
    for name, path in photos.items():
        with contextlib.suppress(InputError):
            read_intact_image(path)
            continue
        bad.add(name)
    calls = []
    result = check_data(folder, progress=lambda *counts: calls.append(counts))
    assert found(result.findings.errors) == {"undecodable photo": 11, "damaged photo": 11}
    messages = [message for kind in result.findings.errors.values() for message in kind]
    assert {name for name in photos if any(f"/{name} " in message for message in messages)} == bad
    assert calls[-1] == (150, 150)
    assert len(calls) > 1


def test_a_huge_photo_is_refused_without_decoding(tmp_path, monkeypatch):
    folder = data_set(tmp_path)
    (folder / "images" / "3.png").write_bytes(png_header(10_000, 10_000))
    decoded = []
    monkeypatch.setattr(
        check_photos, "read_image", lambda path: decoded.append(path.name) or read_image(path)
    )
    findings = check_data(folder).findings
    assert sorted(decoded) == ["0.png", "1.png", "2.png", "4.png", "5.png"]
    assert "3.png has 100.0 megapixels; shrink it" in findings.errors["photo too large"][0]
    decoded.clear()
    check_data(folder, quick=True)
    assert decoded == []


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("unturned", [False, True])
@pytest.mark.parametrize("quick", [False, True])
def test_photos_with_an_exif_turn(tmp_path, orientation, unturned, quick):
    """The file holds 100x120 pixels; upright, after a quarter turn, it is 120x100."""
    quarter = orientation >= 5
    stated = (120, 100) if quarter and not unturned else (100, 120)
    folder = data_set(tmp_path, image(3, width=stated[0], height=stated[1]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    (folder / "images" / "3.png").write_bytes(jpeg(POINTS, exif=exif))
    errors = check_data(folder, quick=quick).findings.errors
    if quarter and unturned:
        assert found(errors) == {"annotated before its turn": 1}
        assert errors["annotated before its turn"][0].endswith(
            "3.png: has 120x100 pixels: its EXIF orientation is applied here, the annotations seem to be "
            "made on the unturned photo. Received: 100x120"
        )
    else:
        assert errors == {}


WARNINGS = {
    "a box beyond the photo": (person(1, bbox=[10, 10, 300, 100]), "box beyond its photo", "annotation 1001"),
    "a box without area": (person(1, bbox=[50, 50, 0, 0]), "box without area", "annotation 1001"),
    "another count": (person(1, num_keypoints=3), "wrong num_keypoints", "annotation 1001"),
    "a joint off the photo": (
        keypoints(1, 6, 60, 150, 2),
        "joint off its photo",
        "right_ankle, by up to 31 pixels",
    ),
    "a joint off the box": (
        person(1, bbox=[30, 60, 40, 40]),
        "visible joint far off its box",
        "1.png: nose and ",
    ),
    "the same person": (copied("annotations", 1, id=7), "duplicate person", "person 7 of "),
    "the same photo": (
        lambda content: (
            content["images"].append(content["images"][1] | {"id": 7}),
            content["annotations"].append(content["annotations"][1] | {"id": 7, "image_id": 7}),
        ),
        "duplicate person",
        "has the keypoints of person 1001",
    ),
}


@pytest.mark.parametrize(("change", "kind", "message"), WARNINGS.values(), ids=WARNINGS)
def test_warnings(tmp_path, capsys, change, kind, message):
    folder = data_set(tmp_path, change)
    warnings = check_data(folder).findings.warnings
    assert found(warnings)[kind] == 1
    assert message in warnings[kind][0]
    assert run(folder) == 0
    assert f"\n  {kind}: 1\n" in capsys.readouterr().out


NO_WARNING = {
    "a hidden joint off the box": keypoints(1, 6, 99, 3, 1),
    "an unlabelled joint far away": keypoints(1, 6, 5000, -5000, 0),
    "a joint on the photo's edge": keypoints(1, 6, 60, 120, 2),
}


@pytest.mark.parametrize("change", NO_WARNING.values(), ids=NO_WARNING)
def test_what_is_no_warning(tmp_path, change):
    warnings = check_data(data_set(tmp_path, change)).findings.warnings
    assert found(warnings) in ({}, {"wrong num_keypoints": 1})


def test_another_format_than_training_reads(tmp_path):
    folder = data_set(tmp_path)
    Image.fromarray(synthetic_people.draw(POINTS)).save(folder / "images" / "3.png", "WEBP", lossless=True)
    for quick in (False, True):
        findings = check_data(folder, quick=quick).findings
        assert found(findings.errors) == {}
        assert found(findings.warnings) == {"neither JPEG nor PNG": 1}


def test_people_left_out(tmp_path, capsys):
    def change(content):
        for annotation in content["annotations"][:4]:
            annotation["iscrowd"] = 1

    assert run(data_set(tmp_path, change)) == 0
    out = capsys.readouterr().out
    assert "photos 2, people 2, joints labelled 14, left out 4\n" in out
    assert "\n  a crowd: 4 (1000, 1001, 1002, ...)\n" in out


def test_nobody_can_be_read(tmp_path, capsys):
    folder = data_set(tmp_path)
    (tmp_path / "empty").mkdir()
    assert run(folder, images=tmp_path / "empty") == 1
    out = capsys.readouterr().out
    assert "\n  missing photo: 6\n" in out
    assert "\n  nothing left: 1\n" in out
    assert out.endswith("\n7 errors, 0 warnings\n")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"images": [], "annotations": [], "categories": []}'])
def test_a_file_that_cannot_be_read_at_all(tmp_path, content):
    folder = data_set(tmp_path)
    (folder / "annotations.json").write_bytes(content)
    with pytest.raises(InputError, match="annotations.json: "):
        run(folder)


def test_only_left_out_people(tmp_path):
    folder = data_set(
        tmp_path, lambda content: content.update(annotations=[GOOD["annotations"][0] | {"iscrowd": 1}])
    )
    with pytest.raises(InputError, match="left out: a crowd: 1"):
        check_data(folder)


def many(facing=0.7, swapped=(), people=120, noisy=0.0):
    """People of whom the share `facing` faces the camera, without photos of their own."""
    content = synthetic_people.document(people=1)
    photo, first = content["images"][0], content["annotations"][0]
    content["annotations"] = []
    rng = np.random.default_rng(3)
    for i in range(people):
        points = np.reshape(first["keypoints"], (-1, 3)).copy()
        points[:, :2] += rng.uniform(-1, 1, (len(points), 2))
        turned = i >= facing * people
        for pair in synthetic_people.SKELETON.flip_pairs:
            if turned ^ (pair in swapped) ^ (rng.random() < noisy):
                points[list(pair)] = points[list(pair)[::-1]]
        content["annotations"].append(first | {"id": i, "keypoints": points.ravel().tolist()})
    return content | {"images": [photo]}


def shares(result):
    return {pair["left"]: (pair["facing"], pair["disagree"]) for pair in result.pairs}


def test_shares_of_left_and_right(tmp_path):
    content = many(facing=0.75)
    content["annotations"][0]["keypoints"][3 * 5 + 2] = 0  # no left ankle
    content["annotations"][1]["keypoints"][3 * 5 + 2] = 1
    content["annotations"][0]["num_keypoints"] = 6
    result = check_data(synthetic_people.write(tmp_path / "data", content))
    assert result.photos == 1
    assert result.people == 120
    assert result.joints["left_ankle"] == {"labelled": 119, "visible": 99.16}
    assert result.joints["nose"] == {"labelled": 120, "visible": 100.0}
    assert [pair["people"] for pair in result.pairs] == [120, 120, 119]
    assert shares(result) == {
        "left_shoulder": (75.0, 0.0),
        "left_hip": (75.0, 0.0),
        "left_ankle": (round(100 * 89 / 119, 2), 0.0),
    }
    assert found(result.findings.warnings) == {}


@pytest.mark.parametrize("facing", [0.95, 0.6, 0.5])
@pytest.mark.parametrize("joint", ["shoulder", "ankle"])
def test_a_swapped_pair_is_found(tmp_path, facing, joint):
    pair = (NAMES.index(f"left_{joint}"), NAMES.index(f"right_{joint}"))
    content = many(facing=facing, swapped=[pair], noisy=0.03)
    warnings = check_data(synthetic_people.write(tmp_path / "data", content)).findings.warnings
    assert found(warnings) == {"left and right swapped": 1}
    assert warnings["left and right swapped"][0].startswith(
        f"left and right of left_{joint} and right_{joint} may be swapped: "
    )


def test_few_people_prove_nothing(tmp_path):
    folder = synthetic_people.write(tmp_path / "data", many(swapped=[(1, 2)], people=49))
    assert found(check_data(folder).findings.warnings) == {}


def test_a_skeleton_that_names_the_right_side_first(tmp_path):
    """As LSP and MPII do: the sides come from the names."""
    content = many(facing=1.0)
    names = ["head", "r_shoulder", "l_shoulder", "RightHip", "LeftHip", "right_eye", "left_eye"]
    order = [0, 2, 1, 4, 3, 6, 5]
    content["categories"] = [{"id": 1, "name": "person", "keypoints": names}]
    for annotation in content["annotations"]:
        annotation["keypoints"] = np.reshape(annotation["keypoints"], (-1, 3))[order].ravel().tolist()
    result = check_data(synthetic_people.write(tmp_path / "data", content))
    assert shares(result) == dict.fromkeys(("l_shoulder", "LeftHip", "left_eye"), (100.0, 0.0))


def test_a_skeleton_without_pairs(tmp_path, capsys):
    names = [f"point {i}" for i in range(7)]
    folder = data_set(tmp_path, lambda content: content["categories"][0].update(keypoints=names))
    assert check_data(folder).pairs == []
    assert run(folder) == 0
    out = capsys.readouterr().out
    assert "facing" not in out
    assert "point 6         6   100.0 %" in out


def test_flip_pairs_that_the_names_do_not_show(tmp_path):
    """Which of such two is the left one is not known, so they neither count nor are suspected."""
    content = many(facing=0.9)
    names = ["head", "left_hand", "right_hand", "a", "b", "c", "d"]
    pairs = [[1, 2], [4, 3], [5, 6]]
    content["categories"] = [{"id": 1, "name": "person", "keypoints": names, "flip_pairs": pairs}]
    result = check_data(synthetic_people.write(tmp_path / "data", content))
    assert (result.errors, result.warnings) == (0, 0)
    assert [pair["left"] for pair in result.pairs] == ["left_hand"]
    content["categories"][0]["keypoints"] = list("abcdefg")
    result = check_data(synthetic_people.write(tmp_path / "nameless", content))
    assert (result.errors, result.warnings, result.pairs) == (0, 0, [])


def test_names_cannot_break_the_table(tmp_path):
    names = ["nose\n\x1b[31m", "\u202ex", "ü", *NAMES[3:]]

    def change(content):
        content["categories"][0]["keypoints"] = names
        content["images"][1]["file_name"] = "a\nb\r\x1b]0;.png"
        content["annotations"][2]["bbox"] = ["\n" * 500]

    lines = list(render(check_data(data_set(tmp_path, change))))
    assert all(line.isprintable() and len(line) < 400 for line in lines)
    assert any("a\\nb\\r\\x1b]0;.png" in line for line in lines)
    assert any(line.startswith("nose\\n\\x1b[31m ") for line in lines)
    assert any(line.startswith("ü ") for line in lines)


def test_json(tmp_path, capsys):
    folder = data_set(tmp_path, person(1, image_id=5))
    assert run(folder, json_to="-") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["data"] == str(folder / "annotations.json")
    assert document["counts"] == {"photos": 5, "people": 5, "joints_labelled": 35, "left_out": 0}
    (message,) = document["errors"]["unknown image_id"].pop("first")
    assert document["errors"] == {"unknown image_id": {"count": 1}}
    assert "annotation 1001" in message
    assert document["warnings"] == document["left_out"] == {}
    assert document["joints"]["nose"] == {"labelled": 5, "visible": 100.0}
    assert [pair["left"] for pair in document["pairs"]] == ["left_shoulder", "left_hip", "left_ankle"]
    assert run(folder, json_to=tmp_path / "result.json") == 1
    assert capsys.readouterr().out.endswith("\n1 errors, 0 warnings\n")
    assert json.loads((tmp_path / "result.json").read_text())["errors"].keys() == {"unknown image_id"}


@pytest.mark.parametrize(
    "name", ["data/annotations.json", "no folder/result.json", "data/joints.mat", "data/images/0.png"]
)
def test_a_json_that_cannot_be_written(tmp_path, name):
    folder = data_set(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="Received: "):
        run(folder, json_to=tmp_path / name)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_json_in_place_of_annotations_of_another_name(tmp_path):
    folder = data_set(tmp_path)
    others = (folder / "annotations.json").rename(folder / "people.json")
    before = others.read_bytes()
    with pytest.raises(InputError, match="would overwrite"):
        run(others, folder / "images", json_to=others)
    assert others.read_bytes() == before


def test_a_split_that_the_format_has_not(tmp_path):
    with pytest.raises(InputError, match="has no split"):
        run(data_set(tmp_path), split="train")
