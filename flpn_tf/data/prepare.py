"""Any data set → sharded TFRecords and a manifest; interrupted at any moment, the same call goes on.

OUT/preparing.json                     while under way: which data and options these shards are of
OUT/people-00000-of-00025.tfrecord     whole or not there
OUT/people-00000-of-00025.json         its report, written after it: without one it is made again
OUT/manifest.json                      at the end, in place of the reports
"""

import contextlib
import dataclasses
import hashlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import typer

from flpn_tf.data.annotation_files import is_url
from flpn_tf.data.findings import BadEntry, Findings
from flpn_tf.data.manifest import (
    CROPS,
    MANIFEST,
    PHOTOS,
    PREPARING,
    VERSION,
    PreparedPeople,
    manifest_digest,
    open_prepared,
)
from flpn_tf.data.records import People, PersonRecord
from flpn_tf.data.sources import read_people
from flpn_tf.data.stored_photo import StoredPhoto, store
from flpn_tf.errors import InputError
from flpn_tf.runtime.files import write_atomically
from flpn_tf.runtime.folder_lock import lock
from flpn_tf.runtime.native_stderr import discard_native_stderr

TEMPORARY = ".flpn."  # begins the names of what the next call, or the end, removes

Photo = list[PersonRecord]  # the people of one record


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which photos go into which shard.

    Attributes:
        identity: everything the shards depend on; a folder with another one is refused.
        photos: of each shard.
    """

    identity: dict
    photos: list[list[Photo]]

    @property
    def names(self) -> list[str]:
        """Of the shards, without their ending."""
        return [f"people-{number:05}-of-{len(self.photos):05}" for number in range(len(self.photos))]


def prepare(
    data,
    output,
    options: StoredPhoto | None = None,
    images=None,
    split: str | None = None,
    skip_bad: bool = False,
    shard_size: int = 1024,
    seed: int = 0,
    jobs: int | None = None,
) -> PreparedPeople:
    """Prepares a data set for training; progress on stderr.

    Args:
        data, images, split: as `read_people` takes them.
        output: the folder to make; one left by an interrupted call goes on, a finished one is left as it is.
        options: what to store of each photo.
        skip_bad: leave out, count and list in the manifest what is wrong, instead of refusing the data set.
        shard_size: records a shard.
        seed: of the order in which the records are stored.
        jobs: processes; by default one a processor. The result does not depend on it.

    Raises:
        InputError: bad data, a bad photo, or an output of other data or options.
    """
    options = StoredPhoto() if options is None else options
    for place in (output, images):
        if is_url(place):
            raise InputError(f"{place}: is a URL, which only --beam reads and writes")
    output = Path(output)
    people, plan = read_plan(data, options, images, split, skip_bad, shard_size, seed, jobs)
    if (output / MANIFEST).exists():
        return _finished(output, plan)
    _begin(output, plan)
    unfinished = [i for i, name in enumerate(plan.names) if not _is_written(output, name)]
    with _progress(plan, unfinished) as advance:
        for number in _written(output, plan, unfinished, options, skip_bad, jobs or os.cpu_count() or 1):
            advance(number)
    finish(output, plan, people)
    return open_prepared(output)


def read_plan(
    data, options: StoredPhoto, images, split, skip_bad: bool, shard_size: int, seed: int, jobs=None
) -> tuple[People, Plan]:
    """What `prepare` does before it touches the output; the arguments are its own."""
    if shard_size < 1 or (jobs is not None and jobs < 1):
        raise InputError(f"shard_size and jobs are at least 1. Received: {shard_size} and {jobs}")
    if seed < 0:
        raise InputError(f"seed must be at least 0. Received: {seed}")
    people = _read(data, images, split, Findings(collect=skip_bad))
    return people, make_plan(people, options, shard_size, seed)


def _read(data, images, split, findings: Findings) -> People:
    try:
        return read_people(data, images, split, findings)
    except InputError as error:
        bad = [message for messages in findings.errors.values() for message in messages]
        if not bad:
            raise
        raise InputError(f"{error}; {len(bad)} were bad, first {bad[0]}") from error


def make_plan(people: People, options: StoredPhoto, shard_size: int, seed: int) -> Plan:
    """The records in a seeded random order, cut into shards."""
    if options.whole:
        photos: dict = {}
        for record in people.records:
            photos.setdefault(record.image, []).append(record)
        units = list(photos.values())
    else:
        units = [[record] for record in people.records]
    order = np.random.default_rng(seed).permutation(len(units))
    # Equal shards, rather than a last one of a few records.
    shards = np.array_split(order, -(-len(units) // shard_size))
    ids = [[record.image_id, record.person_id] for record in people.records]
    identity = {
        "manifest_version": VERSION,
        "source": people.source.name,
        "source_sha256": people.sha256,
        # A split of the source is other data.
        "ids_sha256": hashlib.sha256(json.dumps(ids).encode()).hexdigest(),
        "kind": PHOTOS if options.whole else CROPS,
        "options": dataclasses.asdict(options) | {"shard_size": shard_size, "seed": seed},
        "skeleton": people.skeleton.to_dict(),
        "people": len(people),
    }
    identity = json.loads(json.dumps(identity))  # as a file will give it back
    return Plan(identity, [[units[i] for i in shard] for shard in shards])


def read_photo(source: Path | str) -> bytes:
    """A photo's file."""
    return Path(source).read_bytes()


