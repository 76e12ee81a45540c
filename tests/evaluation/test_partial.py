"""An evaluation that is interrupted goes on where it was."""

import json
import sys

import numpy as np
import pytest
from knowing_backend import KnowingBackend

from flpn_tf import cli
from flpn_tf.errors import InputError
from flpn_tf.evaluation import predict
from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.evaluation.partial import Partial

ARRAYS = np.arange(12.0).reshape(2, 2, 3), np.array([0.5, 0.25]), np.array([7.0, 8.0])


def test_what_is_written_is_read(tmp_path):
    partial = Partial(tmp_path / "r.json", {"model": "a"})
    assert partial.read() is None
    partial.write(sys.stderr, *ARRAYS)
    for stored, array in zip(Partial(tmp_path / "r.json", {"model": "a"}).read(), ARRAYS, strict=True):
        np.testing.assert_array_equal(stored, array)
    assert [path.name for path in tmp_path.iterdir()] == ["r.json.partial"]


def test_that_of_another_evaluation_is_refused(tmp_path):
    Partial(tmp_path / "r.json", {"flip": True}).write(sys.stderr, *ARRAYS)
    with pytest.raises(
        InputError, match=r"r\.json\.partial: holds poses of another model, data set or option"
    ):
        Partial(tmp_path / "r.json", {"flip": False}).read()


def test_a_place_that_cannot_be_written_is_said(tmp_path, capsys):
    Partial(tmp_path / "nowhere" / "r.json", {}).write(sys.stderr, *ARRAYS)
    assert "r.json.partial cannot be written (No such file or directory)" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 100])
def test_a_damaged_one_is_not_gone_on_with(tmp_path, capsys, content):
    (tmp_path / "r.json.partial").write_bytes(content)
    assert Partial(tmp_path / "r.json", {}).read() is None
    assert "cannot be read; all poses are found anew" in capsys.readouterr().err


class Interrupted(KnowingBackend):
    """Ctrl-C in its third batch."""

    def __init__(self, after):
        super().__init__()
        self.left, self.seen = after, 0

    def predict(self, crops):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        self.seen += len(crops)
        return super().predict(crops)


def test_only_the_rest_is_found_and_the_numbers_are_the_same(data, model_of, monkeypatch, tmp_path):
    monkeypatch.setattr(predict, "BATCH_SIZE", 3)
    whole = evaluate(model_of(KnowingBackend(shift=(3, 0))), data)
    results = tmp_path / "r.json"
    interrupted = Interrupted(after=2)
    interrupted.shift = np.array((3, 0))
    with pytest.raises(KeyboardInterrupt):
        evaluate(model_of(interrupted), data, results=results)
    assert interrupted.seen == 6
    interrupted.left = 9
    found = evaluate(model_of(interrupted), data, results=results)
    assert interrupted.seen == 8
    assert found.result == whole.result
    np.testing.assert_array_equal(found.poses.keypoints, whole.poses.keypoints)
    # Another rule would give other poses.
    with pytest.raises(InputError, match="of another model"):
        evaluate(model_of(interrupted), data, results=results, decode="argmax")


def test_the_command_removes_it(data, model_of, monkeypatch, tmp_path):
    monkeypatch.setattr(predict, "BATCH_SIZE", 3)
    backend = Interrupted(after=1)
    arguments = ["flpn", "evaluate", str(model_of(backend)), str(data), "--results", str(tmp_path / "r.json")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.tflite", "r.json.partial"]
    backend.left = 9
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.tflite", "r.json"]
    assert len(json.loads((tmp_path / "r.json").read_text())) == 8
