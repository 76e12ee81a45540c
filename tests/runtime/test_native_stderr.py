"""What libraries write past `sys.stderr` is gone, what we say is not."""

import io
import os
import subprocess
import sys

import pytest

from flpn_tf.runtime.native_stderr import capture_native_stderr, discard_native_stderr

WRITES = r"""
import os, sys
from flpn_tf.runtime.native_stderr import discard_native_stderr
print("before", file=sys.stderr)
with discard_native_stderr() as stream:
    os.write(2, b"notice of a library\n")
    print("said \u00e9", file=stream, flush=True)
    os.system("echo another notice >&2")
print("after", file=sys.stderr)
"""
CLOSED = """
from flpn_tf.runtime.native_stderr import discard_native_stderr
with discard_native_stderr() as stream:
    assert stream is None
"""


def stderr_of(code, redirection="", **environment):
    """What a process leaves on standard error; its standard output must stay empty."""
    ran = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {redirection}', sys.executable, code],
        env=os.environ | environment,
        capture_output=True,
    )
    assert (ran.returncode, ran.stdout) == (0, b"")
    return ran.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_the_stream_leads_to_where_standard_error_led(unbuffered):
    error = stderr_of(WRITES, PYTHONUNBUFFERED=unbuffered, PYTHONUTF8="1")
    assert error.decode().splitlines() == ["before", "said é", "after"]


def test_what_cannot_be_encoded_is_escaped():
    error = stderr_of(WRITES, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert error.splitlines() == [b"before", rb"said \xe9", b"after"]


def test_a_closed_standard_error_is_no_hindrance():
    assert stderr_of(CLOSED, "2>&-") == b""


def test_it_is_silent_only_meanwhile_also_after_an_error(capfd):
    with pytest.raises(ZeroDivisionError), discard_native_stderr():
        os.write(2, b"hidden\n")
        raise ZeroDivisionError
    os.write(2, b"seen\n")
    assert capfd.readouterr().err == "seen\n"


def test_another_sys_stderr_is_given_as_it_is(monkeypatch, capfd):
    """One that does not write to descriptor 2, as in a notebook."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with discard_native_stderr() as given:
        os.write(2, b"hidden\n")
        print("said", file=given)
    assert given is stream
    assert stream.getvalue() == "said\n"
    assert capfd.readouterr().err == ""


def test_captured(capfd):
    with capture_native_stderr() as file:
        os.write(2, b"kept\n")
        file.seek(0)
        assert file.read() == b"kept\n"
    assert capfd.readouterr().err == ""