def encode_photo(photo: Photo, options: StoredPhoto, read: Callable = read_photo) -> bytes:
    """The serialised record of a photo's people: what every shard is made of, wherever that runs.

    Args:
        read: gives a photo's content, or raises OSError where it cannot be had.

    Raises:
        BadEntry: the photo is missing, damaged, or not what the annotations say.
    """
    from flpn_tf.data.shards import encode_example

    source = photo[0].image
    try:
        content = read(source)
    except OSError as error:
        raise BadEntry("bad photo", f"Cannot read the image {source}: {error.strerror}") from error
    encoded, people = store(content, photo, options)
    if encoded is content and not _tensorflow_decodes(encoded):
        encoded, people = store(content, photo, options, keep_bytes=False)
    return encode_example(encoded, Path(source).name, photo[0].image_id, people)


def _tensorflow_decodes(encoded: bytes) -> bool:
    """Whether the reader of the shards will be able to decode this."""
    import tensorflow as tf

    try:
        tf.io.decode_jpeg(encoded, channels=3)
    except tf.errors.OpError:
        return False
    return True


def encode_shard(
    photos: Iterable[Photo], options: StoredPhoto, skip_bad: bool, report: dict, read: Callable = read_photo
) -> Iterator[bytes]:
    """The records of a shard; fills in `report` meanwhile.

    Raises:
        InputError: a bad photo, where `skip_bad` is False, naming it and its person.
    """
    report |= {"records": 0, "people": 0, "bad": []}
    for photo in photos:
        try:
            record = encode_photo(photo, options, read)
        except BadEntry as error:
            ids = ", ".join(str(person.person_id) for person in photo)
            message = f"{error} (person {ids})"
            if not skip_bad:
                raise InputError(f"{message}; --skip-bad leaves such photos out") from error
            report["bad"].append({"kind": error.kind, "message": message})
        else:
            report["records"] += 1
            report["people"] += len(photo)
            yield record


def write_shard(
    output: Path,
    name: str,
    photos: list[Photo],
    options: StoredPhoto,
    skip_bad: bool,
    read: Callable = read_photo,
) -> None:
    """Writes one shard and then its report, each whole or not at all."""
    import tensorflow as tf

    report: dict = {"name": f"{name}.tfrecord"}
    handle, temporary = tempfile.mkstemp(dir=output, prefix=TEMPORARY)
    os.close(handle)
    try:
        with tf.io.TFRecordWriter(os.fsencode(temporary)) as writer:
            for record in encode_shard(photos, options, skip_bad, report, read):
                writer.write(record)
        with Path(temporary).open("rb") as stream:
            report["sha256"] = hashlib.file_digest(stream, "sha256").hexdigest()
        report["bytes"] = Path(temporary).stat().st_size
        Path(temporary).chmod(0o644)
        Path(temporary).replace(output / report["name"])
    except tf.errors.OpError as error:  # no space left, for one
        raise InputError(f"{output}: cannot be written ({error.message})") from error
    finally:
        Path(temporary).unlink(missing_ok=True)
    write_atomically(output / f"{name}.json", json.dumps(report).encode())


def finish(output: Path, plan: Plan, people: People) -> None:
    """Merges the reports into the manifest, and removes them.

    Raises:
        InputError: every photo was bad.
    """
    reports = [json.loads((output / f"{name}.json").read_text()) for name in plan.names]
    write_atomically(output / MANIFEST, merge(reports, plan, people))
    _clean(output, plan)


