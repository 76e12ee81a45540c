"""Images a second of the training pipeline beside a loader in OpenCV, and its memory: `make bench-data`.

All rates come from one run, the variants taking turns, so that their ratios hold on a busy machine. Every
variant reads JPEG files, draws the paper's augmentation, crops 256×192 and makes 64×48 targets, in batches
of 32.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from flpn_tf import geometry
from flpn_tf.codec import HeatmapCodec
from flpn_tf.data import augment_batch, codec_batch, geometry_batch
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.entries import Order
from flpn_tf.data.photo_tf import decode_upright, warp
from flpn_tf.data.pipeline import training_dataset, uniforms
from flpn_tf.data.prepare import prepare
from flpn_tf.data.sources import open_people, read_people
from flpn_tf.data.stored_photo import StoredPhoto
from flpn_tf.data.streams import stream

HEIGHT, WIDTH, BATCH = 256, 192, 32
CODEC = HeatmapCodec(HEIGHT // 4, WIDTH // 4)
AUGMENTATION = Augmentation()
THREADS = 2
SECONDS, DRAIN = 3.0, 1.5  # of each turn, and before it
ROUNDS = 3


# --- the loader that a competent user of OpenCV would write


def opencv_batches(people):
    """Endless batches from THREADS threads, each making whole batches in arrays made beforehand."""
    cv2.setNumThreads(1)
    records, permutation = people.records, people.skeleton.flip_permutation
    columns, rows = np.arange(CODEC.width, dtype=np.float32), np.arange(CODEC.height, dtype=np.float32)

    def profile(axis, centre):
        distance = axis[:, None] - centre
        return np.where(np.abs(distance) <= 6, np.exp(distance**2 / np.float32(-8)), np.float32(0))

    def batch(seed):
        rng = np.random.default_rng(seed)
        crops = np.empty((BATCH, HEIGHT, WIDTH, 3), np.uint8)
        targets = np.empty((BATCH, CODEC.height, CODEC.width, len(permutation)), np.float32)
        weights = np.empty((BATCH, len(permutation)), np.float32)
        for place, index in enumerate(rng.integers(len(records), size=BATCH)):
            record = records[index]
            photo = cv2.imdecode(np.fromfile(record.image, np.uint8), cv2.IMREAD_COLOR_RGB)
            flip = rng.random() < AUGMENTATION.flip
            affine = geometry.crop_affine(
                record.box, HEIGHT, WIDTH, 1.25, rng.uniform(-40, 40), rng.uniform(0.7, 1.3), flip
            )
            cv2.warpAffine(photo, affine, (WIDTH, HEIGHT), crops[place], cv2.INTER_LINEAR)
            joints = record.keypoints[permutation] if flip else record.keypoints
            centres = ((joints[:, :2] @ affine[:, :2].T + affine[:, 2]) / CODEC.stride).astype(np.float32)
            x, y = profile(columns, centres[:, 0]), profile(rows, centres[:, 1])
            weights[place] = (joints[:, 2] > 0) & x.any(axis=0) & y.any(axis=0)
            np.multiply((y * weights[place])[:, None], x[None], out=targets[place])
        return crops, targets, weights

    with ThreadPoolExecutor(THREADS) as executor:
        ahead = [executor.submit(batch, seed) for seed in range(2 * THREADS)]
        for seed in itertools.count(len(ahead)):
            yield ahead.pop(0).result()
            ahead.append(executor.submit(batch, seed))


# --- how the pipeline came to be, step by step


def decode_only(people):
    """The ceiling of any loader that decodes with TensorFlow."""
    photos = stream(people, Order(BATCH)).unbatch().map(lambda entry: entry.photo)
    decoded = photos.map(lambda photo: tf.shape(decode_upright(tf.io.read_file(photo))), tf.data.AUTOTUNE)
    return decoded.batch(BATCH).prefetch(tf.data.AUTOTUNE)


def step_by_step(people, batched_targets, batched_affines, packed):
    """The plain version, and what was moved out of the work on each photo, one thing after the other."""
    mirrored = tf.constant(people.skeleton.flip_permutation)

    def place(step, entries):
        size = tf.shape(entries.box)[0]
        motion = augment_batch.draw_motion(AUGMENTATION, uniforms(0, step, size))
        flip = motion.flip[:, tf.newaxis, tf.newaxis]
        keypoints = tf.where(flip, tf.gather(entries.keypoints, mirrored, axis=1), entries.keypoints)
        affines = geometry_batch.crop_affine(entries.box, HEIGHT, WIDTH, 1.25, motion)
        points = geometry_batch.transform_points(keypoints[..., :2], affines)
        return entries.photo, affines, points, keypoints[..., 2]

    def crop(photo, affine, points, visible):
        pixels = decode_upright(tf.io.read_file(photo))
        if packed:
            return tf.reshape(pixels, (-1, 3)), tf.shape(pixels)[:2], affine, points, visible
        pixels = warp(pixels, affine, HEIGHT, WIDTH)
        if batched_targets:
            return pixels, points, visible
        heatmaps, weights = codec_batch.encode(CODEC, points[tf.newaxis], visible[tf.newaxis])
        return pixels, heatmaps[0], weights[0]

    def unpacked(pixels, sizes, affines, points, visible):
        starts = tf.cast(pixels.row_splits[:-1], tf.int32)
        crop_points = geometry_batch.crop_points(affines, HEIGHT, WIDTH)
        crops = geometry_batch.warp_packed(pixels.values, starts, sizes, crop_points)
        return crops, *codec_batch.encode(CODEC, points, visible)

    if batched_affines:
        photos = stream(people, Order(BATCH)).enumerate().map(place).unbatch()
    else:
        photos = stream(people, Order(1)).enumerate().map(place).unbatch()
    photos = photos.map(crop, num_parallel_calls=tf.data.AUTOTUNE)
    if packed:
        samples = photos.ragged_batch(BATCH).map(unpacked, num_parallel_calls=tf.data.AUTOTUNE)
    elif batched_targets:
        samples = photos.batch(BATCH).map(lambda crops, *joints: (crops, *codec_batch.encode(CODEC, *joints)))
    else:
        samples = photos.batch(BATCH)
    return samples.prefetch(tf.data.AUTOTUNE)


def ours(people):
    """What training uses."""
    return training_dataset(people, CODEC, (HEIGHT, WIDTH), BATCH, augmentation=AUGMENTATION)


def rates(variants) -> dict[str, float]:
    """Images a second of each, the median of ROUNDS turns."""
    iterators = {name: iter(make()) for name, make in variants.items()}
    found: dict = {name: [] for name in variants}
    for iterator in iterators.values():  # compiled, and the files in the page cache
        for _ in range(30):
            next(iterator)
    for _ in range(ROUNDS):
        for name, iterator in iterators.items():
            start = time.perf_counter()
            while time.perf_counter() - start < DRAIN:  # what was made ahead while others had their turn
                next(iterator)
            count, start = 0, time.perf_counter()
            while time.perf_counter() - start < SECONDS:
                next(iterator)
                count += BATCH
            found[name].append(count / (time.perf_counter() - start))
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {name: statistics.median(values) for name, values in found.items()}


# --- memory


def some(data, count, folder) -> Path:
    """A json of the data set's first `count` people."""
    source = Path(data) / "annotations.json"
    document = json.loads(source.read_text())
    document["annotations"] = document["annotations"][:count]
    used = {annotation["image_id"] for annotation in document["annotations"]}
    document["images"] = [image for image in document["images"] if image["id"] in used]
    path = Path(folder) / f"first_{count}.json"
    path.write_text(json.dumps(document))
    return path


