"""`flpn_tf.data.prepare`: whatever happens on the way, the same bytes or one clear line."""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import numpy as np
import pytest
import synthetic_people
import tensorflow as tf
from helpers import REPOSITORY

from flpn_tf.data import prepare as module
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.manifest import is_prepared, open_prepared
from flpn_tf.data.photo_tf import decode_upright
from flpn_tf.data.prepare import make_plan, prepare
from flpn_tf.data.shards import parse_example
from flpn_tf.data.sources import read_people
from flpn_tf.data.stored_photo import StoredPhoto
from flpn_tf.errors import InputError

PEOPLE = 7


def data_set(folder, people=PEOPLE, copies=1, change=lambda document: None):
    document = synthetic_people.document(people, copies)
    change(document)
    synthetic_people.write(folder, synthetic_people.document(people, copies))
    (folder / "annotations.json").write_text(json.dumps(document))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return data_set(tmp_path_factory.mktemp("people") / "data")


def run(data, output, **options):
    return prepare(data, output, **{"shard_size": 3, "jobs": 1, **options})


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def manifest(people):
    return json.loads(people.source.read_text())


def records(people):
    """(photo name, ids, photo) of each record."""
    for path in people.paths:
        for record in tf.data.TFRecordDataset(path):
            feature = tf.train.Example.FromString(record.numpy()).features.feature
            name, photo = feature["photo/name"].bytes_list.value[0], feature["photo/encoded"].bytes_list.value
            yield name.decode(), list(feature["people/id"].int64_list.value), photo[0]


def stored_ids(people):
    return sorted(person for _, ids, _ in records(people) for person in ids)


