"""The checks of `flpn data check` on photos. Needs no TensorFlow."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from flpn_tf.data.findings import BadEntry, Findings
from flpn_tf.data.records import PersonRecord
from flpn_tf.errors import InputError
from flpn_tf.runtime.images import read_image, read_intact_image
from flpn_tf.runtime.native_stderr import capture_native_stderr
from flpn_tf.runtime.photo_header import PhotoHeader, check_pixels, header_of

_BATCH = 64  # photos between two reports of progress
_MOST_THREADS = 8  # each may hold a decoded photo of 192 MB

Progress = Callable[[int, int], None]


class _Seen(NamedTuple):
    """A photo's upright (width, height) and its header, where known, or what is wrong with it."""

    size: tuple[int, int] | None = None
    header: PhotoHeader | None = None
    problem: BadEntry | None = None


def check_photos(
    records: list[PersonRecord], findings: Findings, quick: bool, progress: Progress | None
) -> dict[Path, tuple[int, int] | None]:
    """Looks at each photo once; `quick` and `progress` as for `check_data`.

    Returns:
        photo → upright (width, height), None where it is not known.
    """
    stated: dict[Path, dict] = {}
    for record in records:
        stated.setdefault(record.image, {})[record.image_size] = None
    paths, sizes = list(stated), {}
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        for start in range(0, len(paths), _BATCH):
            batch = paths[start : start + _BATCH]
            for path, seen in zip(batch, _look_at(batch, quick, pool), strict=True):
                sizes[path] = seen.size
                if seen.problem is not None:
                    findings.error(seen.problem.kind, str(seen.problem))
                elif seen.header is None:
                    findings.warn(
                        "neither JPEG nor PNG", f"{path}: train from what flpn data prepare makes of it"
                    )
                for size in stated[path]:
                    _check_size(path, seen, size, findings)
            if progress is not None:
                progress(len(sizes), len(paths))
    return sizes


def _look_at(paths: list[Path], quick: bool, pool: ThreadPoolExecutor) -> list[_Seen]:
    """Decodes photos side by side.

    A decoder reports damage on descriptor 2, which all threads share. So where it reported any, each of the
    photos is decoded once more by itself.
    """
    with capture_native_stderr() as stream:
        seen = list(pool.map(partial(_look, quick=quick), paths))
        stream.seek(0)
        reported = stream.read(1)
    if quick or not reported:
        return seen
    return [_look_for_damage(path, one) for path, one in zip(paths, seen, strict=True)]


def _look(path: Path, quick: bool) -> _Seen:
    kind = "unreadable photo"
    try:
        header = header_of(path)
        if header is not None:
            kind = "photo too large"
            check_pixels(header.width, header.height, path)
            if quick:
                return _Seen(header.upright_size, header)
        kind = "undecodable photo"
        height, width = read_image(path).shape[:2]
        kind = "photo too large"  # of a format whose header is not read
        check_pixels(width, height, path)
    except InputError as error:
        return _Seen(problem=BadEntry(kind, str(error)))
    return _Seen((width, height), header)


def _look_for_damage(path: Path, seen: _Seen) -> _Seen:
    if seen.problem is None:
        try:
            read_intact_image(path)
        except InputError as error:
            return seen._replace(problem=BadEntry("damaged photo", str(error)))
    return seen


def _check_size(path: Path, seen: _Seen, stated: tuple[int, int] | None, findings: Findings) -> None:
    if seen.size is None or stated is None or seen.size == stated:
        return
    message = f"{path}: has {seen.size[0]}x{seen.size[1]} pixels"
    received = f"Received: {stated[0]}x{stated[1]}"
    if seen.header is not None and stated == (seen.header.width, seen.header.height):
        findings.error(
            "annotated before its turn",
            f"{message}: its EXIF orientation is applied here, the annotations seem to be made on the "
            f"unturned photo. {received}",
        )
    else:
        findings.error("wrong image size", f"{message}, the annotations say otherwise. {received}")