def peak_memory(data, images) -> int:
    """Peak of a process of its own that makes 100 batches, MB."""
    command = [sys.executable, __file__, str(data), "--memory-of", str(images)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def use_memory(data, images) -> None:
    """What `peak_memory` starts."""
    for _ in ours(open_people(data, images)).take(100):
        pass
    # Not `resource.getrusage`: its peak begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text().splitlines()
    print(next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM")))


def main(data) -> None:
    """Prints the tables."""
    people = read_people(data)
    with tempfile.TemporaryDirectory() as scratch:
        crops, photos = Path(scratch) / "crops", Path(scratch) / "photos"
        prepare(data, crops)
        prepare(data, photos, StoredPhoto(whole=True))
        table = rates(
            {
                "OpenCV loader, two threads": lambda: opencv_batches(people),
                "decoding alone (the ceiling)": lambda: decode_only(people),
                "tf.data, plain": lambda: step_by_step(people, False, False, False),
                "  + targets by the batch": lambda: step_by_step(people, True, False, False),
                "  + affines by the batch": lambda: step_by_step(people, True, True, False),
                "  + one gather for the batch's warp": lambda: step_by_step(people, True, True, True),
                "  + that in XLA = the pipeline, raw files": lambda: ours(people),
                "the pipeline, TFRecords of crops": lambda: ours(open_people(crops)),
                "the pipeline, TFRecords of photos": lambda: ours(open_people(photos)),
            }
        )
        reference = table["OpenCV loader, two threads"]
        print(f"{'':42} images/s   of OpenCV's")
        for name, rate in table.items():
            print(f"{name:42} {rate:8.0f}   {rate / reference:5.2f}", flush=True)
        images = Path(data) / "images"
        counts = [min(count, len(people)) for count in (2000, 20000)]
        print(f"\n{'peak memory of a process, MB':42} {counts[0]:8} {counts[1]:8} people")
        jsons = [some(data, count, scratch) for count in counts]
        raw = [peak_memory(source, images) for source in jsons]
        print(f"{'raw files':42} {raw[0]:8} {raw[1]:8}")
        folders = [prepare(source, source.with_suffix(""), images=images).folder for source in jsons]
        prepared = [peak_memory(folder, "") for folder in folders]
        print(f"{'TFRecords of crops':42} {prepared[0]:8} {prepared[1]:8}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="COCO-format data set of JPEG files")
    parser.add_argument("--memory-of", metavar="IMAGES", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory_of is None:
        main(given.data)
    else:
        use_memory(given.data, given.memory_of or None)
