"""Silence for libraries that write to the process's standard error past `sys.stderr`."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def discard_native_stderr() -> Iterator[None]:
    """Discards what is written to file descriptor 2 meanwhile.

    libpng, libjpeg, TensorFlow and the TFLite runtime write there; what matters of it reaches the user as
    our own single line.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)
