"""The errors a user can cause, and the exit codes they become on the command line."""


class InputError(ValueError):
    """The user's input is bad.

    The message is one line: what is wrong, in which file or id, and what to do about it; where a value is
    wrong it ends with "Received: …". The command line prints it on stderr and exits with 2.
    """

    exit_code = 2


class GateError(RuntimeError):
    """A quality gate refused to ship a result. The command line prints it on stderr and exits with 3."""

    exit_code = 3


class RemoteError(RuntimeError):
    """A server gave no answer, or one of no use. The command line prints it on stderr and exits with 4."""

    exit_code = 4


def printable(text: str) -> str:
    """The text with what a terminal would obey, such as a file's name may hold, escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