def merge(reports: list[dict], plan: Plan, people: People) -> bytes:
    """The manifest's content, of the reports on all shards in their order.

    Raises:
        InputError: every photo was bad.
    """
    kept = sum(report["people"] for report in reports)
    bad = [entry for report in reports for entry in report["bad"]]
    bad += [
        {"kind": kind, "message": message}
        for kind, messages in people.findings.errors.items()
        for message in messages
    ]
    if not kept:
        raise InputError(f"{people.source}: no usable photo is left, first {bad[0]['message']}")
    shards = [
        {key: report[key] for key in ("name", "records", "people", "bytes", "sha256")} for report in reports
    ]
    skeleton, kind = people.skeleton, plan.identity["kind"]
    manifest = {
        **plan.identity,
        "people_in_source": len(people),
        "people": kept,
        "records": sum(report["records"] for report in reports),
        "left_out": {reason: len(ids) for reason, ids in sorted(people.findings.left_out.items())},
        "bad": bad,
        "reach": plan.identity["options"]["reach"] if kind == CROPS else None,
        "shards": shards,
        "sha256": manifest_digest(shards, skeleton, kind),
    }
    return (json.dumps(manifest, indent=1) + "\n").encode()


def _finished(output: Path, plan: Plan) -> PreparedPeople:
    """What a finished call left, if it was of the same data."""
    prepared = open_prepared(output)
    check_same(output, (output / MANIFEST).read_bytes(), plan)
    _clean(output, plan)  # it may have been killed between the manifest and this
    print(f"{output}: is already prepared", file=sys.stderr)
    return prepared


def _is_written(output: Path, name: str) -> bool:
    """Whether a shard and its report are there."""
    try:
        report = json.loads((output / f"{name}.json").read_text())
        return (output / report["name"]).stat().st_size == report["bytes"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _begin(output: Path, plan: Plan) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock(output)
        stored = output / PREPARING
        if stored.exists():
            check_same(output, stored.read_bytes(), plan)
        elif any(not path.name.startswith(TEMPORARY) for path in output.iterdir()):
            raise InputError(f"{output}: is not empty; choose a new folder")
        write_atomically(stored, json.dumps(plan.identity).encode())
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror or error})") from error
    for left in output.glob(f"{TEMPORARY}*"):
        left.unlink(missing_ok=True)


def check_same(output: Path | str, content: bytes, plan: Plan) -> None:
    """Refuses an output whose PREPARING or MANIFEST, of this content, is of another plan.

    Raises:
        InputError: naming the output.
    """
    try:
        stored = json.loads(content)
        people = stored.get("people_in_source", stored.get("people"))  # a manifest has both
        same = {key: stored.get(key) for key in plan.identity} | {"people": people} == plan.identity
    except (ValueError, AttributeError):
        same = False
    if not same:
        raise InputError(
            f"{output}: holds other data, or was prepared with other options; choose a new folder"
        )


def _clean(output: Path, plan: Plan) -> None:
    for path in [output / f"{name}.json" for name in plan.names] + [output / PREPARING]:
        path.unlink(missing_ok=True)
    for left in output.glob(f"{TEMPORARY}*"):
        left.unlink(missing_ok=True)


def _written(output, plan: Plan, numbers, options, skip_bad: bool, jobs: int) -> Iterator[int]:
    """Writes the shards of these numbers, and yields each number once its shard is there."""
    tasks = {i: (output, plan.names[i], plan.photos[i], options, skip_bad) for i in numbers}
    if min(jobs, len(tasks)) <= 1:
        for number, task in tasks.items():
            write_shard(*task)
            yield number
        return
    # A forked TensorFlow hangs, so the workers are spawned.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(min(jobs, len(tasks)), context, initializer=_start_worker)
    try:
        with _workers_deaf_to_interrupts():
            futures = {executor.submit(write_shard, *task): number for number, task in tasks.items()}
        for future in as_completed(futures):
            future.result()
            yield futures[future]
    except BrokenProcessPool as error:
        raise InputError(
            f"{output}: a process of the preparation was ended from outside (too little memory?); run it "
            "again, it goes on from here, or with fewer --jobs"
        ) from error
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def _workers_deaf_to_interrupts():
    """Ctrl-C reaches every process of the terminal; one that starts meanwhile would print a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    # A worker has nothing to say about Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with discard_native_stderr():
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.set_visible_devices([], "GPU")  # each worker would take all of its memory


def _end_with_parent() -> None:
    """A killed process leaves its workers waiting for ever, and writing after the call that goes on."""
    multiprocessing.parent_process().join()
    os._exit(1)


@contextlib.contextmanager
def _progress(plan: Plan, unfinished: list[int]):
    """A progress bar in people, or lines where nobody watches; gives what to call with a shard's number."""
    people = [sum(map(len, photos)) for photos in plan.photos]
    total, done = sum(people), sum(people) - sum(people[i] for i in unfinished)
    if sys.stderr.isatty():
        with typer.progressbar(length=total, label="people", show_pos=True, file=sys.stderr) as bar:
            bar.update(done)
            yield lambda number: bar.update(people[number])
        return

    def advance(number):
        nonlocal done
        done += people[number]
        print(f"{done}/{total} people", file=sys.stderr, flush=True)

    yield advance
