"""What `flpn data show` does: a contact sheet of people as training sees them.

One row a person, every crop and heatmap of it from the pipeline that `fit` gets:

    photo, person
    plain crop with its joints | its targets | augmented crop 1 with its joints | 2 | …
"""

import dataclasses
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from flpn_tf.codec import HeatmapCodec
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.augment_batch import draw_motion
from flpn_tf.data.contact_sheet import contact_sheet, place, with_heat, with_joints
from flpn_tf.data.entries import Order
from flpn_tf.data.manifest import PreparedPeople
from flpn_tf.data.pipeline import explain, training_dataset, uniforms
from flpn_tf.data.records import People
from flpn_tf.data.sources import locate, open_people
from flpn_tf.data.streams import stream
from flpn_tf.errors import InputError
from flpn_tf.runtime import files
from flpn_tf.runtime.native_stderr import discard_native_stderr
from flpn_tf.training.config import Config
from flpn_tf.training.config_file import load_config

_LEGEND = "orange: the person's left, blue: right, green: neither; black inside: labelled but hidden"
_STRIDE = 4  # of the networks' heatmaps
_SEEDS = 2**31
_LONGEST_SIDE = 30_000  # pixels of the sheet: viewers still open it, and JPEG ends at 65,500


class Choice(NamedTuple):
    """The people to show: batch `first` of batches of `count`, in the data set's order."""

    people: People | PreparedPeople
    first: int
    count: int


def run(
    data,
    out,
    config=None,
    images=None,
    split: str | None = None,
    people: int = 6,
    draws: int = 4,
    image_size: tuple[int, int] | None = None,
    seed: int = 0,
) -> None:
    """Writes a contact sheet and prints its path.

    Args:
        data, images, split: as for `open_people`.
        out: the picture to write.
        config: YAML whose augmentation to show; by default the paper's.
        people: rows; fewer where the data set has fewer.
        draws: augmented crops of each person.
        image_size: (H, W) of a crop; by default the config's.
        seed: of the choice of people and of the augmentation.

    Raises:
        InputError: bad data, a bad config, or a value out of its range.
    """
    out = files.check_writable(out, files.PICTURE_SUFFIXES)
    if people < 1 or draws < 0 or not 0 <= seed < _SEEDS:
        raise InputError(
            "people is at least 1, draws at least 0, and seed at least 0 and below 2^31. "
            f"Received: people={people}, draws={draws}, seed={seed}"
        )
    settings = Config() if config is None else load_config(config)
    height, width = image_size or settings.model.image_size
    if height % _STRIDE or width % _STRIDE:
        raise InputError(f"image_size must be multiples of {_STRIDE}. Received: {height}x{width}")
    codec = HeatmapCodec(height // _STRIDE, width // _STRIDE, _STRIDE)
    everyone = open_people(data, images, split)
    if isinstance(everyone, People):
        files.check_no_photo(out, locate(data, images, split)[1])
    rows = min(people, len(everyone))
    longest = max(place(rows, 2 + draws, (height, width)))
    if longest > _LONGEST_SIDE:
        raise InputError(
            f"the sheet's longer side would have {longest} pixels, {_LONGEST_SIDE} are the most. "
            f"Received: people={people}, draws={draws}, image_size={height}x{width}"
        )
    of_people, of_draws = np.random.default_rng(seed).spawn(2)
    choice = choose(everyone, rows, of_people)
    seeds = of_draws.integers(_SEEDS, size=draws).tolist()
    with discard_native_stderr():
        try:
            sheet = draw_sheet(choice, codec, settings.augmentation, seeds)
        except tf.errors.OpError as failure:
            reason = explain(choice.people, rows, first_step=choice.first)
            if reason is None:
                raise
            raise reason from failure
    files.write_atomically(out, files.encode_picture(sheet, out.suffix))
    print(out)


def choose(people: People | PreparedPeople, count: int, rng: np.random.Generator) -> Choice:
    """Picks people at random; of prepared ones, `count` that are stored one after the other."""
    if isinstance(people, PreparedPeople):
        # The stored order is random. Reading starts with another shard and goes on to a place in it.
        start = rng.integers(len(people.shards))
        shards = people.shards[start:] + people.shards[:start]
        batches_a_shard = math.ceil(people.people / len(shards) / count)
        first = rng.integers(min(batches_a_shard, people.people // count))
        return Choice(dataclasses.replace(people, shards=shards), int(first), count)
    chosen = np.sort(rng.choice(len(people), count, replace=False)).tolist()
    records = [people.records[place] for place in chosen]
    return Choice(dataclasses.replace(people, records=records), 0, count)


def draw_sheet(
    choice: Choice, codec: HeatmapCodec, augmentation: Augmentation, seeds: list[int]
) -> np.ndarray:
    """The sheet, uint8 RGB: a row for each of the people, an augmented crop in it for each seed."""
    people, first, count = choice
    skeleton = people.skeleton
    size = codec.height * codec.stride, codec.width * codec.stride
    entries = next(iter(stream(people, Order(count, first=first, shuffle=False, repeat=False))))
    titles = [Path(name.decode()).name for name in entries.name.numpy()]
    hidden = entries.keypoints[..., 2].numpy() == 1

    def crops(**options):
        """Crops, heatmaps and joints (P, K, 3) (x, y, weight), crop pixels."""
        batches = training_dataset(
            people, codec, size, count, first_step=first, shuffle=False, repeat=False, **options
        )
        pixels, heatmaps, weights = (part.numpy() for part in next(iter(batches)))
        return pixels, heatmaps, np.dstack([codec.decode(heatmaps)[..., :2], weights])

    def pictures(pixels, joints, rings):
        return [with_joints(*one, skeleton) for one in zip(pixels, joints, rings, strict=True)]

    pixels, heatmaps, joints = crops()
    heated = [with_heat(crop, maps, codec.stride) for crop, maps in zip(pixels, heatmaps, strict=True)]
    columns = [(["plain"] * count, pictures(pixels, joints, hidden)), (["targets"] * count, heated)]
    for number, seed in enumerate(seeds, start=1):
        pixels, _, joints = crops(seed=seed, augmentation=augmentation)
        # The pipeline's own numbers say which of the crops it has mirrored.
        flips = draw_motion(augmentation, uniforms(seed, first, count)).flip.numpy()
        rings = np.where(flips[:, np.newaxis], hidden[:, skeleton.flip_permutation], hidden)
        captions = [f"draw {number}{', mirrored' * flip}" for flip in flips.tolist()]
        columns.append((captions, pictures(pixels, joints, rings)))
    return contact_sheet(titles, columns, _LEGEND)
