"""Silence for libraries that write to the process's standard error past `sys.stderr`.

Descriptor 2 belongs to the whole process: for one thread at a time only.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO


@contextlib.contextmanager
def discard_native_stderr(noise: BinaryIO | None = None) -> Iterator[TextIO | None]:
    """Discards what is written to file descriptor 2 meanwhile; gives `sys.stderr` as it was, to print to.

    Args:
        noise: a file that receives it instead.

    TensorFlow, the TFLite runtime and the picture decoders write notices there, which would stand before our
    own single line. What a decoder says of damage is lost too; `read_intact_image` heeds it.
    """
    with Path(os.devnull).open("wb") as nowhere, _redirected(noise or nowhere) as saved:
        if saved is None or not _writes_to_descriptor_2(sys.stderr):
            yield sys.stderr
        else:
            with open(saved, "w", closefd=False, errors="backslashreplace") as stream:  # noqa: PTH123
                yield stream


@contextlib.contextmanager
def capture_native_stderr() -> Iterator[BinaryIO]:
    """Gives a file that receives what is written to file descriptor 2 meanwhile."""
    with tempfile.TemporaryFile() as sink, _redirected(sink):
        yield sink


@contextlib.contextmanager
def _redirected(sink: BinaryIO) -> Iterator[int | None]:
    """Gives a descriptor of where descriptor 2 led to before, or None where it is closed."""
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (AttributeError, OSError, ValueError):  # closed, as by `2>&-`: nothing to keep silent
        yield None
        return
    try:
        os.dup2(sink.fileno(), 2)
        yield saved
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _writes_to_descriptor_2(stream) -> bool:
    try:
        return stream.fileno() == 2
    except (AttributeError, OSError, ValueError):
        return False
