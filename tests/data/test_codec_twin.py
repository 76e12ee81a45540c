import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flpn_tf import codec as codecs
from flpn_tf.codec import HeatmapCodec
from flpn_tf.data import codec_tf

HEIGHT, WIDTH, STRIDE, SIGMA = 20, 16, 4, 2.0
WINDOW = codecs.WINDOW_SIGMAS * SIGMA

coordinates = st.floats(-60, 140, width=32)
people = st.lists(
    st.lists(st.tuples(coordinates, coordinates, st.sampled_from([0, 1, 2])), min_size=3, max_size=3),
    min_size=1,
    max_size=4,
)


def on_an_edge(points, codec):
    """Within float32's error of a window's end, or of a half, the two may differ about a pixel."""
    centres = points / STRIDE
    if not codec.unbiased:
        off = np.abs(centres - np.floor(centres) - 0.5)
        return (off > 0) & (off < 1e-5)
    edge = np.abs(centres[..., None, :] - np.arange(max(HEIGHT, WIDTH))[:, None])
    return (np.abs(edge - WINDOW) < 1e-5).any(axis=-2)


@pytest.mark.parametrize("unbiased", [True, False])
def test_heatmaps_and_weights(unbiased):
    codec = HeatmapCodec(HEIGHT, WIDTH, STRIDE, SIGMA, unbiased=unbiased)

    @settings(deadline=None)
    @given(people)
    def check(group):
        group = np.array(group, np.float64)
        points, visible = group[..., :2], group[..., 2]
        points = np.where(on_an_edge(points, codec), np.round(points) + 0.25, points)
        heatmaps, weights = codec_tf.encode(codec, points.astype(np.float32), visible.astype(np.float32))
        expected = [codec.encode(*person) for person in zip(points, visible, strict=True)]
        np.testing.assert_allclose(heatmaps, [maps for maps, _ in expected], atol=1e-6)
        np.testing.assert_array_equal(weights, [weight for _, weight in expected])

    check()


def test_halves_round_up_in_both():
    codec = HeatmapCodec(HEIGHT, WIDTH, STRIDE, SIGMA, unbiased=False)
    points = np.array([(2, 6), (10, 14), (18, 22), (-2, 26)], np.float32)
    heatmaps, _ = codec_tf.encode(codec, points[np.newaxis], np.ones((1, 4)))
    np.testing.assert_allclose(heatmaps[0], codec.encode(points, np.ones(4))[0], atol=1e-6)
    assert heatmaps.numpy()[0, 2, 1, 0] == 1  # (0.5, 1.5) → (1, 2)


def test_a_point_that_is_no_number_counts_as_unlabelled():
    points = np.array([[[np.nan, 8], [8, np.inf], [8, 8]]], np.float32)
    heatmaps, weights = codec_tf.encode(HeatmapCodec(HEIGHT, WIDTH), points, np.full((1, 3), 2.0))
    np.testing.assert_array_equal(weights, [[0, 0, 1]])
    assert np.isfinite(heatmaps).all()
    assert heatmaps.numpy()[0, 2, 2, 2] == 1
    assert not heatmaps.numpy()[..., :2].any()
