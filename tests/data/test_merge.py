"""`flpn data merge`: several data sets as one json, which reads back as they do."""

import json
import shutil
from functools import partial

import cv2
import numpy as np
import pytest
import scipy.io
import synthetic_people
from helpers import run_python
from real_data import real_data

from flpn_tf.data.check import check_data
from flpn_tf.data.entries import raw_entries
from flpn_tf.data.merge import merge
from flpn_tf.data.merge_command import parse_source, run
from flpn_tf.data.sources import open_people, read_people
from flpn_tf.errors import InputError
from flpn_tf.skeleton import COCO_17, LSP_14, MPII_16

WIDTH, HEIGHT = synthetic_people.WIDTH, synthetic_people.HEIGHT


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory: data sets a, of 3 people, and b, of 4, one of them in each photo."""
    monkeypatch.chdir(tmp_path)
    for name, people, seed in (("a", 3, 0), ("b", 4, 1)):
        synthetic_people.write(tmp_path / name, synthetic_people.document(people=people, seed=seed))
    return tmp_path


@pytest.fixture
def flpn(flpn):
    """Runs `flpn data merge …`."""
    return partial(flpn, "merge")


def rewrite(data, change):
    """Changes the values of a data set's json."""
    document = json.loads((data / "annotations.json").read_text())
    change(document)
    (data / "annotations.json").write_text(json.dumps(document))


def write_photos(folder, names, width=WIDTH, height=HEIGHT):
    (folder / "images").mkdir(parents=True)
    for name in names:
        assert cv2.imwrite(str(folder / "images" / name), np.zeros((height, width, 3), np.uint8))


def write_lsp(folder, joints):
    """LSP-extended of (N, 14, 3) joints x, y, labelled; x and y from 1."""
    write_photos(folder, [f"im{place:05d}.jpg" for place in range(1, len(joints) + 1)])
    scipy.io.savemat(folder / "joints.mat", {"joints": np.transpose(joints, (1, 2, 0))})
    return folder


def write_mpii(folder, centre=(50, 57), scale=0.25):
    """The json of one person; the box: a square of side 200 · scale, 15 · scale below the centre."""
    write_photos(folder, ["1.jpg"])
    joints = (np.arange(32).reshape(16, 2) + 31.5).tolist()
    person = {"image": "1.jpg", "joints": joints, "joints_vis": [1] * 16, "center": centre, "scale": scale}
    (folder / "annot").mkdir()
    (folder / "annot" / "train.json").write_text(json.dumps([person]))
    return folder


def assert_same_people(records, expected):
    """All but ids, head boxes and joints that one side alone has."""
    assert len(records) == len(expected)
    for record, other in zip(records, expected, strict=True):
        assert record.image.resolve() == other.image.resolve()
        np.testing.assert_allclose(record.box, other.box, rtol=0, atol=1e-4)
        assert record.area == pytest.approx(other.area, abs=1e-4)
        ours, theirs = zip(*record.skeleton.match(other.skeleton), strict=True)
        np.testing.assert_array_equal(record.keypoints[list(ours)], other.keypoints[list(theirs)])
        lacking = np.delete(record.keypoints, ours, axis=0)
        np.testing.assert_array_equal(lacking, np.zeros_like(lacking))
        assert record.image_size == (other.image_size or record.image_size)


def test_what_is_read_back_is_what_the_sources_have(folder, flpn):
    code, said, notes = flpn("out.json", "a", folder / "b" / "annotations.json")
    assert (code, notes) == (0, "")
    assert said == (
        f"7 people in 7 photos (3 of a, 4 of {folder}/b/annotations.json): "
        f"flpn train CONFIG --data out.json --images {folder.resolve()}\n"
    )
    people = open_people("out.json", folder)
    assert people.skeleton == synthetic_people.SKELETON
    assert people.skeleton.name == "person_7"
    assert_same_people(people.records, read_people("a").records + read_people("b").records)
    assert [record.person_id for record in people.records] == list(range(1, 8))
    result = check_data("out.json", folder)
    assert (result.findings.errors, result.findings.warnings) == ({}, {})


def test_n_copies_are_n_records_each(folder, flpn):
    code, said, _ = flpn("out.json", "a*1", "b*3")
    assert code == 0
    assert said.startswith("15 people in 7 photos (3 of a, 4 of b 3 times): ")
    people = read_people("out.json", folder)
    a, b = (read_people(data).records for data in ("a", "b"))
    assert_same_people(people.records, a + 3 * b)
    assert len({record.person_id for record in people.records}) == 15
    assert len({record.image_id for record in people.records}) == 7
    assert raw_entries(people).box.shape == (15, 4)
    result = check_data("out.json", folder)
    assert result.findings.errors == {}
    assert {kind: len(found) for kind, found in result.findings.warnings.items()} == {"duplicate person": 8}


