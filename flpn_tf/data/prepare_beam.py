"""`flpn_tf.data.prepare` as an Apache Beam pipeline, for collections beyond one machine.

Shards, reports and manifest are those of `prepare`, byte for byte; the output and the photos' folder may be
URLs of any of Beam's file systems. Beside what `prepare` says, OUT holds meanwhile:

OUT/.flpn.tasks                         the shards to write, each with its people, for the workers
OUT/.flpn.people-00000-of-00025.error   why a shard cannot be written
"""

import contextlib
import errno
import io
import json
import os
import pickle
import shlex
import shutil
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from flpn_tf.data.annotation_files import is_url
from flpn_tf.data.manifest import MANIFEST, PREPARING
from flpn_tf.data.prepare import (
    TEMPORARY,
    Plan,
    check_same,
    merge,
    read_photo,
    read_plan,
    write_shard,
)
from flpn_tf.data.records import People
from flpn_tf.data.stored_photo import StoredPhoto
from flpn_tf.errors import InputError
from flpn_tf.runtime.native_stderr import discard_native_stderr

try:
    with discard_native_stderr():  # it warns about optional packages
        import apache_beam as beam
        from apache_beam.io.filesystem import CompressionTypes
        from apache_beam.io.filesystems import FileSystems
        from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions
except ModuleNotFoundError as missing:
    raise InputError(
        f"--beam needs {missing.name}; install it with: pip install 'flpn-tf[beam]'"
    ) from missing

_TASKS = f"{TEMPORARY}tasks"
_ERROR = ".error"
_READS = 16  # of small files, at once: over a network each takes a while
# Decoders' complaints are read from file descriptor 2, and some runners have many threads in a process.
_ALONE = threading.Lock()


def prepare_beam(
    data,
    output,
    options: StoredPhoto | None = None,
    images=None,
    split: str | None = None,
    skip_bad: bool = False,
    shard_size: int = 1024,
    seed: int = 0,
    beam_options: str = "",
) -> dict:
    """`prepare` on whatever Beam runs on; either goes on with what the other has begun.

    Unlike there, a bad photo is reported only when all other shards are written, and one that is missing from
    a URL is a bad photo, as nobody looks for it before.

    Args:
        data, options, split, skip_bad, shard_size, seed: as for `prepare`; the annotations are a local file.
        output, images: as there, or a URL such as "gs://bucket/folder".
        beam_options: Beam's own, as on a command line: "--runner=DirectRunner …".

    Returns:
        The manifest.

    Raises:
        InputError: what `prepare` raises, bad `beam_options`, or the pipeline failed.
    """
    options = StoredPhoto() if options is None else options
    pipeline = _pipeline(beam_options, [output, images])
    output = str(output).rstrip("/") if is_url(output) else str(Path(output))
    people, plan = read_plan(data, options, images, split, skip_bad, shard_size, seed)
    sizes = _begin(output, plan)
    if MANIFEST not in sizes:
        _write_shards(pipeline, output, plan, sizes, options, skip_bad)
        _finish(output, plan, people)
    else:
        print(f"{output}: is already prepared", file=sys.stderr)
    return _manifest(output, plan)


