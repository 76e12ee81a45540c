"""The pipeline writes what the local preparation writes, byte for byte, wherever photos and shards are."""

import json
import sys
import tempfile

import numpy as np
import pytest
import scipy.io
import synthetic_people

from flpn_tf.cli import main
from flpn_tf.data.manifest import MANIFEST, PREPARING, open_prepared
from flpn_tf.data.prepare import prepare
from flpn_tf.data.sources import open_people, read_people
from flpn_tf.data.stored_photo import StoredPhoto
from flpn_tf.errors import InputError

pytest.importorskip("apache_beam", reason="needs the extra beam")

from apache_beam.io.filesystem import BeamIOError, FileMetadata
from apache_beam.io.localfilesystem import LocalFileSystem

from flpn_tf.data.prepare_beam import prepare_beam

# In this process; without the second option Beam looks on the internet for its newer direct runner.
HERE = "--runner=DirectRunner --allow_unsafe_triggers"
SIZES = {"shard_size": 3, "seed": 5}
SHARDS = 3  # of 7 people


class Bucket(LocalFileSystem):
    """Beam's file system "bucket://…", in a folder; like HDFS it replaces no file."""

    folder = None
    refused = ()  # names that cannot be opened

    @classmethod
    def scheme(cls):
        return "bucket"

    def path(self, url):
        return self.folder / url.removeprefix("bucket://")

    def has_dirs(self):
        return False

    def mkdirs(self, path):
        self.path(path).mkdir(parents=True)

    def exists(self, path):
        return self.path(path).exists()

    def _list(self, dir_or_prefix):
        for path in self.path(dir_or_prefix).rglob("*"):
            yield FileMetadata(f"bucket://{path.relative_to(self.folder)}", path.stat().st_size)

    def create(self, path, *_, **__):
        return self.path(path).open("xb")

    def open(self, path, *_, **__):
        if self.path(path).name in self.refused:
            raise ConnectionError("403 Forbidden")
        return self.path(path).open("rb")

    def rename(self, source_file_names, destination_file_names):
        for source, destination in zip(source_file_names, destination_file_names, strict=True):
            if self.exists(destination):
                raise BeamIOError("is a file", {destination: None})
            self.path(source).rename(self.path(destination))

    def delete(self, paths):
        for path in paths:
            self.path(path).unlink()


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory, monkeypatch):
    """Whatever happens, nothing is left among the system's temporary files."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert not list(folder.iterdir())


@pytest.fixture
def data(tmp_path):
    return synthetic_people.write(tmp_path / "data", synthetic_people.document(7))


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    monkeypatch.setattr(Bucket, "folder", tmp_path)
    return "bucket://"


def damage(data, name="4.png"):
    """Cuts a photo; gives what it was."""
    path = data / "images" / name
    content = path.read_bytes()
    path.write_bytes(content[:200])
    return content


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def in_pipeline(data, output, *arguments, **options):
    return prepare_beam(data, output, *arguments, beam_options=HERE, **SIZES | options)


def locally(data, output, *arguments, **options):
    prepare(data, output, *arguments, jobs=1, **SIZES | options)
    return contents(output)


@pytest.mark.parametrize("whole", [False, True], ids=["crops", "photos"])
def test_equals_the_local_preparation(data, tmp_path, whole):
    document = synthetic_people.document(7, copies=2)
    (data / "annotations.json").write_text(json.dumps(document))
    damage(data)
    expected = locally(data, tmp_path / "local", StoredPhoto(whole), skip_bad=True)
    manifest = in_pipeline(data, tmp_path / "beam", StoredPhoto(whole), skip_bad=True)
    assert contents(tmp_path / "beam") == expected
    assert manifest == json.loads(expected[MANIFEST])
    assert manifest["people"] == 12
    assert len(manifest["bad"]) == (1 if whole else 2)
    in_pipeline(data, tmp_path / "beam", StoredPhoto(whole), skip_bad=True)  # changes nothing
    assert contents(tmp_path / "beam") == expected


def test_a_bad_photo(data, tmp_path):
    damage(data)
    with pytest.raises(InputError) as expected:
        locally(data, tmp_path / "local")
    with pytest.raises(InputError) as found:
        in_pipeline(data, tmp_path / "beam")
    assert str(found.value) == str(expected.value)
    assert "4.png" in str(found.value)
    # The others are kept for the next call.
    assert len(list((tmp_path / "beam").glob("*.tfrecord"))) == SHARDS - 1


def test_bad_photos_everywhere(data, tmp_path):
    for number in range(7):
        damage(data, f"{number}.png")
    with pytest.raises(InputError, match=r"leaves such photos out \(2 more files have a bad photo\)$"):
        in_pipeline(data, tmp_path / "beam")
    with pytest.raises(InputError) as expected:
        locally(data, tmp_path / "local", skip_bad=True)
    with pytest.raises(InputError) as found:
        in_pipeline(data, tmp_path / "beam", skip_bad=True)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("go_on", [in_pipeline, locally], ids=["beam", "local"])
def test_goes_on(data, tmp_path, go_on):
    expected = locally(data, tmp_path / "local")
    photo, output = damage(data), tmp_path / "beam"
    with pytest.raises(InputError):
        in_pipeline(data, output)
    assert (output / PREPARING).exists()
    kept, cut = sorted(output.glob("*.tfrecord"))
    cut.write_bytes(cut.read_bytes()[:-1])
    before = kept.stat()
    (data / "images" / "4.png").write_bytes(photo)
    go_on(data, output)
    assert contents(output) == expected
    assert kept.stat().st_ino == before.st_ino


def test_goes_on_with_what_the_local_one_began(data, tmp_path):
    photo, output = damage(data), tmp_path / "out"
    with pytest.raises(InputError):
        locally(data, output)
    (data / "images" / "4.png").write_bytes(photo)
    in_pipeline(data, output)
    assert contents(output) == locally(data, tmp_path / "local")


def test_urls(data, tmp_path, bucket, monkeypatch):
    expected = locally(data, tmp_path / "local")
    arguments = {"data": data, "images": f"{bucket}data/images/", "output": f"{bucket}out/"}
    # Trouble of the file system is not the photo's, so nothing is left out.
    monkeypatch.setattr(Bucket, "refused", ("3.png",))
    with pytest.raises(InputError, match="bucket://out: the pipeline failed.*3.png: 403 Forbidden"):
        in_pipeline(**arguments, skip_bad=True)
    monkeypatch.setattr(Bucket, "refused", ())
    # As if stopped between a shard and its report.
    (tmp_path / "out" / "people-00001-of-00003.tfrecord").write_bytes(b"")
    in_pipeline(**arguments)
    assert contents(tmp_path / "out") == expected
    assert len(open_prepared(tmp_path / "out")) == 7


def test_photos_missing_at_a_url(data, tmp_path, bucket):
    (data / "images" / "4.png").unlink()
    images = f"{bucket}data/images"
    reason = f"Cannot read the image {images}/4.png: No such file or directory (person 1004)"
    with pytest.raises(InputError) as found:
        in_pipeline(data, tmp_path / "beam", images=images)
    assert str(found.value).startswith(reason)
    manifest = in_pipeline(data, tmp_path / "beam", images=images, skip_bad=True)
    assert manifest["bad"] == [{"kind": "bad photo", "message": reason}]
    document = synthetic_people.document(7)
    document["images"][2]["file_name"] = "../2.png"
    (data / "annotations.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="must stay inside the image folder"):
        in_pipeline(data, tmp_path / "beam", images=images)


def test_readers_keep_urls(tmp_path):
    mpii = {"image": "1.jpg", "joints": [[5, 5]] * 16, "joints_vis": [1] * 16, "center": [50, 50], "scale": 1}
    (tmp_path / "mpii.json").write_text(json.dumps([mpii]))
    scipy.io.savemat(tmp_path / "lsp.mat", {"joints": np.ones((3, 14, 1))})
    for name, photo in (("mpii.json", "1.jpg"), ("lsp.mat", "im0001.jpg")):
        people = read_people(tmp_path / name, "hdfs://photos/")
        assert [record.image for record in people.records] == [f"hdfs://photos/{photo}"]
    with pytest.raises(InputError, match="hdfs://photos: photos are trained on from a URL only after"):
        open_people(tmp_path / "mpii.json", "hdfs://photos")


def test_refuses_another_output(data, tmp_path, bucket):
    in_pipeline(data, f"{bucket}out")
    for other in ({"seed": 1}, {"shard_size": 4}):
        with pytest.raises(InputError, match="bucket://out: holds other data, or was prepared with other"):
            in_pipeline(data, f"{bucket}out", **other)
    (tmp_path / "out" / "people-00000-of-00003.tfrecord").unlink()
    with pytest.raises(InputError, match="bucket://out/people-00000-of-00003.tfrecord: is missing, cut"):
        in_pipeline(data, f"{bucket}out")
    with pytest.raises(InputError, match="bucket://data: is not empty"):
        in_pipeline(data, f"{bucket}data")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"file: cannot be read or written \(File exists\)"):
        in_pipeline(data, tmp_path / "file")


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["flpn", "data", "prepare", *map(str, arguments)])
    main()


def test_command(data, tmp_path, monkeypatch, capfd):
    command = [data, tmp_path / "out", "--shard-size", 3, "--beam", HERE]
    photo = damage(data)
    with pytest.raises(SystemExit) as leaving:
        run(monkeypatch, *command)
    assert leaving.value.code == 2
    progress, error = capfd.readouterr().err.splitlines()
    assert progress == f"{tmp_path / 'out'}: 3 of 3 files to write"
    assert error.startswith("flpn: error: ")
    assert error.endswith("(person 1004); --skip-bad leaves such photos out")
    (data / "images" / "4.png").write_bytes(photo)
    with pytest.raises(SystemExit) as leaving:
        run(monkeypatch, *command)
    assert not leaving.value.code
    out, progress = capfd.readouterr()
    assert out == f"7 people in 3 files, 0.0 MB: {tmp_path / 'out'}\n"
    assert progress == f"{tmp_path / 'out'}: 1 of 3 files to write\n"


@pytest.mark.parametrize(
    "extra, reason",
    [
        (["--beam", "--runner=Nope"], "--beam: Unexpected pipeline runner: Nope"),
        (["--beam", "--runner='Nope"], "--beam: No closing quotation"),
        (["--beam", "--direct_num_workers=many"], "--beam: argument --direct_num_workers: invalid int"),
        (["--beam", HERE, "--images", "nowhere://photos"], "Unable to get filesystem from specified path"),
        (["--beam", HERE, "--jobs", "2"], "--jobs is for one machine"),
        (["--images", "gs://photos"], "gs://photos: is a URL, which only --beam reads and writes"),
    ],
)
def test_bad_options(data, tmp_path, monkeypatch, capsys, extra, reason):
    with pytest.raises(SystemExit) as leaving:
        run(monkeypatch, data, tmp_path / "out", *extra)
    assert leaving.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("flpn: error: ")
    assert reason in line


def test_without_apache_beam(data, tmp_path, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "flpn_tf.data.prepare_beam")
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(SystemExit) as leaving:
        run(monkeypatch, data, tmp_path / "out", "--beam", HERE)
    assert leaving.value.code == 2
    assert "pip install 'flpn-tf[beam]'" in capsys.readouterr().err
