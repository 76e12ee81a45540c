import keras
import numpy as np
import pytest
from helpers import random_maps

from flpn_tf.training.loss import HeatmapLoss


def expected(truth, predicted, weights):
    per_joint = 0.5 * ((predicted - truth) ** 2).mean(axis=(1, 2))
    return (per_joint * weights).mean()


@pytest.fixture
def case():
    truth, predicted = random_maps(3, 8, 6, 4, seed=1), random_maps(3, 8, 6, 4, seed=2)
    weights = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 0.5]], np.float32)
    return truth, predicted, weights


def test_value_is_the_weighted_mean_over_persons_and_joints(case):
    truth, predicted, weights = case
    np.testing.assert_allclose(
        HeatmapLoss()(truth, predicted, sample_weight=weights), expected(*case), rtol=1e-5
    )
    np.testing.assert_allclose(HeatmapLoss()(truth, predicted), expected(truth, predicted, 1), rtol=1e-5)
    assert HeatmapLoss().call(truth, predicted).shape == (3, 4)


def test_fit_reports_and_descends_it(case):
    """Through `compile` and `fit`: the weights reach the loss as (B, K), and only weighted joints learn."""
    truth, predicted, weights = case
    model = keras.Sequential([keras.Input((8, 6, 4)), keras.layers.DepthwiseConv2D(1, name="gain")])
    model.layers[0].set_weights([np.ones((1, 1, 4, 1)), np.zeros(4)])
    model.compile(keras.optimizers.SGD(1.0), loss=HeatmapLoss(), jit_compile=False)
    only_first = weights * [1, 0, 0, 0]
    history = model.fit(predicted, truth, sample_weight=only_first, batch_size=3, verbose=0)
    np.testing.assert_allclose(history.history["loss"], [expected(truth, predicted, only_first)], rtol=1e-5)
    gains = model.layers[0].get_weights()[0].ravel()
    error = (predicted - truth) * predicted
    slope = (error.mean(axis=(1, 2))[:, 0] * only_first[:, 0]).mean() / 4
    np.testing.assert_allclose(gains, [1 - slope, 1, 1, 1], rtol=1e-5)


def test_it_is_saved_with_a_model():
    assert isinstance(keras.losses.deserialize(keras.losses.serialize(HeatmapLoss())), HeatmapLoss)
