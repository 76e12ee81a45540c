"""What readers and checks find in a data set. Needs no TensorFlow."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from flpn_tf.errors import InputError

Kinds = dict[str, list[str]]


class BadEntry(InputError):
    """One image or person of a data set is wrong; `kind` groups such errors."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


@dataclass
class Findings:
    """Errors, warnings and people left out, each by kind, as messages or ids in the order found.

    Attributes:
        collect: keep errors instead of raising the first one; what is wrong is then passed over.
        errors: kind → messages. Nothing of an error's person or photo may be used.
        warnings: kind → messages.
        left_out: why the protocol of the data set does not count a person → ids of such people.
    """

    collect: bool = False
    errors: Kinds = field(default_factory=dict)
    warnings: Kinds = field(default_factory=dict)
    left_out: Kinds = field(default_factory=dict)

    def error(self, kind: str, message: str) -> None:
        """Raises InputError(message), or keeps it where errors are collected."""
        if not self.collect:
            raise InputError(message)
        self.errors.setdefault(kind, []).append(message)

    @contextlib.contextmanager
    def of_entry(self) -> Iterator[None]:
        """Around the reading of one image or person: a BadEntry is an error, which ends this block only."""
        try:
            yield
        except BadEntry as bad:
            self.error(bad.kind, str(bad))

    def warn(self, kind: str, message: str) -> None:
        """Keeps a warning."""
        self.warnings.setdefault(kind, []).append(message)

    def leave_out(self, reason: str, person_id) -> None:
        """Keeps the id of a person who does not count."""
        self.left_out.setdefault(reason, []).append(str(person_id))
