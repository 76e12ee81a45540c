"""Distillation: another model's heatmaps as a part of the targets."""

import sys
from collections.abc import Iterable, Iterator

import keras
import numpy as np

from flpn_tf import geometry
from flpn_tf.codec import HeatmapCodec
from flpn_tf.errors import InputError
from flpn_tf.presets import resolve_model
from flpn_tf.runtime.backends import open_backend
from flpn_tf.skeleton import Skeleton
from flpn_tf.training.networks import precision

# Teacher and student see the same crop, so a teacher of another aspect sees the person stretched.
_LARGEST_STRETCH = 1.05


class Teacher:
    """Blends a trained model's heatmaps into the targets of each batch (Hinton et al. 2015).

    `HeatmapLoss` is quadratic, so a term of weight λ for the distance to the teacher's heatmaps t beside
    that of weight w to the targets y is one distance to a blend of both:

        w·½(p − y)² + λ·½(p − t)²  =  (w + λ)·½(p − (w·y + λ·t) / (w + λ))²  +  what does not depend on p

    The gradients are those of the sum, without another loss or training step; joints without a label (w = 0)
    learn from the teacher alone.

    The teacher's heatmaps are brought to the student's grid, joint by joint of the same name. Where its
    gaussians then are narrower than the student's, they are widened: the best answer to a quadratic loss is
    the mean of the targets that the joint's possible places give, and widening them all turns the mean for
    the one width into that for the other. Wider ones stay.

    Args:
        path: of a `.keras` or `.tflite` file or a SavedModel folder; or a preset or alias. Open a Keras model
            outside of a `tf.distribute` scope, which would copy it to every replica.
        weight: λ, above 0; a labelled joint's w is 1.
        image_size: (H, W) of the student's crops.
        skeleton: of the student.
        codec: of the student's heatmaps.
        padding: of the student's crops.

    Attributes:
        weights: (K,) float32, λ of each of the student's joints; 0 where the teacher has no such joint.

    Raises:
        InputError: a weight that is not above 0, a model that does not load, skeletons that share fewer than
            half of their joints, crops of another aspect or padding than the teacher's.
    """

    def __init__(
        self,
        path,
        weight: float,
        image_size: tuple[int, int],
        skeleton: Skeleton,
        codec: HeatmapCodec,
        padding: float = 1.25,
    ):
        if not 0 < weight < np.inf:
            raise InputError(f"the teacher's weight must be a number above 0. Received: {weight}")
        # A mixed policy in force, the student's, would round a Keras teacher's answers too.
        with precision("float32"):
            self._backend = open_backend(resolve_model(path))
        spec = self._backend.spec
        height, width = image_size
        self._zoom = spec.input_height / height, spec.input_width / width
        if max(self._zoom) > _LARGEST_STRETCH * min(self._zoom) or abs(spec.padding - padding) > 1e-6:
            raise InputError(
                f"{path}: the teacher must see people as the student does, in crops of the aspect of "
                f"{height}x{width} (height x width) and padding {padding}; change model.image_size or the "
                f"teacher. Received: {spec.input_height}x{spec.input_width}, padding {spec.padding}"
            )
        try:
            pairs = skeleton.match(spec.skeleton)
        except InputError as error:
            raise InputError(f"{path} cannot be the teacher: {error}") from error
        self._ours, self._theirs = (list(joints) for joints in zip(*pairs, strict=True))
        self.weights = np.zeros(len(skeleton), np.float32)
        self.weights[self._ours] = weight
        if unmatched := skeleton.unmatched(spec.skeleton):
            print(
                f"{path}: does not teach {', '.join(unmatched)}; these learn from labels alone",
                file=sys.stderr,
                flush=True,
            )
        self._rows = _resampling(spec.output_height, codec.height, spec.sigma, codec.sigma)
        self._columns = _resampling(spec.output_width, codec.width, spec.sigma, codec.sigma)

    def blend(
        self, crops: np.ndarray, heatmaps: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The targets and weights that stand for labels and teacher together.

        Args:
            crops: (B, H, W, 3) uint8 RGB.
            heatmaps: (B, h, w, K) float32, the labels' targets y.
            weights: (B, K) float32, the labels' w.

        Returns:
            heatmaps (B, h, w, K) and weights (B, K), float32.
        """
        taught = np.zeros_like(heatmaps)
        taught[..., self._ours] = self._heatmaps(crops)[..., self._theirs]
        total = weights + self.weights
        share = self.weights / np.where(total > 0, total, 1)
        blended = heatmaps + share[:, None, None] * (taught - heatmaps)
        return blended.astype(np.float32), total.astype(np.float32)

    def dataset(self, batches):
        """A `tf.data.Dataset` of (crops, heatmaps, weights) with the teacher blended in, in the same order.

        The teacher runs in this process, a batch ahead of the training.
        """
        import tensorflow as tf

        def blend(crops, heatmaps, weights):
            blended = tf.numpy_function(self.blend, (crops, heatmaps, weights), (tf.float32, tf.float32))
            for after, before in zip(blended, (heatmaps, weights), strict=True):
                after.set_shape(before.shape)
            return crops, *blended

        return batches.map(blend).prefetch(1)

    def batches(self, batches: Iterable) -> Iterator:
        """`dataset` for any iterable, of arrays or tensors; the targets come as the backend's tensors."""
        for crops, heatmaps, weights in batches:
            arrays = (keras.ops.convert_to_numpy(values) for values in (crops, heatmaps, weights))
            yield crops, *map(keras.ops.convert_to_tensor, self.blend(*arrays))

    def _heatmaps(self, crops: np.ndarray) -> np.ndarray:
        """(B, h, w, joints of the teacher) on the student's grid."""
        spec = self._backend.spec
        size = spec.input_height, spec.input_width
        if crops.shape[1:3] != size:
            # Pixel 0 stays pixel 0 and the centre W / 2 the centre, as everywhere in this package.
            affine = np.array([[self._zoom[1], 0.0, 0.0], [0.0, self._zoom[0], 0.0]])
            crops = np.stack([geometry.warp(crop, affine, *size) for crop in crops])
        heatmaps = self._backend.predict(crops)
        return np.einsum("ih,bhwk,jw->bijk", self._rows, heatmaps, self._columns, optimize=True)


def _resampling(theirs: int, ours: int, sigma_theirs: float, sigma_ours: float) -> np.ndarray:
    """(ours, theirs) matrix that brings one axis of the teacher's heatmaps to the student's.

    Linear between the teacher's values, the last one going on beyond it. Gaussians of `sigma_theirs` teacher
    pixels then become gaussians of `sigma_ours` student pixels where these are wider; both have peak 1.
    """
    places = np.minimum(np.arange(ours) * theirs / ours, theirs - 1)
    matrix = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(theirs)))
    narrow = sigma_theirs * ours / theirs
    if narrow < sigma_ours:
        steps = np.arange(1 - ours, ours)
        gaussian = np.exp(-(steps**2) / (2 * (sigma_ours**2 - narrow**2)))
        gaussian *= sigma_ours / narrow / gaussian.sum()
        distance = np.arange(ours)[:, None] - np.arange(ours)
        matrix = gaussian[distance + ours - 1] @ matrix
    return matrix.astype(np.float32)
