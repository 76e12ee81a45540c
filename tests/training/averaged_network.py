"""A tiny network whose moving average is far from its weights, and plain batches of people for it."""

import keras
import numpy as np
from helpers import randomise
from synthetic_people import SKELETON
from tiny_network import TinyNetwork

from flpn_tf.geometry import crop_affine, warp
from flpn_tf.runtime.images import read_image
from flpn_tf.training.loss import HeatmapLoss

SIZE = (64, 64)


def plain_batches(people, codec, size):
    """The people as arrays, in batches of `size`, by numpy and OpenCV."""
    samples = []
    for record in people.records:
        affine = crop_affine(record.box, *SIZE)
        points = record.keypoints[:, :2] @ affine[:, :2].T + affine[:, 2]
        crop = warp(read_image(record.image), affine, *SIZE)
        samples.append((crop, *codec.encode(points, record.keypoints[:, 2])))
    for first in range(0, len(samples), size):
        yield tuple(np.stack(part) for part in zip(*samples[first : first + size], strict=True))


def network(ema=0.9, skeleton=SKELETON):
    """Compiled; its average of the weights, where it has one, is far from the weights."""
    model = randomise(TinyNetwork(SIZE, skeleton))
    options = {} if ema is None else {"use_ema": True, "ema_momentum": ema}
    model.compile(keras.optimizers.Adam(0.01, **options), loss=HeatmapLoss())
    model.optimizer.build(model.trainable_variables)
    if ema is not None:
        for average, weight in zip(averages(model), model.trainable_variables, strict=True):
            average.assign(weight * 0.5 + 0.01)
    return model


def averages(model):
    return [variable for variable in model.optimizer.variables if "average" in variable.path]


def state(model):
    return [variable.numpy() for variable in [*model.weights, *model.optimizer.variables]]
