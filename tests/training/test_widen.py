"""Widened networks: the same heatmaps from more channels."""

import numpy as np
import pytest
from helpers import randomise

from flpn_tf.errors import InputError
from flpn_tf.models import FLPN, LPN
from flpn_tf.training.initialise import initialise
from flpn_tf.training.widen import widen

PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")


def narrow(**changes):
    return randomise(FLPN(**{"width": 0.25, "image_size": (64, 64)} | changes))


def assert_same(found, expected, tolerance=1e-4):
    found, expected = np.array(found), np.array(expected)
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize(
    "changes,width",
    [
        ({}, 0.5),
        ({"width": 0.125}, 0.5),
        ({"stem": "pooled", "ratios": (1, 4, 2, 8)}, 0.5),
        ({"global_context": False, "keypoints": 5}, 0.75),
        ({"width": 0.125, "block": "ghost"}, 0.25),
        ({"width": 0.125, "ratios": (3, 2, 2, 2), "head_grouped": False}, 0.25),
    ],
    ids=[
        "twice",
        "four times",
        "other stem and ratios",
        "three times, no context",
        "ghost",
        "cut off, dense head",
    ],
)
def test_the_heatmaps_stay(changes, width):
    source = narrow(**changes)
    wide = widen(source, width)
    assert wide.width == width
    assert wide.get_config() == source.get_config() | {"width": width, "name": wide.name}
    assert wide.count_params() == FLPN(**{"image_size": (64, 64)} | changes | {"width": width}).count_params()
    assert_same(wide.predict_on_batch(PIXELS), source.predict_on_batch(PIXELS))


def test_they_stay_with_a_batchs_own_statistics_too():
    source = narrow()
    wide = widen(source, 0.5)
    # Statistics of the last stage's 8 positions multiply rounding.
    assert_same(wide(PIXELS, training=True), source(PIXELS, training=True), tolerance=1e-3)


def test_the_copies_of_a_channel_are_read_in_unlike_shares():
    """Like ones would have the same gradient for ever."""
    source = narrow()
    readers = [
        np.array(network.get_layer("stage0_block1").branch[0].primary.conv.kernel)[0, 0]
        for network in (source, widen(source, 0.5), widen(source, 0.5, seed=1))
    ]
    summed = readers[1][:, ::2].reshape(-1, 2, readers[0].shape[1])  # stage 0's copies are neighbours
    np.testing.assert_allclose(summed.sum(axis=1), readers[0], rtol=1e-5, atol=1e-6)
    share = summed[:, 0] / readers[0]
    assert share.min() > 0 and share.max() < 1 and share.std() > 0.1
    assert np.abs(readers[1] - readers[2]).max() > 0.01


@pytest.mark.parametrize(
    "changes,width",
    [({}, 0.375), ({}, 0.125), ({"block": "standard"}, 0.5), ({"ratios": (3, 2, 2, 2)}, 0.5)],
    ids=["one and a half times", "narrower", "block", "intrinsic maps"],
)
def test_what_cannot_be_widened(changes, width):
    source = FLPN(**{"width": 0.25, "image_size": (64, 64)} | changes)
    with pytest.raises(InputError, match=r"whole number\. Received: width 0.25 to"):
        widen(source, width)


def test_of_a_network_that_rounds_the_float_one_is_widened():
    source = narrow()
    wide = widen(source.with_qat(), 0.5)
    assert not wide.qat
    assert_same(wide.predict_on_batch(PIXELS), source.predict_on_batch(PIXELS))


def test_a_group_that_lacks_a_channel_is_refused():
    """The wide stem's groups are twice as many, of as many channels: none would see both of theirs."""
    with pytest.raises(InputError, match="only an FLPN"):
        widen(FLPN(width=0.875, image_size=(32, 32)), 1.75)


def test_a_run_starts_from_a_narrower_network(tmp_path, capsys):
    source, path = narrow(), tmp_path / "narrow.keras"
    source.save(path)
    model = FLPN(width=0.5, image_size=(64, 64))
    initialise(model, path)
    assert capsys.readouterr().err == f"{path}: widened from width 0.25 to 0.5\n"
    assert_same(model.predict_on_batch(PIXELS), source.predict_on_batch(PIXELS))


def test_a_narrower_one_of_other_layers_is_refused_by_name(tmp_path, capsys):
    path = tmp_path / "narrow.keras"
    narrow(stem="pooled").save(path)
    with pytest.raises(InputError, match="narrow.keras: its layers are not those of the config's network"):
        initialise(FLPN(width=0.5, image_size=(64, 64)), path)
    with pytest.raises(InputError, match="narrow.keras: only an FLPN of smart or ghost blocks"):
        initialise(FLPN(width=0.375, image_size=(64, 64)), path)
    with pytest.raises(InputError, match="narrow.keras: its layers are not those of the config's network"):
        initialise(LPN(image_size=(64, 64)), path)
    assert capsys.readouterr().err == ""