def test_the_same_bytes_every_time(folder):
    written = set()
    for name in ("1.json", "2.json", "1.json"):
        run(name, ["a", "b*2"])
        written.add((folder / name).read_bytes())
    assert len(written) == 1


def test_a_merged_set_merges_to_itself(folder):
    run("once.json", ["a", "b*2"])
    (folder / "images").symlink_to(folder)
    run("twice.json", ["once.json"])
    once, twice = (json.loads((folder / name).read_text()) for name in ("once.json", "twice.json"))
    assert twice["images"] == once["images"]
    assert twice["categories"] == once["categories"]
    assert_same_people(read_people("twice.json", folder).records, read_people("once.json", folder).records)


BOXES = {
    "inside": [10.3, 20.7, 30.1, 40.9],
    "all of the photo": [0, 0, WIDTH, HEIGHT],
    "beyond it": [-5.25, -7, WIDTH + 20, HEIGHT + 30],
    "beyond a corner": [WIDTH - 10.6, HEIGHT - 4.2, 50, 50],
    "its last pixel": [WIDTH - 1, HEIGHT - 1, 1, 1],
    "half a pixel from the last": [WIDTH - 1.5, HEIGHT - 1.5, 5, 5],
    "thin": [30, 30, 0.5, 60],
    "empty": [30, 30, 0, 0],
    "below nothing": [30, 30, -4, -4],
}


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_every_box_of_a_coco_json_is_kept(folder, box):
    def change(document):
        document["annotations"][0]["bbox"] = box

    rewrite(folder / "a", change)
    run("out.json", ["a"])
    assert_same_people(read_people("out.json", folder / "a" / "images").records, read_people("a").records)


def test_numbers_are_not_rounded(folder):
    keypoints = [[1 / 3, 2e-7, 2], [97.123456789, 0.1, 1], [-0.7, 12.3, 0], *[[5, 6, 2]] * 4]

    def change(document):
        document["annotations"][0] |= {"keypoints": sum(keypoints, []), "area": 1234.56789012345}

    rewrite(folder / "a", change)
    run("out.json", ["a"])
    record = read_people("out.json", folder / "a" / "images").records[0]
    np.testing.assert_array_equal(record.keypoints, np.float32(keypoints))
    assert record.area == 1234.56789012345
    entry = json.loads((folder / "out.json").read_text())["annotations"][0]
    assert (entry["num_keypoints"], entry["iscrowd"]) == (6, 0)


def test_what_does_not_count_is_left_out(folder, flpn):
    def change(document):
        crowd, unlabelled, *_ = document["annotations"]
        crowd["iscrowd"] = 1
        unlabelled["keypoints"] = [0] * 21

    rewrite(folder / "b", change)
    code, said, _ = flpn("out.json", "a", "b")
    assert code == 0
    assert said.startswith("5 people in 5 photos (3 of a, 2 of b): ")
    assert read_people("out.json", folder).findings.left_out == {}


def test_joints_meet_by_name(folder, flpn):
    names = ["left_ankle", "nose", "left_shoulder", "right_shoulder", "left_hip", "tail", "right_hip"]

    def change(document):
        document["categories"] = [{"id": 1, "name": "cat", "keypoints": names}]

    rewrite(folder / "b", change)
    code, _, notes = flpn("out.json", "a", "b")
    assert code == 0
    assert notes == "flpn: b: joints that the first source has not are left out: tail\n"
    people = read_people("out.json", folder)
    assert people.skeleton == synthetic_people.SKELETON
    assert_same_people(people.records, read_people("a").records + read_people("b").records)
    assert people.records[-1].keypoints[6].tolist() == [0, 0, 0]  # right_ankle, which b has not


def test_people_without_one_of_the_joints(folder, flpn):
    def change(document):
        document["categories"][0]["keypoints"][0] = "tail"
        document["annotations"][1]["keypoints"][3:] = [0] * 18
        document["annotations"][1]["num_keypoints"] = 1

    rewrite(folder / "b", change)
    code, said, notes = flpn("out.json", "a", "b")
    assert code == 0
    assert said.startswith("6 people in 6 photos (3 of a, 3 of b): ")
    assert notes.splitlines()[1:] == ["flpn: b: people left out, all their labelled joints being such: 1"]


def test_pairs_and_sigmas_of_a_category_are_kept(folder):
    own = {"flip_pairs": [[1, 2]], "sigmas": [0.01 * i for i in range(1, 8)]}
    rewrite(folder / "a", lambda document: document["categories"][0].update(own, name="frog"))
    run("out.json", ["a", "b"])
    skeleton = read_people("out.json", folder).skeleton
    assert skeleton == read_people("a").skeleton
    assert (skeleton.name, skeleton.flip_pairs) == ("frog_7", ((1, 2),))


