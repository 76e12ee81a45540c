import cv2
import numpy as np
import pytest

from flpn_tf.errors import InputError
from flpn_tf.runtime import files


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    target = tmp_path / "out.json"
    target.write_text("old")

    def fail(self, other):
        raise OSError("disk on fire")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="fire"):
        files.write_atomically(target, b"new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_write_replaces_and_has_ordinary_permissions(tmp_path):
    target, plain = tmp_path / "out.json", tmp_path / "plain"
    plain.write_text("")
    files.write_atomically(target, b"one")
    files.write_atomically(target, b"two")
    assert target.read_bytes() == b"two"
    assert target.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("name", ["out.gif", "out", "missing/out.png", "", "."])
def test_outputs_that_cannot_be_written_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="Received: "):
        files.check_writable(tmp_path / name, files.PICTURE_SUFFIXES)


def test_pictures_keep_their_colours():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    content = np.frombuffer(files.encode_picture(image, ".PNG"), np.uint8)
    np.testing.assert_array_equal(cv2.imdecode(content, cv2.IMREAD_COLOR_RGB), image)
