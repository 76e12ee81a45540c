"""Muon: what it does to dense 1×1 kernels, and that all else is Adam's."""

import dataclasses

import keras
import numpy as np
import pytest
from helpers import difference
from runs import STEPS, config, interrupt, losses, same_weights, stop_after

from flpn_tf import FLPN
from flpn_tf.training.config import ScheduleConfig
from flpn_tf.training.fit import train
from flpn_tf.training.optimizer import Muon, make_optimizer

RATE = 0.01


def variable(*shape, layer="unit", name="kernel"):
    values = np.random.default_rng(len(shape)).normal(size=shape)
    with keras.name_scope(layer):
        return keras.Variable(values, dtype="float32", name=name)


def gradients(count, *shape):
    return np.random.default_rng(7).normal(size=(count, *shape)).astype("float32")


def numpy_muon(kernel, of_steps):
    """The published algorithm on a matrix (Jordan et al. 2024), with the update's size of Liu et al. 2025."""
    momentum = np.zeros_like(kernel)
    for gradient in of_steps:
        momentum = 0.95 * momentum + gradient
        x = gradient + 0.95 * momentum
        x = x / np.linalg.norm(x)
        if x.shape[0] > x.shape[1]:
            x = x.T
        for _ in range(5):
            gram = x @ x.T
            x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
        x = x if x.shape == kernel.shape else x.T
        kernel = kernel - RATE * 0.2 * np.sqrt(max(kernel.shape)) * x
    return kernel


@pytest.mark.parametrize("channels,filters", [(12, 5), (5, 12), (6, 6)])
def test_steps_of_a_dense_kernel_are_the_published_ones(channels, filters):
    kernel = variable(1, 1, channels, filters)
    before, given = np.array(kernel)[0, 0], gradients(3, 1, 1, channels, filters)
    optimizer = Muon(RATE, weight_decay=None, adam_weight_decay=None)
    for gradient in given:
        optimizer.apply([gradient], [kernel])
    assert difference(np.array(kernel)[0, 0], numpy_muon(before, given[:, 0, 0])) < 1e-5


def test_a_step_has_every_direction_at_nearly_the_same_length():
    kernel = variable(1, 1, 16, 8)
    before = np.array(kernel)[0, 0]
    scaled = gradients(1, 16, 8)[0] * np.logspace(0, -2, 8)  # a gradient of two directions, nearly
    Muon(RATE, weight_decay=None, adam_weight_decay=None).apply(
        [scaled[None, None].astype("float32")], [kernel]
    )
    step = (before - np.array(kernel)[0, 0]) / (RATE * 0.2 * 4)
    values = np.linalg.svd(step, compute_uv=False)
    assert 0.5 < values.min() < values.max() < 1.3
    assert np.ptp(np.linalg.svd(scaled, compute_uv=False)) > 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: variable(3, 3, 1, 8),
        lambda: variable(8),
        lambda: variable(1, 1, 8, 4, layer="context"),
        lambda: variable(1, 1, 8, 4, layer="heatmaps"),
    ],
    ids=["depthwise", "offset", "context", "last"],
)
def test_all_else_is_adams(make):
    ours, theirs = make(), make()
    muon, adam = Muon(RATE, weight_decay=None, adam_weight_decay=None), keras.optimizers.Adam(RATE)
    for gradient in gradients(3, *ours.shape):
        muon.apply([gradient], [ours])
        adam.apply([gradient], [theirs])
    assert difference(ours, theirs) < 1e-6


def test_in_flpn_it_takes_the_dense_convolutions_of_the_blocks():
    model = FLPN(width=0.25, image_size=(64, 64))
    optimizer = make_optimizer(ScheduleConfig(optimizer="muon", weight_decay=0.1), 100, model)
    assert isinstance(optimizer, Muon)
    taken = [v for v in model.trainable_variables if not optimizer._should_use_adamw(v)]
    assert len(taken) == 2 * 16 + 4  # two smart modules a block, and the shortcuts
    assert all(v.shape[:2] == (1, 1) and min(v.shape[2:]) > 1 for v in taken)


def test_clipping_and_decay_of_kernels_alone():
    kernel, offset = variable(1, 1, 4, 4), variable(4, name="beta")
    model = type("Model", (), {"trainable_variables": [kernel, offset]})
    options = {"optimizer": "muon", "learning_rate": RATE, "schedule": "step", "drops": ()}
    optimizer = make_optimizer(ScheduleConfig(**options, weight_decay=0.5, clip_norm=1.0), 10, model)
    before = [np.array(v) for v in (kernel, offset)]
    still = [np.zeros(v.shape, "float32") for v in (kernel, offset)]
    optimizer.apply(still, [kernel, offset])
    assert difference(kernel, before[0] * (1 - 0.5 * RATE)) < 1e-6
    assert difference(offset, before[1]) == 0
    assert optimizer.clip_norm == 1.0


@pytest.mark.usefixtures("tiny")
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(data, tmp_path, monkeypatch):
    settings = config(optimizer="muon")
    whole = train(settings, data, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 2 * STEPS + 1, interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(settings, data, tmp_path / "run")
    again = train(settings, data, tmp_path / "run")
    np.testing.assert_allclose(losses(tmp_path / "run"), losses(tmp_path / "whole"), rtol=1e-3)
    same_weights(again, whole, rtol=1e-2, atol=1e-3)
    adam = dataclasses.replace(settings, schedule=dataclasses.replace(settings.schedule, optimizer="adam"))
    other = train(adam, data, tmp_path / "adam")
    with pytest.raises(AssertionError):
        same_weights(other, whole, rtol=1e-2, atol=1e-3)
