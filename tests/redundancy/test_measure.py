"""How alike the maps of a network's layers are: known networks, and what must not matter."""

import keras
import numpy as np
import pytest
from helpers import randomise

from flpn_tf.errors import InputError
from flpn_tf.layers import SmartBottleneck
from flpn_tf.models import FLPN
from flpn_tf.models.bottlenecks import StandardBottleneck
from flpn_tf.redundancy.measure import measure_likeness
from flpn_tf.redundancy.rule import Rule
from flpn_tf.redundancy.summary import BINS, summarise, table
from flpn_tf.redundancy.taps import tapped

NAMES = r"(conv\d)_.*"


def noise(count, height=24, width=24, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (count, height, width, 3)).astype(np.float32)


def network(*kernels):
    """Convolutions side by side of the given kernels (h, w, 3, C), `conv0_a`, `conv1_a`, …"""
    image = keras.Input((24, 24, 3))
    maps = [
        keras.layers.Conv2D(kernel.shape[-1], kernel.shape[:2], use_bias=False, name=f"conv{place}_a")(image)
        for place, kernel in enumerate(kernels)
    ]
    model = keras.Model(image, maps)
    for place, kernel in enumerate(kernels):
        model.get_layer(f"conv{place}_a").set_weights([kernel])
    return model


def kernels(count, seed=0):
    return np.random.default_rng(seed).normal(size=(5, 5, 3, count)).astype(np.float32)


def measured(model, crops, **options):
    found = measure_likeness(model, crops, NAMES, progress=lambda line: None, **options)
    return found, summarise(found, Rule())


@pytest.mark.parametrize("distinct", [2, 5, 12, 40])
def test_a_known_number_of_copies_is_found(distinct):
    own = kernels(distinct)
    gains = np.random.default_rng(1).uniform(0.1, 9, 48).astype(np.float32)
    copies = np.random.default_rng(2).permutation(np.arange(48) % distinct)
    _, summary = measured(network(own[..., copies] * gains), noise(6))
    (layer,) = summary["layers"]
    assert layer["intrinsic"] * layer["channels"] == pytest.approx(distinct)
    assert summary["stages"][0]["ratio"] == {2: 16, 5: 8, 12: 4, 40: 2}[distinct]


def test_the_same_map_everywhere_and_noise():
    same = np.repeat(kernels(1), 32, axis=-1)
    _, summary = measured(network(same, kernels(32)), noise(4))
    first, second = summary["stages"]
    assert (first["stage"], first["ratio"], first["alike"]) == ("conv0", 16, 1)
    assert first["similarity"]["mean"] == pytest.approx(1, abs=1e-5)
    assert (second["stage"], second["ratio"], second["alike"], second["intrinsic"]) == ("conv1", 2, 0, 1)
    assert second["similarity"]["mean"] < 0.2


def test_neither_the_order_of_channels_nor_batches_matter():
    own = kernels(12)
    order = np.random.default_rng(0).permutation(12)
    (plain,), _ = measured(network(own), noise(7))
    (other,), _ = measured(network(own[..., order]), noise(7), batch_size=3)
    np.testing.assert_allclose(other.similarity, plain.similarity[order][:, order], atol=1e-5)


def test_a_stage_counts_the_maps_of_all_its_layers():
    image = keras.Input((24, 24, 3))
    maps = [keras.layers.Conv2D(count, 5, name=name)(image) for name, count in (("s_a", 12), ("s_b", 36))]
    model = keras.Model(image, maps)
    model.get_layer("s_a").set_weights([kernels(12), np.zeros(12)])
    model.get_layer("s_b").set_weights([np.repeat(kernels(1), 36, axis=-1), np.zeros(36)])
    found = measure_likeness(model, noise(3), r"(s)_.", progress=lambda line: None)
    summary = summarise(found, Rule())
    (stage,) = summary["stages"]
    assert (stage["layers"], stage["channels"]) == (2, 48)
    assert stage["intrinsic"] * 48 == pytest.approx(12 + 1)
    assert stage["ratio"] == 2
    pairs = np.concatenate([one.pairs() for one in found])
    assert len(pairs) == 12 * 11 / 2 + 36 * 35 / 2
    assert stage["similarity"]["mean"] == pytest.approx(pairs.mean())
    assert stage["similarity"]["median"] == pytest.approx(np.quantile(pairs, 0.5, method="inverted_cdf"))
    counts = np.bincount(np.minimum((pairs * BINS).astype(int), BINS - 1), minlength=BINS)
    np.testing.assert_allclose(stage["similarity"]["histogram"], counts / len(pairs), atol=1e-6)
    assert sum(stage["similarity"]["histogram"]) == pytest.approx(1, abs=1e-5)
    text = table(summary, Rule())
    assert [line.split()[0] for line in text.splitlines()[1:4]] == ["s", "s_a", "s_b"]


