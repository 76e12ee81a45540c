import os

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


def test_a_pipe_or_a_link_to_one_is_refused_and_stays(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(InputError, match="no ordinary file. Received: "):
            files.check_writable(path)


def test_a_link_stays_and_its_target_is_written(tmp_path):
    (tmp_path / "away").mkdir()
    target, link = tmp_path / "away" / "real.json", tmp_path / "link.json"
    link.symlink_to(target)
    for content in (b"one", b"two"):
        files.write_atomically(files.check_writable(link), content)
        assert link.is_symlink()
        assert target.read_bytes() == content


def test_the_longest_legal_name_is_written_and_a_longer_one_refused(tmp_path):
    path = tmp_path / ("n" * 250 + ".json")
    files.write_atomically(files.check_writable(path), b"[]")
    assert path.read_bytes() == b"[]"
    with pytest.raises(InputError, match="too long"):
        files.check_writable(tmp_path / ("n" * 300))
    assert list(tmp_path.iterdir()) == [path]


def test_an_output_that_is_an_input_is_refused(tmp_path):
    photo, link, hard = tmp_path / "photo.png", tmp_path / "link.png", tmp_path / "hard.png"
    photo.write_bytes(b"photo")
    link.symlink_to(photo)
    hard.hardlink_to(photo)
    for output in (photo, link, hard, tmp_path / "." / "photo.png"):
        with pytest.raises(InputError, match="would overwrite .*photo.png"):
            files.check_apart(output, [tmp_path / "other", photo])
    files.check_apart(tmp_path / "new.png", [photo])
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"model")
    with pytest.raises(InputError, match="would overwrite .*saved"):
        files.check_apart(folder / "saved_model.pb", [folder])
    files.check_apart(folder / "new.json", [folder])


def test_a_photo_is_no_output_but_a_text_among_photos_may_be(tmp_path):
    (tmp_path / "1.png").write_bytes(b"photo")
    (tmp_path / "found.json").write_text("{}")
    with pytest.raises(InputError, match="would overwrite a file among the photos"):
        files.check_no_photo(tmp_path / "1.png", tmp_path)
    files.check_no_photo(tmp_path / "2.png", tmp_path)
    files.check_no_photo(tmp_path / "found.json", tmp_path)


def test_a_picture_too_wide_for_its_format_is_refused():
    wide = np.zeros((2, 66_000, 3), np.uint8)
    with pytest.raises(InputError, match="take .png. Received: 66000x2 pixels"):
        files.encode_picture(wide, ".jpg")
    assert files.encode_picture(wide, ".png")


def test_json_goes_to_a_file_or_standard_output(tmp_path, capsys):
    files.check_json_output(None)
    files.check_json_output(files.STANDARD_OUTPUT)
    files.write_json(files.STANDARD_OUTPUT, "[]\n")
    files.write_json(tmp_path / "o.json", "{}\n")
    assert capsys.readouterr().out == "[]\n"
    assert (tmp_path / "o.json").read_text() == "{}\n"
    with pytest.raises(InputError):
        files.check_json_output(tmp_path)
