import subprocess
import sys

import pytest

from flpn_tf import __version__, cli
from flpn_tf.errors import GateError, InputError


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("no such\nphoto"), 2, "flpn: error: no such photo\n"),
        (GateError("too bad"), 3, "flpn: error: too bad\n"),
        (OSError(36, "File name too long", "x"), 2, "flpn: error: [Errno 36] File name too long: 'x'\n"),
        (KeyboardInterrupt(), 130, "flpn: interrupted\n"),
    ],
)
def test_errors_become_exit_codes(monkeypatch, capsys, error, code, line):
    def fail(*arguments):
        raise error

    monkeypatch.setattr("flpn_tf.runtime.pose_command.run", fail)
    monkeypatch.setattr(sys, "argv", ["flpn", "pose", "photo.jpg"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == code
    assert capsys.readouterr().err == line


def test_a_bug_is_not_dressed_up_as_bad_input(monkeypatch):
    def fail(*arguments):
        raise ZeroDivisionError

    monkeypatch.setattr("flpn_tf.runtime.pose_command.run", fail)
    monkeypatch.setattr(sys, "argv", ["flpn", "pose", "photo.jpg"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_usage_errors_exit_with_2(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["flpn", "pose", "photo.jpg", "--colour", "red"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert "--colour" in capsys.readouterr().err


def test_version(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["flpn", "--version"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert not caught.value.code
    assert capsys.readouterr().out == f"flpn {__version__}\n"


def test_importing_the_command_line_is_light():
    code = "import sys, flpn_tf.cli; print([m for m in ('tensorflow', 'keras', 'cv2') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