def test_other_formats(folder, flpn):
    joints = np.random.default_rng(0).uniform(30, 70, (2, 14, 3))
    joints[..., 2] = 1
    lsp, mpii = write_lsp(folder / "lsp", joints), write_mpii(folder / "mpii")
    code, said, notes = flpn("out.json", "lsp", "mpii*2")
    assert code == 0
    assert said.startswith("4 people in 3 photos (2 of lsp, 1 of mpii 2 times): ")
    assert notes == (
        "flpn: mpii: joints that the first source has not are left out: pelvis, thorax, upper_neck\n"
    )
    people = read_people("out.json", folder)
    assert people.skeleton == LSP_14
    assert people.records[0].image_size == (WIDTH, HEIGHT)
    assert_same_people(people.records, read_people(lsp).records + 2 * read_people(mpii).records)
    run("out.json", ["mpii"])
    assert read_people("out.json", mpii / "images").skeleton == MPII_16


def test_boxes_beyond_the_photo_are_said_to_be_clipped(folder, flpn):
    mpii = write_mpii(folder / "mpii", centre=(50, 57), scale=1)
    code, _, notes = flpn("out.json", "mpii")
    assert (code, notes) == (
        0,
        "flpn: mpii: people whose box goes beyond their photo and is clipped to it: 1\n",
    )
    record = read_people("out.json", mpii / "images").records[0]
    assert record.box.tolist() == [0, 0, WIDTH - 1, HEIGHT - 1]
    assert record.area == 200**2


def test_boxes_outside_the_photo(folder, flpn):
    write_mpii(folder / "mpii", centre=(500, 57))
    code, said, line = flpn("out.json", "mpii")
    assert (code, said) == (2, "")
    assert line.endswith("Received: mpii: people left out, their box being outside their photo: 1\n")


def test_sizes_of_photos_are_those_of_the_upright_ones(folder):
    mpii = write_mpii(folder / "mpii")
    content = (mpii / "images" / "1.jpg").read_bytes()
    # An Exif segment that says 6, a quarter turn.
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (mpii / "images" / "1.jpg").write_bytes(content[:2] + segment + content[2:])
    run("out.json", ["mpii"])
    assert read_people("out.json", mpii / "images").records[0].image_size == (HEIGHT, WIDTH)


def test_sizes_of_photos_that_are_neither_jpeg_nor_png(folder):
    mpii = write_mpii(folder / "mpii")
    photo = mpii / "images" / "1.jpg"
    photo.write_bytes(cv2.imencode(".bmp", np.zeros((HEIGHT, WIDTH, 3), np.uint8))[1].tobytes())
    run("out.json", ["mpii"])
    assert read_people("out.json", mpii / "images").records[0].image_size == (WIDTH, HEIGHT)


def test_a_photo_of_two_sources_is_listed_once(folder):
    shutil.copy(folder / "a" / "annotations.json", folder / "a" / "more.json")
    (folder / "link").mkdir()
    (folder / "link" / "images").symlink_to(folder / "a" / "images")
    shutil.copy(folder / "a" / "annotations.json", folder / "link")
    run("out.json", ["a", "a/more.json", "link"])
    people = read_people("out.json", folder / "a" / "images")
    assert_same_people(people.records, 3 * read_people("a").records)
    assert len(people.coco.photos) == 3


def test_roots(folder, flpn):
    code, said, _ = flpn("one.json", "a")
    assert said.endswith(f" --images {folder.resolve()}/a/images\n")
    code, said, _ = flpn("two.json", "a", "b", "--root", "..")
    assert (code, said.split(" --images ")[1]) == (0, "..\n")
    names = [image["file_name"] for image in json.loads((folder / "two.json").read_text())["images"]]
    assert names[0] == f"{folder.name}/a/images/0.png"
    assert len(read_people("two.json", "..")) == 7


def test_names_that_need_quotes(folder, flpn):
    (folder / "a").rename(folder / "a *1\n")
    code, said, _ = flpn("o ut.json", "a *1\n*2")
    assert code == 0
    assert len(said.splitlines()) == 1
    assert " --data 'o ut.json' --images '" in said


def prepared(folder):
    (folder / "a" / "manifest.json").write_text("{}")


def other_skeleton(folder):
    names = [f"joint{i}" for i in range(4)] + list(synthetic_people.NAMES[:3])
    rewrite(folder / "b", lambda document: document["categories"][0].update(keypoints=names))


def other_size(folder):
    shutil.copy(folder / "a" / "annotations.json", folder / "a" / "more.json")
    rewrite(folder / "a", lambda document: document["images"][1].update(width=99))


def link_to_photo(folder):
    (folder / "out.json").symlink_to(folder / "b" / "images" / "3.png")


def no_photo(folder):
    (folder / "b" / "images" / "2.png").unlink()


