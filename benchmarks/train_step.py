"""Training speed on this machine's CPU: `make bench-train`.

1  Steps a second of FLPN with our layers and with those of plain Keras (plain_network.py): forward, backward
   and Adam, the same weights and batch, the variants taking turns, so that their ratios hold on a busy
   machine.
   DepthwiseConv2D, where groups equal channels, leaves one grouped layer: the first transposed convolution.
   One variant is ours but for the batch norm, which is Keras's, spelled out in some ten operations.
2  The share of a training step spent waiting for the data set's next batch.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from unittest.mock import patch

import keras
import numpy as np
from plain_network import plain_network

import flpn_tf.training
from flpn_tf.data.pipeline import training_dataset
from flpn_tf.data.sources import open_people
from flpn_tf.layers import conv_norm
from flpn_tf.training.config_file import load_config
from flpn_tf.training.loss import HeatmapLoss
from flpn_tf.training.networks import build_model
from flpn_tf.training.optimizer import make_optimizer

CONFIG = Path(flpn_tf.training.__file__).parent / "configs" / "mobile_people_128x96_round3.yaml"
SMALL_BATCH = 8  # of the comparison: plain Keras needs seconds a step
ROUNDS, STEPS = 3, 2  # turns of each variant, and steps of a turn
WARM_UP, TIMED = 10, 40  # steps on real data


def compiled(config, skeleton, plain=None, jit=False, norm=conv_norm.BatchNorm):
    """The config's network, its weights always the same, and its optimiser.

    Args:
        plain: arguments of `plain_network`, for its twin of stock layers in its place.
        jit: XLA for the whole step.
        norm: the batch norm of our layers.
    """
    keras.utils.set_random_seed(0)
    with patch.object(conv_norm, "BatchNorm", norm):
        model = build_model(config.model, skeleton)
    if plain is not None:
        model = plain_network(model, **plain)
    model.compile(make_optimizer(config.schedule, 1000, model), loss=HeatmapLoss(), jit_compile=jit)
    model.optimizer.build(model.trainable_variables)
    return model


def notice(text) -> None:
    print(text, file=sys.stderr, flush=True)


def compare_layers(config) -> None:
    """Prints the first table.

    Raises:
        SystemExit: the networks do not give the same heatmaps, so there is nothing to compare.
    """
    height, width = config.model.image_size
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (SMALL_BATCH, height, width, 3)).astype(np.uint8)
    variants = {  # name → further arguments of `compiled`
        "our layers": {},
        "our layers, Keras's batch norm": {"norm": keras.layers.BatchNormalization},
        "plain Keras: Conv2D(groups), DepthwiseConv2D": {"plain": {}},
        "  the same, jit_compile as Keras chooses it": {"plain": {}, "jit": True},
        "plain Keras: Conv2D(groups) everywhere": {"plain": {"depthwise": False}},
    }
    models, heatmaps, seconds = {}, {}, {name: [] for name in variants}
    for name, options in variants.items():
        notice(f"compiling: {name.strip()}")
        model = models[name] = compiled(config, None, **options)
        heatmaps[name] = np.asarray(model(crops, training=True))
        targets = np.zeros_like(heatmaps[name])
        model.train_on_batch(crops, targets)
    for name, maps in heatmaps.items():
        reference = heatmaps["our layers"]
        difference = np.abs(maps - reference).max() / np.abs(reference).max()
        if not difference < 1e-4:
            sys.exit(f"{name.strip()}: heatmaps differ from ours by {difference:.1e} of the largest: no twin")
    for turn in range(ROUNDS):
        for name, model in models.items():
            for _ in range(STEPS):
                start = time.perf_counter()
                model.train_on_batch(crops, targets)
                seconds[name].append(time.perf_counter() - start)
        notice(f"round {turn + 1} of {ROUNDS}")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"FLPN-{config.model.depth}, width {config.model.width}, {height}x{width}, batch {SMALL_BATCH}")
    print(f"{'':46} ms/step  steps/s   ours is faster by")
    for name, median in medians.items():
        ratio = median / medians["our layers"]
        print(f"{name:46} {1000 * median:7.0f}  {1 / median:7.2f}   {ratio:5.1f}x", flush=True)


def wait_for_data(config, data) -> None:
    """Prints the second table."""
    people, schedule = open_people(data), config.schedule
    model = compiled(config, people.skeleton)
    batches = training_dataset(
        people,
        model.codec,
        config.model.image_size,
        schedule.batch_size,
        seed=schedule.seed,
        augmentation=config.augmentation,
    )
    # In `fit` the next batch is fetched inside of the compiled step; this is that step, called for a batch.
    iterator = iter(batches)
    waits, steps = [], []
    for number in range(WARM_UP + TIMED):
        start = time.perf_counter()
        crops, heatmaps, weights = next(iterator)
        fetched = time.perf_counter()
        model.train_on_batch(crops, heatmaps, weights)
        waits.append(fetched - start)
        steps.append(time.perf_counter() - start)
        if (number + 1) % 10 == 0:
            notice(f"step {number + 1} of {WARM_UP + TIMED}")
    del iterator  # which would go on filling its buffers
    alone = []
    for _ in range(WARM_UP):
        start = time.perf_counter()
        model.train_on_batch(crops, heatmaps, weights)
        alone.append(time.perf_counter() - start)
    waits, steps = waits[WARM_UP:], steps[WARM_UP:]
    print(f"\n{CONFIG.stem}, batch {schedule.batch_size}: the median of {TIMED} steps on {data}")
    print(
        f"step {1000 * statistics.median(steps):.0f} ms, {schedule.batch_size * TIMED / sum(steps):.1f} img/s"
    )
    print(f"of it waiting for the next batch {1000 * statistics.median(waits):.1f} ms")
    print(f"share of all steps spent waiting {100 * sum(waits) / sum(steps):.2f} %")
    print(f"step without a pipeline beside it {1000 * statistics.median(alone):.0f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", help="what `flpn train --data` takes")
    given = parser.parse_args()
    settings = load_config(CONFIG)
    compare_layers(settings)
    wait_for_data(settings, given.data)
