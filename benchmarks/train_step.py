"""Training speed on this machine's CPU: `make bench-train`.

1  Steps a second of FLPN with our grouped convolutions and with those of plain Keras: forward, backward and
   Adam, the same weights and batch, the variants taking turns, so that their ratios hold on a busy machine.
   DepthwiseConv2D, where groups equal channels, leaves one grouped layer: the first transposed convolution.
2  The share of a training step spent waiting for the data set's next batch.
"""

import argparse
import contextlib
import statistics
import sys
import time
from pathlib import Path
from unittest import mock

import keras
import numpy as np
from keras import ops

import flpn_tf.training
from flpn_tf.data.pipeline import training_dataset
from flpn_tf.data.sources import open_people
from flpn_tf.layers import grouped_conv, grouped_deconv, pixel_conv
from flpn_tf.training.config_file import load_config
from flpn_tf.training.loss import HeatmapLoss
from flpn_tf.training.networks import build_model
from flpn_tf.training.optimizer import make_optimizer

CONFIG = Path(flpn_tf.training.__file__).parent / "configs" / "mobile_people_128x96_round3.yaml"
SMALL_BATCH = 8  # of the comparison: plain Keras needs seconds a step
ROUNDS, STEPS = 3, 2  # turns of each variant, and steps of a turn
WARM_UP, TIMED = 10, 40  # steps on real data


def keras_conv2d(depthwise: bool):
    """Our `conv2d` by the operations that are all of `keras.layers.Conv2D` and `DepthwiseConv2D`.

    Args:
        depthwise: where groups equal channels, `DepthwiseConv2D`; False is `Conv2D(groups=…)` everywhere.
    """

    def conv2d(inputs, kernel, strides=1, padding="same", groups=1):
        height, width, channels_per_group, filters = kernel.shape
        if padding == "same" and strides > 1 and height > 1:
            border = ((height // 2, height // 2), (width // 2, width // 2))
            inputs, padding = ops.pad(inputs, ((0, 0), *border, (0, 0))), "valid"
        if depthwise and groups > 1 and channels_per_group == 1:
            kernel = ops.reshape(kernel, (height, width, groups, filters // groups))
            return ops.depthwise_conv(inputs, kernel, strides, padding)
        return ops.conv(inputs, kernel, strides, padding)

    return conv2d


@contextlib.contextmanager
def convolutions(conv2d):
    """What is traced meanwhile convolves with `conv2d`; None leaves ours."""
    with contextlib.ExitStack() as stack:
        for module in (grouped_conv, grouped_deconv, pixel_conv) if conv2d is not None else ():
            stack.enter_context(mock.patch.object(module, "conv2d", conv2d))
        yield


def compiled(config, skeleton, jit=False):
    """The config's network and optimiser, its weights always the same."""
    keras.utils.set_random_seed(0)
    model = build_model(config.model, skeleton)
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
    variants = {  # name → (convolution, XLA for the whole step)
        "our layers": (None, False),
        "plain Keras: Conv2D(groups), DepthwiseConv2D": (keras_conv2d(True), False),
        "  the same, jit_compile as Keras chooses it": (keras_conv2d(True), True),
        "plain Keras: Conv2D(groups) everywhere": (keras_conv2d(False), False),
    }
    models, heatmaps, seconds = {}, {}, {name: [] for name in variants}
    for name, (conv2d, jit) in variants.items():
        notice(f"compiling: {name.strip()}")
        with convolutions(conv2d):
            model = models[name] = compiled(config, None, jit)
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