def link_out(folder):
    """Within b/images, but not within the deepest folder of the photos that are merged."""
    photos = folder / "b" / "images"
    (photos / "deep").mkdir()
    (photos / "deep" / "0.png").symlink_to("../0.png")

    def change(document):
        document["images"][0]["file_name"] = "deep/0.png"
        del document["annotations"][1:]

    rewrite(folder / "b", change)


WRONG = {
    "0 times": (None, ["out.json", "a*0"], "a whole number from 1 to 999. Received: 'a*0'"),
    "x times": (None, ["out.json", "a*x"], "Received: 'a*x'"),
    "no times": (None, ["out.json", "a*"], "Received: 'a*'"),
    "-1 times": (None, ["out.json", "a*-1"], "Received: 'a*-1'"),
    "1.5 times": (None, ["out.json", "a*1.5"], "Received: 'a*1.5'"),
    "raised 2 times": (None, ["out.json", "a*²"], "Received: 'a*²'"),
    "1000 times": (None, ["out.json", "a*1000"], "Received: 'a*1000'"),
    "endless times": (None, ["out.json", "a*" + "9" * 5000], "A source is DATA or DATA*N"),
    "nothing, 2 times": (None, ["out.json", "*2"], "Received: '*2'"),
    "an empty name": (None, ["out.json", ""], "Received: ''"),
    "twice times": (None, ["out.json", "a*2*2"], "a*2: a data set is a folder"),
    "unknown": (None, ["out.json", "a", "c"], "c: a data set is a folder with annotations.json"),
    "a URL": (
        None,
        ["out.json", "a", "gs://bucket/b"],
        "must be files, not a URL. Received: 'gs://bucket/b'",
    ),
    "a root URL": (
        None,
        ["out.json", "a", "--root", "gs://bucket"],
        "0.png: the photo lies outside of the root",
    ),
    "prepared": (prepared, ["out.json", "b", "a"], "a: is prepared for training only"),
    "other joints": (other_skeleton, ["out.json", "a", "b"], "error: b: Skeletons 'person_7' and 'person_7'"),
    "another size": (
        other_size,
        ["out.json", "a", "a/more.json"],
        "1.png has another size in a source before it, 99x120",
    ),
    "outside the root": (
        None,
        ["out.json", "a", "b", "--root", "a"],
        "b/images/0.png: the photo lies outside",
    ),
    "a link out of the root": (link_out, ["out.json", "b"], "is a link out of the image folder"),
    "a missing photo": (
        no_photo,
        ["out.json", "a", "b"],
        "1 of its 4 photos are missing, first b/images/2.png",
    ),
    "over a source": (None, ["b/annotations.json", "a", "b"], "would overwrite b/annotations.json"),
    "over a photo": (link_to_photo, ["out.json", "a", "b"], "b/images/3.png; give another name"),
    "into nothing": (None, ["none/out.json", "a"], "folder does not exist"),
    "over a folder": (lambda folder: (folder / "out.json").mkdir(), ["out.json", "a"], "is a folder"),
    "another ending": (None, ["out.txt", "a"], "must end in .json"),
    "standard output": (None, ["-", "a"], "must end in .json"),
}


def state(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("make", "words", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_merged(folder, flpn, make, words, message):
    if make is not None:
        make(folder)
    before = state(folder)
    code, said, complaint = flpn(*words)
    assert (code, said, len(complaint.splitlines())) == (2, "", 1)
    assert complaint.startswith("flpn: error: ")
    assert message in complaint
    assert state(folder) == before


def test_no_source(folder, flpn):
    code, said, complaint = flpn("out.json")
    assert (code, said) == (2, "")
    assert "Missing argument" in complaint
    with pytest.raises(InputError, match="at least one source"):
        merge([])
    assert not (folder / "out.json").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a", ("a", 1)), ("a*4", ("a", 4)), ("a/b.json*999", ("a/b.json", 999)), ("a*b*1", ("a*b", 1))],
)
def test_sources(text, expected):
    assert parse_source(text) == expected


def test_needs_no_tensorflow(folder):
    said = run_python(
        """
        import sys
        sys.modules["tensorflow"] = sys.modules["keras"] = None
        from flpn_tf.data.merge_command import run
        run("out.json", ["a", "b*2"])
        """,
        folder,
    )
    assert "11 people in 7 photos" in str(said)


def test_real_people(tmp_path):
    sources = [real_data("coco_val"), real_data("coco_train")]
    run(tmp_path / "out.json", [str(sources[0]), f"{sources[1]}*2"])
    val, train = map(read_people, sources)
    people = read_people(tmp_path / "out.json", sources[0].parent)
    assert people.skeleton == COCO_17
    assert people.findings.warnings == people.findings.left_out == {}
    assert_same_people(people.records, val.records + 2 * train.records)
