"""What `flpn data check` does."""

import json
import sys
from collections.abc import Iterator

from flpn_tf.data.check import CheckResult, check_data
from flpn_tf.data.check_photos import Progress
from flpn_tf.data.findings import Kinds
from flpn_tf.data.sources import locate
from flpn_tf.errors import printable
from flpn_tf.runtime import files

_FIRST = 3  # offenders that are named, of each kind
_LONGEST = 300  # characters of a line


def run(data, images=None, split=None, quick=False, json_to=None) -> int:
    """Checks a data set and prints what was found; progress goes to standard error.

    Args:
        data, images, split, quick: as for `check_data`.
        json_to: also writes it as json to that file; "-" for standard output in place of the table.

    Returns:
        The exit code: 0, or 1 where there are errors.

    Raises:
        InputError: the data set cannot be read at all, or the json not be written.
    """
    files.check_json_output(json_to)
    if json_to not in (None, files.STANDARD_OUTPUT):
        files.check_writable(json_to, (".json",))
        files.check_apart(json_to, [locate(data, images, split)[0]])
    result = check_data(data, images, split, quick, _show_progress(sys.stderr))
    if json_to is not None:
        files.write_json(json_to, json.dumps(as_document(result, split, quick), indent=1) + "\n")
    if json_to != files.STANDARD_OUTPUT:
        for line in render(result):
            print(line)
    return 1 if result.errors else 0


def as_document(result: CheckResult, split: str | None = None, quick: bool = False) -> dict:
    """The result as json values; of each kind of finding the count and the first few."""
    found = result.findings
    return {
        "data": str(result.source),
        "data_sha256": result.sha256,
        "split": split,
        "quick": quick,
        "counts": _counts(result),
        "errors": _firsts(found.errors),
        "warnings": _firsts(found.warnings),
        "left_out": _firsts(found.left_out),
        "joints": result.joints,
        "pairs": result.pairs,
    }


def render(result: CheckResult) -> Iterator[str]:
    """Yields the lines of a plain text table. Whatever a file may contain, none breaks a line."""
    yield _line(result.source)
    yield ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in _counts(result).items())
    found = result.findings
    for title, kinds in (("errors", found.errors), ("warnings", found.warnings)):
        yield ""
        yield f"{title}:" if kinds else f"{title}: none"
        for kind, messages in kinds.items():
            yield f"  {_line(kind)}: {len(messages)}"
            yield from (f"    {_line(message)}" for message in _first(messages))
    yield ""
    yield "left out:" if found.left_out else "left out: none"
    for reason, ids in found.left_out.items():
        yield f"  {_line(reason)}: {len(ids)} ({_line(', '.join(_first(ids)))})"
    yield from _joint_table(result.joints)
    yield from _pair_table(result.pairs)
    yield ""
    yield f"{result.errors} errors, {result.warnings} warnings"


def _joint_table(joints: dict[str, dict]) -> Iterator[str]:
    if not joints:
        return
    names = [_line(name) for name in joints]
    width = max(map(len, [*names, "joint"]))
    yield ""
    yield f"{'joint':{width}}  {'labelled':>8}  {'visible':>8}"
    for name, joint in zip(names, joints.values(), strict=True):
        yield f"{name:{width}}  {joint['labelled']:>8}  {_percent(joint['visible'])}"


def _pair_table(pairs: list[dict]) -> Iterator[str]:
    """Without pairs that are known to be left and right, nothing."""
    if not pairs:
        return
    names = [_line(f"{pair['left']}, {pair['right']}") for pair in pairs]
    width = max(map(len, [*names, "left, right"]))
    yield ""
    yield "facing: left lies right of right; disagree: otherwise than most other pairs of the person"
    yield f"{'left, right':{width}}  {'people':>8}  {'facing':>8}  {'disagree':>8}"
    for name, pair in zip(names, pairs, strict=True):
        yield f"{name:{width}}  {pair['people']:>8}  {_percent(pair['facing'])}  {_percent(pair['disagree'])}"


def _counts(result: CheckResult) -> dict[str, int]:
    return {
        "photos": result.photos,
        "people": result.people,
        "joints_labelled": sum(joint["labelled"] for joint in result.joints.values()),
        "left_out": sum(map(len, result.findings.left_out.values())),
    }


def _first(entries: list[str]) -> list[str]:
    return entries[:_FIRST] + ["..."] * (len(entries) > _FIRST)


def _firsts(kinds: Kinds) -> dict[str, dict]:
    return {kind: {"count": len(entries), "first": entries[:_FIRST]} for kind, entries in kinds.items()}


def _percent(value: float | None) -> str:
    return f"{'-':>8}" if value is None else f"{value:>6.1f} %"


def _line(text) -> str:
    """One line without control characters, of bounded length."""
    text = str(text)
    return printable(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}...")


def _show_progress(stream) -> Progress:
    """Overwrites one line on a terminal; elsewhere writes one a tenth of the photos."""
    tenths = 0

    def show(done: int, total: int) -> None:
        nonlocal tenths
        if stream.isatty():
            print(f"\r{done}/{total} photos", end="\n" if done == total else "", file=stream, flush=True)
        elif done * 10 // total > tenths:
            tenths = done * 10 // total
            print(f"{done}/{total} photos", file=stream)

    return show
