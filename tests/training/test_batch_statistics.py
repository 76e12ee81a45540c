"""The statistics that a moving average of the weights is delivered with."""

import dataclasses

import keras
import numpy as np
import pytest
from helpers import difference, random_maps, random_pixels, randomise
from runs import config
from tiny_network import TinyNetwork

from flpn_tf.data.pipeline import training_dataset
from flpn_tf.data.sources import read_people
from flpn_tf.layers.conv_norm import conv_norm
from flpn_tf.models.load import load_network
from flpn_tf.training.batch_statistics import STEPS, settle, settler
from flpn_tf.training.fit import train


def numpy_norm_of(layer, maps):
    """(mean, variance) over batches of what a layer gives, the mean of each batch's."""
    outputs = [np.asarray(layer.conv(one)) for one in maps]
    return (np.mean([getattr(one, what)((0, 1, 2)) for one in outputs], axis=0) for what in ("mean", "var"))


@pytest.mark.parametrize("steps,used", [(3, 3), (100, STEPS)])
def test_they_become_the_means_over_batches(steps, used):
    layer = conv_norm("unit", 5, 1)
    network = keras.Sequential([keras.Input((4, 4, 3)), layer])
    randomise(network)
    batches = [random_maps(2, 4, 4, 3) * (1 + number % 3) for number in range(STEPS + 9)]
    settle(network, ((maps, None, None) for maps in batches), steps)
    mean, variance = numpy_norm_of(layer, batches[:used])
    assert difference(layer.norm.moving_mean, mean) < 1e-5
    assert difference(layer.norm.moving_variance, variance) < 1e-4
    assert layer.norm.momentum == 0.9


@pytest.mark.parametrize(
    "changes,settles",
    [({}, True), ({"ema": None}, False), ({"freeze_batch_norm": True}, False), ({"qat": True}, False)],
)
def test_only_those_of_other_weights_change(changes, settles):
    model = TinyNetwork((64, 64), skeleton=None)
    model.qat = changes.pop("qat", False)
    before = [np.array(weight) for weight in model.non_trainable_variables]
    schedule = dataclasses.replace(config(ema=0.9).schedule, **changes)
    crops = random_pixels(4, 64, 64, 3)
    settler(schedule, people=8, batches=lambda first, whole: [(crops,), (crops,)])(model)
    moved = max(map(difference, model.non_trainable_variables, before))
    assert (moved > 0.01) == settles


@pytest.mark.usefixtures("tiny")
def test_a_run_delivers_the_average_with_its_own(data, tmp_path):
    settings = config(ema=0.9, learning_rate=0.05)
    model = load_network(train(settings, data, tmp_path / "run"))
    checkpoint = load_network(tmp_path / "run" / "checkpoint.keras", compiled=True)
    people = read_people(data)
    options = {"seed": settings.schedule.seed, "augmentation": settings.augmentation}
    batches = training_dataset(people, model.codec, model.image_size, settings.schedule.batch_size, **options)
    conv = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    ours, theirs = (
        next(layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization))
        for network in (model, checkpoint)
    )
    means = [
        np.asarray(conv(np.asarray(crops, "float32") / 127.5 - 1)).mean((0, 1, 2))
        for crops, _, _ in batches.take(len(people) // settings.schedule.batch_size)
    ]
    assert difference(ours.moving_mean, np.mean(means, axis=0)) < 1e-4
    assert difference(theirs.moving_mean, ours.moving_mean) > 1e-3
