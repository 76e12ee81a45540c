"""Runs a network over crops and measures how alike the maps of each layer are."""

import sys
from collections.abc import Callable

import keras
import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.redundancy.likeness import Likeness
from flpn_tf.redundancy.ssim import SMALLEST, fitted_filter_size, scaled, ssim_sums
from flpn_tf.redundancy.taps import OWN_STAGES, tapped

PAIRS = 300_000  # 775 maps


def measure_likeness(
    model: keras.Model,
    crops: np.ndarray,
    layers: str = OWN_STAGES,
    pairs: int = PAIRS,
    batch_size: int = 8,
    filter_size: int | None = None,
    seed: int = 0,
    progress: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> list[Likeness]:
    """The likeness of each layer, in the network's order.

    Args:
        model: functional.
        crops: (N, H, W, 3), which it is given as float32.
        layers: as of `tapped`.
        pairs: compared in each layer; of a layer with more, seeded random maps are each compared with all.
        batch_size: crops in the network at once.
        filter_size: of SSIM's window in every layer; by default `fitted_filter_size` of each.
        seed: of those maps.
        progress: is given a line after each batch.

    Raises:
        InputError: as `tapped`; a layer with one map, with maps that are too small for a window, or with a
            value that is not finite.
    """
    network, stages = tapped(model, layers)
    layers_of = zip(stages.items(), network.outputs, strict=True)
    found = [_Sums(layer, stage, maps.shape, pairs, filter_size, seed) for (layer, stage), maps in layers_of]
    for first in range(0, len(crops), batch_size):
        outputs = network(crops[first : first + batch_size].astype(np.float32), training=False)
        for sums, maps in zip(found, keras.tree.flatten(outputs), strict=True):
            sums.add(keras.ops.convert_to_numpy(maps), first)
        progress(f"{min(first + batch_size, len(crops))}/{len(crops)} crops")
    return [sums.likeness(len(crops)) for sums in found]


class _Sums:
    """Adds up the similarities of one layer."""

    def __init__(self, layer: str, stage: str, shape: tuple, pairs: int, filter_size, seed: int):
        _, *self.size, self.channels = shape
        self.layer, self.stage = layer, stage
        try:
            fitted = fitted_filter_size(*self.size)
        except ValueError as error:
            raise InputError(
                f"{layer}: {error}; leave its stage out with --layers, or take a network of a larger input"
            ) from error
        largest = min(self.size)
        if filter_size is not None and not SMALLEST <= filter_size <= largest:
            raise InputError(
                f"{layer}: the window must be of {SMALLEST} to {largest} pixels. Received: {filter_size}"
            )
        self.filter_size = filter_size or fitted
        if self.channels < 2:
            raise InputError(f"{layer}: has one map, so there is nothing to compare. Received: {shape}")
        self.rows = None
        if self.channels * (self.channels - 1) // 2 > pairs:
            count = min(self.channels, max(2, pairs // (self.channels - 1)))
            self.rows = np.sort(np.random.default_rng(seed).choice(self.channels, count, replace=False))
        self.sums = 0
        self.constant = np.ones(self.channels, bool)

    def add(self, maps: np.ndarray, first: int) -> None:
        try:
            maps, constant = scaled(maps)
        except ValueError as error:
            images = f"crops {first} to {first + len(maps) - 1}"
            raise InputError(f"{self.layer}: the network's {error}, {images}") from error
        self.constant &= constant.all(axis=0)
        self.sums = self.sums + ssim_sums(maps, self.rows, self.filter_size)

    def likeness(self, images: int) -> Likeness:
        rows = np.arange(self.channels) if self.rows is None else self.rows
        # Of maps that are the same, float32 leaves some 1e-7 above 1.
        similarity = np.minimum(self.sums / images, 1)
        similarity[np.arange(len(rows)), rows] = 1
        return Likeness(
            self.layer,
            self.stage,
            tuple(self.size),
            self.channels,
            self.filter_size,
            rows,
            similarity,
            int(self.constant.sum()),
        )