def refusal(*arguments, **options):
    with pytest.raises(InputError) as caught:
        run(*arguments, **options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "out"
    run(data, folder)
    return contents(folder)


def test_what_is_written(data, tmp_path, capsys):
    people = run(data, tmp_path / "out")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["3/7 people", "5/7 people", "7/7 people"]
    files = contents(tmp_path / "out")
    names = [f"people-{number:05}-of-00003.tfrecord" for number in range(3)]
    assert sorted(files) == ["manifest.json", *names]
    stored = manifest(people)
    assert [shard["name"] for shard in stored["shards"]] == names
    for shard in stored["shards"]:
        assert shard["bytes"] == len(files[shard["name"]])
        assert shard["sha256"] == hashlib.sha256(files[shard["name"]]).hexdigest()
    assert [shard["people"] for shard in stored["shards"]] == [3, 2, 2]
    assert (stored["people"], stored["people_in_source"], stored["records"]) == (7, 7, 7)
    assert stored["source"] == "annotations.json"
    assert stored["source_sha256"] == hashlib.sha256((data / "annotations.json").read_bytes()).hexdigest()
    assert stored["skeleton"]["names"] == list(synthetic_people.NAMES)
    assert (stored["bad"], stored["left_out"], stored["kind"]) == ([], {}, "crops")
    assert stored["options"] == {
        "whole": False,
        "image_size": [256, 192],
        "padding": 1.25,
        "reach": dataclasses.asdict(Augmentation(half_body=1.0)),
        "detail": 2.0,
        "quality": 95,
        "shard_size": 3,
        "seed": 0,
    }
    assert stored_ids(people) == list(range(1000, 1007))
    assert (tmp_path / "out" / names[0]).stat().st_mode & 0o777 == 0o644


def test_the_result_does_not_depend_on_where_the_data_lie(data, uninterrupted, tmp_path):
    shutil.copytree(data / "images", tmp_path / "photos")
    run(data / "annotations.json", tmp_path / "a" / "b" / "out", images=tmp_path / "photos")
    assert contents(tmp_path / "a" / "b" / "out") == uninterrupted


def test_the_seed_is_of_the_order(data, tmp_path):
    people = [run(data, tmp_path / str(seed), seed=seed) for seed in range(3)]
    orders = [[ids[0] for _, ids, _ in records(one)] for one in people]
    assert [sorted(order) for order in orders] == [list(range(1000, 1007))] * 3
    assert len(set(map(tuple, orders))) == 3


@pytest.mark.parametrize(("shard_size", "sizes"), [(1, [1] * 7), (6, [4, 3]), (7, [7]), (10**9, [7])])
def test_shards_of_equal_size(data, tmp_path, shard_size, sizes):
    people = run(data, tmp_path / "out", shard_size=shard_size)
    assert [shard["people"] for shard in manifest(people)["shards"]] == sizes


def test_whole_photos_have_all_their_people(tmp_path):
    folder = data_set(tmp_path / "data", people=4, copies=3)
    people = run(folder, tmp_path / "out", options=StoredPhoto(whole=True))
    found = {name: ids for name, ids, _ in records(people)}
    assert found == {f"{i}.png": [1000 + 3 * i + k for k in range(3)] for i in range(4)}
    assert (len(people), people.records, people.kind, people.reach) == (12, 4, "photos", None)


def test_crowds_and_the_unlabelled_are_counted(tmp_path):
    def change(document):
        document["annotations"][0]["iscrowd"] = 1
        document["annotations"][1]["keypoints"] = [0] * 21

    people = run(data_set(tmp_path / "data", change=change), tmp_path / "out")
    assert manifest(people)["left_out"] == {"a crowd": 1, "no labelled keypoint": 1}
    assert (len(people), manifest(people)["bad"]) == (5, [])


# Interrupted ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def every_moment(folder, moments):
    """Keeps what a kill would leave in the folder, before every change of a file in it."""

    def watched(function):
        def call(*arguments, **options):
            state = contents(folder) if folder.exists() else None
            if state not in moments:
                moments.append(state)
            return function(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in (
            *((Path, name) for name in ("mkdir", "write_bytes", "chmod", "replace", "unlink")),
            (tempfile, "mkstemp"),
            (os, "fdopen"),
            (tf.io.TFRecordWriter, "write"),
            (tf.io.TFRecordWriter, "close"),
        ):
            patch.setattr(owner, name, watched(getattr(owner, name)))
        yield


def test_killed_at_any_moment_and_run_again_the_bytes_are_the_same(data, uninterrupted, tmp_path):
    output, moments = tmp_path / "out", []
    with every_moment(output, moments):
        run(data, output)
    assert contents(output) == uninterrupted
    assert len(moments) > 25
    names = [sorted(moment or ()) for moment in moments]
    assert any(len(left) == 1 and left[0].startswith(".flpn.") for left in names)
    assert any({"manifest.json", "preparing.json"} <= set(left) for left in names)
    assert any("manifest.json" in left and "people-00000-of-00003.json" not in left for left in names)
    for number, moment in enumerate(moments):
        left = tmp_path / f"left {number}"
        if moment is not None:
            left.mkdir()
            for name, content in moment.items():
                (left / name).write_bytes(content)
        run(data, left)
        assert contents(left) == uninterrupted


def test_what_is_written_is_not_written_again(data, tmp_path, monkeypatch):
    encoded = []
    monkeypatch.setattr(
        module, "encode_photo", recorded(encoded, module.encode_photo, fail_at=6, error=KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "out")
    left = contents(tmp_path / "out")
    assert sorted(left) == [
        *(f"people-0000{number}-of-00003.{end}" for number in (0, 1) for end in ("json", "tfrecord")),
        "preparing.json",
    ]
    assert not is_prepared(tmp_path / "out")
    encoded.clear()
    monkeypatch.setattr(module, "encode_photo", recorded(encoded, module.encode_photo.__wrapped__))
    run(data, tmp_path / "out")
    assert len(encoded) == 2


def recorded(calls, function, fail_at=None, error=None):
    def call(photo, *others):
        calls.append(photo)
        if len(calls) == fail_at:
            raise error
        return function(photo, *others)

    call.__wrapped__ = function
    return call


@pytest.mark.parametrize("spoil", ["cut", "missing", "report"])
def test_a_shard_that_was_lost_meanwhile_is_made_again(data, uninterrupted, tmp_path, monkeypatch, spoil):
    """As after a power failure, or by hand."""
    monkeypatch.setattr(module, "finish", lambda *_: None)
    monkeypatch.setattr(module, "open_prepared", lambda *_: None)
    run(data, tmp_path / "out")
    monkeypatch.undo()
    shard = tmp_path / "out" / "people-00001-of-00003.tfrecord"
    if spoil == "report":
        shard.with_suffix(".json").write_bytes(b"")
    else:
        content = shard.read_bytes()
        shard.unlink()
        if spoil == "cut":
            shard.write_bytes(content[:-1])
    run(data, tmp_path / "out")
    assert contents(tmp_path / "out") == uninterrupted


def test_a_finished_folder_is_left_alone(data, uninterrupted, tmp_path, capsys, monkeypatch):
    run(data, tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    capsys.readouterr()
    monkeypatch.setattr(module, "encode_photo", None)
    assert run(data, tmp_path / "out") == open_prepared(tmp_path / "out")
    assert capsys.readouterr().err == f"{tmp_path / 'out'}: is already prepared\n"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == times


def command(*arguments):
    return [
        sys.executable,
        "-c",
        "from flpn_tf.cli import main; main()",
        *("data", "prepare", *map(str, arguments)),
    ]


def started(*arguments, folder):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)  # the command itself has to keep TensorFlow quiet
    return subprocess.Popen(
        command(*arguments),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell's background job, as this suite may be, hands on that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(process, folder, pattern):
    while process.poll() is None and not any(folder.glob(pattern)):
        time.sleep(0.005)
    assert process.poll() is None, process.communicate()


@pytest.mark.slow
def test_processes_interrupted_and_killed(tmp_path):
    """Ctrl-C while the workers start, a kill while they write, then to the end."""
    folder = data_set(tmp_path / "data", people=4, copies=100)
    prepare(folder, tmp_path / "expected", shard_size=40, jobs=1)
    output = tmp_path / "out"
    arguments = (folder, output, "--shard-size", 40, "--jobs", 2)

    process = started(*arguments, folder=tmp_path)
    wait_for(process, output, "preparing.json")
    time.sleep(0.7)
    os.killpg(process.pid, signal.SIGINT)
    said, complained = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")
    complaints = [line for line in complained.splitlines() if not line.endswith("/400 people")]
    assert complaints in ([], ["flpn: interrupted"])

    process = started(*arguments, folder=tmp_path)
    wait_for(process, output, "people-*.json")
    process.kill()
    # The pipes close when the last worker has ended.
    process.communicate(timeout=30)
    left = contents(output)
    assert "manifest.json" not in left

    process = started(*arguments, folder=tmp_path)
    said, complained = process.communicate(timeout=200)
    assert process.returncode == 0, complained
    assert said == f"400 people in 10 files, {open_prepared(output).bytes / 1e6:.1f} MB: {output}\n"
    assert all(line.endswith("/400 people") for line in complained.splitlines())
    done = sum(name.endswith(".json") and name != "preparing.json" for name in left)
    assert 10 - done <= len(complained.splitlines()) <= 10
    assert contents(output) == contents(tmp_path / "expected")


def test_a_worker_ended_from_outside(data, tmp_path, monkeypatch):
    class Broken:
        def __init__(self, *_, **__):
            pass

        def submit(self, *_):
            raise BrokenProcessPool("terminated abruptly")

        def shutdown(self, **_):
            pass

    monkeypatch.setattr(module, "ProcessPoolExecutor", Broken)
    message = refusal(data, tmp_path / "out", jobs=2)
    assert "run it again, it goes on from here, or with fewer --jobs" in message
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


# Refused --------------------------------------------------------------------------------------------


OTHERS = {
    "seed": {"seed": 1},
    "shard size": {"shard_size": 4},
    "whole": {"options": StoredPhoto(whole=True)},
    "image size": {"options": StoredPhoto(image_size=(128, 96))},
    "reach": {"options": StoredPhoto(reach=Augmentation(rotation=30, half_body=1.0))},
    "detail": {"options": StoredPhoto(detail=1.25)},
    "quality": {"options": StoredPhoto(quality=90)},
    "padding": {"options": StoredPhoto(padding=1.5)},
}


@pytest.mark.parametrize("finished", [True, False], ids=["finished", "begun"])
@pytest.mark.parametrize("options", OTHERS.values(), ids=OTHERS)
def test_a_folder_of_other_options(data, uninterrupted, tmp_path, finished, options):
    output = left_behind(data, uninterrupted, tmp_path, finished)
    before = contents(output)
    assert "holds other data, or was prepared with other options" in refusal(data, output, **options)
    assert contents(output) == before


def left_behind(data, uninterrupted, tmp_path, finished):
    output = tmp_path / "out"
    output.mkdir()
    if finished:
        for name, content in uninterrupted.items():
            (output / name).write_bytes(content)
    else:
        plan = make_plan(read_people(data), StoredPhoto(), 3, 0)
        (output / "preparing.json").write_text(json.dumps(plan.identity))
    return output


@pytest.mark.parametrize("finished", [True, False], ids=["finished", "begun"])
def test_a_folder_of_other_data(data, uninterrupted, tmp_path, finished):
    def change(document):
        document["annotations"][0]["keypoints"][0] += 1

    other = data_set(tmp_path / "other", change=change)
    output = left_behind(data, uninterrupted, tmp_path, finished)
    assert "holds other data" in refusal(other, output)


def test_a_split_of_the_same_file_is_other_data(data):
    """As the halves of LSP: one file, as many people."""
    people = read_people(data)
    halves = [dataclasses.replace(people, records=people.records[i::2][:3]) for i in (0, 1)]
    plans = [make_plan(half, StoredPhoto(), 3, 0).identity for half in halves]
    assert plans[0] != plans[1]
    assert plans[0]["source_sha256"] == plans[1]["source_sha256"]


FOREIGN = {
    "a file": lambda out: (out.mkdir(), (out / "holiday.jpg").write_bytes(b"")),
    "a hidden file": lambda out: (out.mkdir(), (out / ".gitignore").write_bytes(b"")),
    "a folder": lambda out: (out / "inner").mkdir(parents=True),
    "shards": lambda out: (out.mkdir(), (out / "people-00000-of-00003.tfrecord").write_bytes(b"")),
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_a_folder_of_other_things(data, tmp_path, make):
    make(tmp_path / "out")
    before = sorted((tmp_path / "out").iterdir())
    assert refusal(data, tmp_path / "out") == f"{tmp_path / 'out'}: is not empty; choose a new folder"
    assert sorted((tmp_path / "out").iterdir()) == before


def test_an_empty_folder_will_do(data, uninterrupted, tmp_path):
    (tmp_path / "out").mkdir()
    run(data, tmp_path / "out")
    assert contents(tmp_path / "out") == uninterrupted


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b'{"people": 7}'])
def test_a_damaged_note_of_what_is_under_way(data, tmp_path, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "preparing.json").write_bytes(content)
    assert "holds other data" in refusal(data, tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b'{"name": "app"}'])
def test_another_manifest(data, tmp_path, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_bytes(content)
    assert str(tmp_path / "out" / "manifest.json") in refusal(data, tmp_path / "out")


def test_a_finished_folder_that_has_lost_a_shard(data, tmp_path, capsys):
    people = run(data, tmp_path / "out")
    Path(people.paths[1]).unlink()
    capsys.readouterr()
    message = refusal(data, tmp_path / "out")
    assert message.startswith(f"{people.paths[1]}: cannot be read")
    assert message.endswith("prepare the data again, into a new folder")
    assert capsys.readouterr().err == ""


def test_two_processes_do_not_prepare_into_one_folder(data, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    held = os.open(output, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "another process writes into it" in refusal(data, output)
        assert list(output.iterdir()) == []
    finally:
        os.close(held)
    run(data, output)


def test_outputs_that_cannot_be_written(data, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refusal(data, tmp_path / "file")
    assert "cannot be written" in refusal(data, tmp_path / "file" / "out")
    if os.geteuid():
        (tmp_path / "locked").mkdir(mode=0o500)
        assert "cannot be written" in refusal(data, tmp_path / "locked")
        assert "cannot be written" in refusal(data, tmp_path / "locked" / "out")


def test_no_space_left(tmp_path):
    """A limit on the length of files stands for it; run again without it, the work goes on."""
    folder = data_set(tmp_path / "data", people=2, copies=40)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        message = refusal(folder, tmp_path / "out", shard_size=80)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert message.startswith(f"{tmp_path / 'out'}: cannot be written (")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["preparing.json"]
    assert len(run(folder, tmp_path / "out", shard_size=80)) == 80


@pytest.mark.parametrize("options", [{"shard_size": 0}, {"jobs": 0}, {"jobs": -1}, {"seed": -1}])
def test_numbers_out_of_range(data, tmp_path, options):
    assert "Received: " in refusal(data, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_data_that_are_none(data, tmp_path):
    run(data, tmp_path / "out")
    for source in (tmp_path / "nothing", tmp_path / "out", data / "images"):
        assert str(source) in refusal(source, tmp_path / "new")
    (tmp_path / "annotations.json").write_text('{"images": []}')
    message = refusal(tmp_path / "annotations.json", tmp_path / "new", images=data / "images")
    assert "is not a COCO json, the lists annotations, categories are missing" in message
    assert not (tmp_path / "new").exists()


# Bad entries ----------------------------------------------------------------------------------------


def photo(index, content):
    """Spoils the photo of a person."""

    def spoil(folder, document):
        path = folder / "images" / f"{index}.png"
        path.write_bytes(content(path.read_bytes()))

    return spoil


def image(index, **values):
    return lambda folder, document: document["images"][index].update(values)


def annotation(index, **values):
    return lambda folder, document: document["annotations"][index].update(values)


def jpeg(png):
    return cv2.imencode(".jpg", cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR))[1].tobytes()


def gone(folder, document):
    (folder / "images" / "3.png").unlink()


def outside(folder, document):
    (folder / "images" / "3.png").rename(folder / "3.png")
    document["images"][3]["file_name"] = "../3.png"


BAD = {  # how, kind, what the message names
    "a photo that is missing": (gone, "missing photo", ["3.png", "person 1003"]),
    "a png cut short": (photo(3, lambda c: c[:-300]), "bad photo", ["3.png", "person 1003"]),
    "a jpeg cut short": (photo(3, lambda c: jpeg(c)[:-300]), "bad photo", ["3.png", "person 1003"]),
    "no photo": (photo(3, lambda c: b"hello"), "bad photo", ["3.png", "person 1003"]),
    "an empty file": (photo(3, lambda c: b""), "bad photo", ["3.png", "person 1003", "empty"]),
    "100 megapixels": (
        photo(3, lambda c: c[:16] + (10_000).to_bytes(4) * 2 + c[24:]),
        "bad photo",
        ["3.png", "person 1003", "100.0 megapixels"],
    ),
    "another size": (image(3, width=101), "size differs", ["3.png", "person 1003", "101x120"]),
    "a name that leaves the folder": (outside, "bad file name", ["image 103", "'../3.png'"]),
    "a name deep in and out": (image(3, file_name="a/../../x.png"), "bad file name", ["image 103"]),
    "an absolute name": (image(3, file_name="/etc/hostname"), "bad file name", ["image 103"]),
    "a number for a name": (image(3, file_name=3), "bad file name", ["image 103"]),
    "a name with a zero": (image(3, file_name="3.png\0"), "bad file name", ["image 103"]),
    "a name too long": (image(3, file_name="x" * 5000), "missing photo", ["xxx", "person 1003"]),
    "a name of several lines": (image(3, file_name="a\n\x1b[31m\r\u2028b"), "missing photo", ["person 1003"]),
    "a name that is no text": (image(3, file_name="\ud800.png"), "missing photo", ["person 1003"]),
    "no such image": (annotation(3, image_id=999), "unknown image_id", ["annotation 1003", "999"]),
    "an annotation's id twice": (annotation(3, id=1002), "duplicate id", ["annotation", "1002 twice"]),
    "an image's id twice": (image(3, id=102), "duplicate id", ["image", "102 twice"]),
    "an id that is no number": (annotation(3, id="x"), "bad id", ["annotation number 3", "'x'"]),
    "an id beyond 64 bits": (annotation(3, id=2**63), "bad id", ["annotation number 3", str(2**63)]),
    "an image's id beyond 64 bits": (
        image(3, id=-(2**63) - 1),
        "bad id",
        ["image number 3", str(-(2**63) - 1)],
    ),
    "keypoints without end": (annotation(3, keypoints=[1] * 20), "bad keypoints", ["annotation 1003"]),
    "a box of text": (annotation(3, bbox=["0", 0, 1, 1]), "bad box", ["annotation 1003"]),
}


def spoilt(folder, *spoils, copies=1):
    document = synthetic_people.document(PEOPLE, copies)
    synthetic_people.write(folder, document)
    for spoil in spoils:
        spoil(folder, document)
    (folder / "annotations.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize(("spoil", "kind", "named"), BAD.values(), ids=BAD)
def test_bad_entries_are_named_or_left_out_and_listed(tmp_path, spoil, kind, named):
    folder = spoilt(tmp_path / "data", spoil)
    with pytest.raises(InputError) as caught:
        run(folder, tmp_path / "out")
    message = " ".join(str(caught.value).split())  # as the command prints it
    for part in named:
        assert part in message
    assert len(message) < 600
    assert not is_prepared(tmp_path / "out")

    people = run(folder, tmp_path / "skipped", skip_bad=True)
    stored = manifest(people)
    assert len(people) == stored["people"] == PEOPLE - 1
    assert 1003 not in stored_ids(people)
    assert len(stored_ids(people)) == PEOPLE - 1
    assert stored["bad"][0]["kind"] == kind
    for part in named:
        assert part in stored["bad"][0]["message"]
    # An image that is left out takes its person along; each is listed.
    assert len(stored["bad"]) == 1 + (stored["bad"][-1]["kind"] == "unknown image_id" != kind)


def test_nothing_outside_the_folder_of_the_photos_is_read(tmp_path, monkeypatch):
    folder = spoilt(tmp_path / "data", outside, image(4, file_name=str(tmp_path / "data" / "3.png")))
    read = []
    monkeypatch.setattr(module, "encode_photo", recorded(read, module.encode_photo))
    opened = []
    monkeypatch.setattr(Path, "read_bytes", watched_read(opened, Path.read_bytes))
    people = run(folder, tmp_path / "out", skip_bad=True)
    assert len(people) == PEOPLE - 2
    assert all("3.png" not in str(path) for path in opened)
    assert {path.parent for path in opened if path.suffix == ".png"} == {folder / "images"}


def watched_read(opened, function):
    def call(path):
        opened.append(path)
        return function(path)

    return call


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    folder = data_set(tmp_path / "data")
    (folder / "images" / "3.png").rename(tmp_path / "secret.png")
    (folder / "images" / "3.png").symlink_to(tmp_path / "secret.png")
    assert "3.png" in refusal(folder, tmp_path / "out")


def test_all_that_is_bad_at_once(tmp_path):
    """Each person of another photo, spoilt in another way; the rest is kept."""
    folder = spoilt(
        tmp_path / "data",
        lambda folder, document: (folder / "images" / "0.png").unlink(),
        photo(1, lambda c: c[:-300]),
        image(2, height=1),
        image(3, file_name="../2.png"),
        annotation(4, image_id=-1),
    )
    people = run(folder, tmp_path / "out", skip_bad=True)
    assert stored_ids(people) == [1005, 1006]
    stored = manifest(people)
    assert sorted(entry["kind"] for entry in stored["bad"]) == [
        "bad file name",
        "bad photo",
        "missing photo",
        "unknown image_id",  # of image 3's person
        "unknown image_id",
    ]
    assert stored["left_out"] == {"a box outside its photo": 1}  # in a photo of one row
    # Nobody is lost without a word.
    assert len(people) + len(stored["bad"]) - 1 + sum(stored["left_out"].values()) == PEOPLE


def test_a_bad_photo_of_several_people(tmp_path):
    folder = spoilt(tmp_path / "data", photo(3, lambda c: b""), copies=2)
    people = run(folder, tmp_path / "crops", skip_bad=True)
    assert [entry["message"][-13:] for entry in sorted_bad(people)] == ["(person 1006)", "(person 1007)"]
    people = run(folder, tmp_path / "photos", skip_bad=True, options=StoredPhoto(whole=True))
    assert [entry["message"][-19:] for entry in sorted_bad(people)] == ["(person 1006, 1007)"]
    assert (len(people), people.records) == (2 * PEOPLE - 2, PEOPLE - 1)


def sorted_bad(people):
    return sorted(manifest(people)["bad"], key=lambda entry: entry["message"])


def test_bad_photos_refused_at_first_can_be_skipped_afterwards(tmp_path):
    folder = spoilt(tmp_path / "data", photo(3, lambda c: b""))
    assert "--skip-bad leaves such photos out" in refusal(folder, tmp_path / "out")
    assert len(run(folder, tmp_path / "out", skip_bad=True)) == PEOPLE - 1


@pytest.mark.parametrize("whole", [False, True], ids=["crops", "photos"])
def test_nothing_usable(tmp_path, whole):
    options = {"skip_bad": True, "options": StoredPhoto(whole=whole)}
    folder = spoilt(tmp_path / "cut", *(photo(i, lambda c: c[:50]) for i in range(PEOPLE)))
    for _ in range(2):  # run again, it says the same
        message = refusal(folder, tmp_path / "out", **options)
        assert "no usable photo is left, first" in message
        assert ".png" in message
    shutil.rmtree(folder / "images")
    (folder / "images").mkdir()
    message = refusal(folder, tmp_path / "new", **options)
    assert "7 were bad, first person 1000: there is no photo" in message


def test_a_photo_that_tensorflow_cannot_decode_is_encoded_anew(data, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_tensorflow_decodes", lambda encoded: False)
    people = run(data, tmp_path / "out")
    for name, _, encoded in records(people):
        assert encoded.startswith(b"\xff\xd8\xff")
        original = cv2.imread(str(data / "images" / name))[..., ::-1]
        assert np.abs(decode_upright(encoded).numpy().astype(int) - original).mean() < 3
    monkeypatch.undo()
    assert not module._tensorflow_decodes(b"GIF89a no such thing")


@pytest.mark.parametrize("suffix", ["bmp", "webp", "tiff", "jpg"])
@pytest.mark.parametrize("whole", [False, True], ids=["crops", "photos"])
def test_photos_of_any_format_can_be_trained_on(tmp_path, suffix, whole):
    """Their joints lie on the joints' colours."""

    def convert(folder, document):
        for entry in document["images"]:
            path = folder / "images" / entry["file_name"]
            entry["file_name"] = f"{path.stem}.{suffix}"
            large = cv2.resize(cv2.imread(str(path)), None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(path.with_suffix(f".{suffix}")), large)
            path.unlink()
            entry["width"], entry["height"] = 8 * entry["width"], 8 * entry["height"]
        for entry in document["annotations"]:
            points = np.reshape(entry["keypoints"], (-1, 3))
            points[:, :2] = 8 * points[:, :2] + 3.5
            entry |= {"keypoints": points.ravel().tolist(), "bbox": [8 * v for v in entry["bbox"]]}

    folder = spoilt(tmp_path / "data", convert)
    options = StoredPhoto(whole=whole, image_size=(96, 72))
    people = run(folder, tmp_path / "out", options=options)
    for path in people.paths:
        for record in tf.data.TFRecordDataset(path):
            _, photos, boxes, keypoints = parse_example(record, 7)
            pixels = decode_upright(photos[0]).numpy().astype(int)
            assert (max(pixels.shape) < 400) == (not whole)
            x, y = np.rint(keypoints[0, :, :2].numpy()).astype(int).T
            np.testing.assert_allclose(pixels[y, x], synthetic_people.COLOURS, atol=40)
            assert (boxes[0, 2:].numpy() > 20).all()


def test_a_bar_where_somebody_watches(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    run(data, tmp_path / "out")
    said = capsys.readouterr()
    assert said.out == ""
    assert "people" in said.err