def test_a_sample_of_maps_where_there_are_too_many_pairs():
    own = kernels(20)
    (whole,), _ = measured(network(own), noise(3))
    (part,), summary = measured(network(own), noise(3), pairs=60, seed=4)
    assert not whole.sampled
    assert part.sampled
    assert len(part.rows) == 3
    np.testing.assert_allclose(part.similarity, whole.similarity[part.rows], atol=1e-6)
    assert len(part.pairs()) == 3 * 19
    assert summary["layers"][0]["sampled"]
    assert summary["layers"][0]["intrinsic_error"] == 0  # all three maps are like no other
    assert "±: in 1 layers only some maps were compared" in table(summary, Rule())
    (again,), _ = measured(network(own), noise(3), pairs=60, seed=4)
    np.testing.assert_array_equal(again.similarity, part.similarity)
    (other,), _ = measured(network(own), noise(3), pairs=60, seed=5)
    assert list(other.rows) != list(part.rows)


def test_constant_maps_are_counted():
    own = kernels(8)
    own[..., [2, 5]] = 0
    _, summary = measured(network(own), noise(2))
    (layer,) = summary["layers"]
    assert layer["constant"] == 2
    assert layer["intrinsic"] * 8 == pytest.approx(7)
    assert "conv0_a 2" in table(summary, Rule())


def test_one_window_for_all_layers():
    (found,), _ = measured(network(kernels(4)), noise(2), filter_size=5)
    assert found.filter_size == 5
    with pytest.raises(InputError, match="conv0_a: the window must be of 3 to 20 pixels. Received: 21"):
        measured(network(kernels(4)), noise(2), filter_size=21)


@pytest.mark.parametrize("block", [StandardBottleneck, SmartBottleneck])
def test_blocks_give_what_is_before_the_residual_sum(block):
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(16, 3, padding="same")(image)
    layer = block(4, 16, name="stage0_block0")
    model = randomise(keras.Model(image, layer(x)))
    taps, stages = tapped(model)
    assert stages == {"stage0_block0": "stage0"}
    pixels = noise(2, 16, 16)
    (maps,) = keras.tree.flatten(taps(pixels))
    np.testing.assert_allclose(
        np.maximum(maps + model.layers[1](pixels), 0), model(pixels), rtol=1e-4, atol=1e-3
    )
    assert np.asarray(maps).min() < 0  # not yet through the ReLU


def test_stages_of_the_networks():
    model = FLPN(block="standard", width=0.125, image_size=(96, 96), keypoints=3)
    taps, stages = tapped(model)
    assert list(stages.values()) == [
        f"stage{s}" for s, count in enumerate((3, 4, 6, 3)) for _ in range(count)
    ]
    assert [maps.shape[1:3] for maps in taps.outputs[::5]] == [(24, 24), (12, 12), (6, 6), (3, 3)]


def small_maps():
    image = keras.Input((24, 24, 3))
    return keras.Model(image, keras.layers.Conv2D(4, 23, name="conv0_a")(image))


def with_nan():
    own = kernels(4)
    own[0, 0, 0, 1] = np.nan
    return network(own)


def nested():
    image = keras.Input((24, 24, 3))
    inside = keras.Input((24, 24, 3))
    inner = keras.Model(inside, keras.layers.Conv2D(4, 3)(inside), name="conv0_a")
    return keras.Model(image, inner(image))


def two_outputs():
    image = keras.Input((24, 24, 3))
    layer = keras.layers.GRU(3, return_state=True, name="conv0_a")
    return keras.Model(image, layer(keras.layers.Reshape((24, 72))(image)))


def not_maps():
    image = keras.Input((24, 24, 3))
    return keras.Model(image, keras.layers.Flatten(name="conv0_a")(image))


@pytest.mark.parametrize(
    ("model", "names", "said"),
    [
        (small_maps, NAMES, "conv0_a: maps must be 3 pixels .* Received: 2x2; leave its stage out"),
        (with_nan, NAMES, "conv0_a: the network's maps must be finite. .*crops 0 to 1"),
        (lambda: network(kernels(1)), NAMES, "conv0_a: has one map"),
        (nested, NAMES, "conv0_a: cannot be looked into"),
        (two_outputs, NAMES, "conv0_a: gives no maps of a fixed size"),
        (not_maps, NAMES, "conv0_a: gives no maps of a fixed size"),
        (lambda: network(kernels(2)), "stage.*", "no layer's name matches.*Received: stage.*conv#_a"),
        (lambda: network(kernels(2)), "(", "no regular expression"),
    ],
)
def test_what_cannot_be_measured(model, names, said):
    with pytest.raises(InputError, match=said):
        measure_likeness(model(), noise(2), names, progress=lambda line: None)
