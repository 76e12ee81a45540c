"""A line now and then on how far a long run is."""

import time
from typing import TextIO

_SECONDS_A_LINE = 2.0


class Progress:
    """Lines on a stream, not more than one in two seconds but for the last.

    Args:
        noun: what is counted, in the plural.
        count: how many there are; None where nobody knows.
        first: how many were done before this run.
    """

    def __init__(self, noun: str, count: int | None, first: int = 0):
        self._noun, self._count, self._first = noun, count, first
        self._begun = self._said = time.monotonic()

    def say(self, done: int, stream: TextIO | None) -> None:
        """Prints where it is time to."""
        now = time.monotonic()
        if stream is None or (now - self._said < _SECONDS_A_LINE and done != self._count):
            return
        self._said = now
        rate = (done - self._first) / max(now - self._begun, 1e-9)
        of, left = "", ""
        if self._count is not None:
            of = f"/{self._count}"
            left = f", {max(self._count - done, 0) / max(rate, 1e-9):.0f} s to go"
        print(f"{done}{of} {self._noun}, {rate:.1f} a second{left}", file=stream, flush=True)
