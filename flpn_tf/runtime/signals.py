"""Signals answered in another way for a while."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator


@contextlib.contextmanager
def answering(numbers: Iterable[int], handler: Callable) -> Iterator[None]:
    """Meanwhile `handler` answers these signals.

    Where signals cannot be caught, in another thread than the main one, they do what they did.
    """
    before = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)