def _pipeline(beam_options: str, places: list) -> beam.Pipeline:
    """An empty one; Beam checks its options, and whether it can reach the places."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options = PipelineOptions(shlex.split(beam_options))
            # What the workers call is imported there.
            options.view_as(SetupOptions).save_main_session = False
            options.get_all_options()
            pipeline = beam.Pipeline(options=options)
            # For transforms in other languages; Beam removes it after a run only.
            shutil.rmtree(pipeline.local_tempdir)
        for place in filter(is_url, places):
            FileSystems.get_filesystem(str(place))
    except SystemExit as error:  # of argparse
        raise InputError(f"--beam: {_last_line(said.getvalue()).rpartition('error: ')[2]}") from error
    except (ValueError, ImportError, AttributeError, OSError) as error:
        raise InputError(f"--beam: {' '.join(str(error).split())}") from error
    return pipeline


def _begin(output: str, plan: Plan) -> dict[str, int]:
    """What is in the output: name → bytes; afterwards that is PREPARING and shards, or it is finished."""
    with _files_of(output):
        sizes = _sizes(output)
        if MANIFEST in sizes:
            check_same(output, _read(f"{output}/{MANIFEST}"), plan)
            return sizes
        if PREPARING in sizes:
            check_same(output, _read(f"{output}/{PREPARING}"), plan)
        elif any(not name.startswith(TEMPORARY) for name in sizes):
            raise InputError(f"{output}: is not empty; choose a new folder")
        _put(io.BytesIO(json.dumps(plan.identity).encode()), f"{output}/{PREPARING}")
        _remove(output, [name for name in sizes if name.startswith(TEMPORARY)])
    return sizes


def _write_shards(pipeline, output: str, plan: Plan, sizes: dict, options, skip_bad: bool) -> None:
    """Has the pipeline write the shards that are not there."""
    with _files_of(output):
        done = _reports(output, plan, sizes)
        unfinished = [number for number, name in enumerate(plan.names) if name not in done]
        print(f"{output}: {len(unfinished)} of {len(plan.names)} files to write", file=sys.stderr, flush=True)
        if not unfinished:
            return
        # A runner takes a pipeline of some megabytes only.
        with tempfile.TemporaryFile() as stream:
            for number in unfinished:
                pickle.dump((plan.names[number], plan.photos[number]), stream)
            stream.seek(0)
            _put(stream, f"{output}/{_TASKS}")
    tasks = pipeline | beam.Create([f"{output}/{_TASKS}"]) | beam.FlatMap(_tasks) | beam.Reshuffle()
    tasks | "write" >> beam.Map(_write, output, options, skip_bad)
    failure = None
    try:
        pipeline.run().wait_until_finish()
    except Exception as error:  # whatever the runner raises
        failure = error
    with _files_of(output):
        files = {f"{TEMPORARY}{name}{_ERROR}" for name in plan.names}
        errors = sorted(files.intersection(_sizes(output)))
        if errors:
            more = f" ({len(errors) - 1} more files have a bad photo)" if errors[1:] else ""
            raise InputError(_read(f"{output}/{errors[0]}").decode() + more)
    if failure is not None:
        raise InputError(
            f"{output}: the pipeline failed; run the same command again to go on. Beam says: "
            f"{_last_line(str(failure))}"
        ) from failure


def _finish(output: str, plan: Plan, people: People) -> None:
    """As `prepare.finish`."""
    with _files_of(output):
        reports = _reports(output, plan, _sizes(output))
    missing = len(plan.names) - len(reports)
    if missing:
        raise InputError(
            f"{output}: {missing} files are not written yet; run the same command again to go on"
        )
    content = merge([reports[name] for name in plan.names], plan, people)
    with _files_of(output):
        _put(io.BytesIO(content), f"{output}/{MANIFEST}")


def _manifest(output: str, plan: Plan) -> dict:
    """That of a finished output, which is cleaned: a call may have been killed before it did that."""
    with _files_of(output):
        sizes = _sizes(output)
        manifest = json.loads(_read(f"{output}/{MANIFEST}"))
        for shard in manifest["shards"]:
            if sizes.get(shard["name"]) != shard["bytes"]:
                raise InputError(
                    f"{output}/{shard['name']}: is missing, cut or overwritten, {shard['bytes']} bytes were "
                    "written; prepare the data again, into a new folder"
                )
        ours = {PREPARING, *(f"{name}.json" for name in plan.names)}
        _remove(output, [name for name in sizes if name in ours or name.startswith(TEMPORARY)])
    return manifest


def _reports(output: str, plan: Plan, sizes: dict[str, int]) -> dict[str, dict]:
    """Of the shards that are there in full: name → report."""
    names = [name for name in plan.names if f"{name}.json" in sizes]
    with ThreadPoolExecutor(_READS) as pool:
        contents = list(pool.map(_read, [f"{output}/{name}.json" for name in names]))
    reports = {}
    for name, content in zip(names, contents, strict=True):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            report = json.loads(content)
            if sizes.get(report["name"]) == report["bytes"]:
                reports[name] = report
    return reports


def _tasks(path: str) -> Iterator[tuple]:
    """On a worker: the (name, photos) of each shard to write."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        while True:
            try:
                yield pickle.load(stream)
            except EOFError:
                return


def _write(task: tuple, output: str, options: StoredPhoto, skip_bad: bool) -> None:
    """On a worker: writes a shard and then its report, or what is wrong with it.

    A bad photo is nothing a runner should try again, so it is not raised here.
    """
    name, photos = task
    with _ALONE, tempfile.TemporaryDirectory() as folder:
        try:
            write_shard(Path(folder), name, photos, options, skip_bad, _read_photo)
        except InputError as error:
            _put(io.BytesIO(str(error).encode()), f"{output}/{TEMPORARY}{name}{_ERROR}")
            return
        for part in (f"{name}.tfrecord", f"{name}.json"):
            with (Path(folder) / part).open("rb") as stream:
                _put(stream, f"{output}/{part}")


def _read_photo(source: Path | str) -> bytes:
    """`prepare.read_photo`, also of a URL.

    Raises:
        OSError: it is not there, or this machine cannot read it.
        RuntimeError: its file system failed, which the runner shall try again.
    """
    if not is_url(source):
        return read_photo(source)
    try:
        return _read(source)
    except Exception as error:
        if _exists(source):
            raise RuntimeError(f"{source}: {error}") from error
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source) from error


def _exists(url: str) -> bool:
    try:
        return FileSystems.exists(url)
    except Exception as error:
        raise RuntimeError(f"{url}: {error}") from error


def _read(path: str) -> bytes:
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        return stream.read()


def _put(content: BinaryIO, path: str) -> None:
    """Writes a file whole or not at all."""
    folder, _, name = path.rpartition("/")
    temporary = f"{folder}/{TEMPORARY}{uuid.uuid4().hex}.{name}"
    with FileSystems.create(temporary, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        shutil.copyfileobj(content, stream)
    try:
        FileSystems.rename([temporary], [path])
    except OSError:
        if not FileSystems.exists(path):
            raise
        # HDFS replaces no file.
        FileSystems.delete([path])
        FileSystems.rename([temporary], [path])


def _remove(folder: str, names: list[str]) -> None:
    FileSystems.delete([f"{folder}/{name}" for name in names])


def _sizes(folder: str) -> dict[str, int]:
    """Name → bytes of what is in a folder, which is made where it is not there."""
    if not is_url(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        return {path.name: path.stat().st_size for path in Path(folder).iterdir()}
    if not FileSystems.exists(folder):
        FileSystems.mkdirs(folder)
    (found,) = FileSystems.match([f"{folder}/*"])
    sizes = {file.path.rpartition("/")[2]: file.size_in_bytes for file in found.metadata_list}
    return {name: size for name, size in sizes.items() if name}  # GCS keeps an empty one for the folder


@contextlib.contextmanager
def _files_of(output: str):
    """One line for whatever a file system, or the library behind it, raises in the block."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or _last_line(str(error)) or repr(error)
        raise InputError(f"{output}: cannot be read or written ({reason})") from error


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1][:500]
