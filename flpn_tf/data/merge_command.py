"""What `flpn data merge` does."""

import json
import re
import shlex
import sys

from flpn_tf.data.annotation_files import is_url, short
from flpn_tf.data.merge import merge
from flpn_tf.errors import InputError, printable
from flpn_tf.runtime import files

_TIMES = re.compile("[1-9][0-9]{0,2}")  # a fourth digit is a slip rather than a wish


def run(out, sources: list[str], root=None) -> None:
    """Writes the json of `merge` and prints a line: its people by source, and what to give `flpn train`.

    What sources lose goes to standard error.

    Args:
        out: the .json to write, whole or not at all.
        sources: data sets, each with `*N` behind it where its people are to be listed N times.
        root: as for `merge`.

    Raises:
        InputError: what `merge` raises, a source that is none, or an output that cannot be written or would
            overwrite an annotation file or a photo.
    """
    out = files.check_writable(out, (".json",))
    parsed = [parse_source(source) for source in sources]
    merged = merge(parsed, root)
    files.check_apart(out, merged.inputs)
    files.write_json(out, json.dumps(merged.document, allow_nan=False) + "\n")
    for note in merged.notes:
        print(printable(f"flpn: {note}"), file=sys.stderr)
    people, photos = (len(merged.document[entries]) for entries in ("annotations", "images"))
    by_source = [
        f"{count} of {data}" + (f" {times} times" if times > 1 else "")
        for (data, times), count in zip(parsed, merged.counts, strict=True)
    ]
    command = shlex.join(["flpn", "train", "CONFIG", "--data", str(out), "--images", str(merged.root)])
    print(printable(f"{people} people in {photos} photos ({', '.join(by_source)}): {command}"))


def parse_source(text: str) -> tuple[str, int]:
    """(data set, times) of "DATA" or "DATA*N".

    Raises:
        InputError: N is no whole number from 1 to 999, or DATA is missing or a URL.
    """
    data, star, times = text.rpartition("*")
    if not star:
        data, times = text, "1"
    if not data or not _TIMES.fullmatch(times):
        raise InputError(
            f"A source is DATA or DATA*N, N a whole number from 1 to 999. Received: {short(text)}"
        )
    if is_url(data):
        raise InputError(f"A source and its photos must be files, not a URL. Received: {short(text)}")
    return data, int(times)
