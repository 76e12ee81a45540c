import numpy as np
import pytest
from array_libraries import every_library
from hypothesis import given, settings
from hypothesis import strategies as st

from flpn_tf import codec as codecs
from flpn_tf.codec import HeatmapCodec
from flpn_tf.data.codec_batch import encode

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


@every_library
@pytest.mark.parametrize("unbiased", [True, False])
def test_heatmaps_and_weights(array, unbiased):
    codec = HeatmapCodec(HEIGHT, WIDTH, STRIDE, SIGMA, unbiased=unbiased)

    @settings(deadline=None)
    @given(people)
    def check(group):
        group = np.array(group, np.float64)
        points, visible = group[..., :2], group[..., 2]
        points = np.where(on_an_edge(points, codec), np.round(points) + 0.25, points)
        arrays = [array(values.astype(np.float32)) for values in (points, visible)]
        heatmaps, weights = encode(codec, *arrays)
        assert heatmaps.dtype == weights.dtype == np.float32
        expected = [codec.encode(*person) for person in zip(points, visible, strict=True)]
        np.testing.assert_allclose(heatmaps, [maps for maps, _ in expected], atol=1e-6)
        np.testing.assert_array_equal(weights, [weight for _, weight in expected])

    check()


@every_library
def test_halves_round_up_in_both(array):
    codec = HeatmapCodec(HEIGHT, WIDTH, STRIDE, SIGMA, unbiased=False)
    points = np.array([(2, 6), (10, 14), (18, 22), (-2, 26)], np.float32)
    heatmaps, _ = encode(codec, array(points[np.newaxis]), array(np.ones((1, 4), np.float32)))
    np.testing.assert_allclose(heatmaps[0], codec.encode(points, np.ones(4))[0], atol=1e-6)
    assert np.asarray(heatmaps)[0, 2, 1, 0] == 1  # (0.5, 1.5) → (1, 2)


@every_library
def test_a_point_that_is_no_number_counts_as_unlabelled(array):
    points = array(np.array([[[np.nan, 8], [8, np.inf], [8, 8]]], np.float32))
    visible = array(np.full((1, 3), 2, np.float32))
    found = encode(HeatmapCodec(HEIGHT, WIDTH), points, visible)
    heatmaps, weights = (np.asarray(values) for values in found)
    np.testing.assert_array_equal(weights, [[0, 0, 1]])
    assert np.isfinite(heatmaps).all()
    assert heatmaps[0, 2, 2, 2] == 1
    assert not heatmaps[..., :2].any()
