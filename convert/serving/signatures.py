"""The signatures of an exported network: what a server is asked by name.

serving_default   image uint8 (B, H, W, 3), crops → keypoints (B, K, 3) in crop pixels, heatmaps (B, h, w, K)
serve_jpeg        image_bytes (B,), boxes (B, 4) → keypoints (B, K, 3) in upright photo pixels, error (B,)
heatmaps          image, as above → heatmaps alone, without the flip test
"""

import tensorflow as tf

from flpn_tf.convert.graph_decode import decode
from flpn_tf.convert.serving.photos import read_crops
from flpn_tf.data.geometry_batch import invert_affine, transform_points
from flpn_tf.models.pose_network import PoseNetwork
from flpn_tf.runtime.remote.protocol import SIGNATURE
from flpn_tf.skeleton import Skeleton

CROPS, PHOTOS, HEATMAPS = "serving_default", SIGNATURE, "heatmaps"


def signatures(network: PoseNetwork, flip_test: bool = False) -> dict:
    """Name → (function of tensors to a dict of tensors, the `tf.TensorSpec` of each argument).

    Args:
        flip_test: average the heatmaps with those of the mirrored crops before keypoints are read.
    """
    spec = network.pose_spec()

    def heatmaps_of(crops):
        some = tf.debugging.Assert(
            tf.shape(crops)[0] > 0, ["image must hold one crop or more. Received: none"]
        )
        with tf.control_dependencies([some]):
            crops = tf.identity(crops)
        return network(tf.cast(crops, tf.float32), training=False)

    def averaged(crops):
        heatmaps = heatmaps_of(crops)
        if flip_test:
            heatmaps = (heatmaps + _mirrored_back(heatmaps_of(crops[:, :, ::-1]), spec.skeleton)) / 2
        return heatmaps

    def keypoints_of(heatmaps):
        finite = tf.where(tf.math.is_finite(heatmaps), heatmaps, 0.0)  # as the codec has it
        return decode(finite, spec.codec)

    def of_crops(image):
        heatmaps = averaged(image)
        return {"keypoints": keypoints_of(heatmaps), "heatmaps": heatmaps}

    def of_photos(image_bytes, boxes):
        crops, affines, errors = read_crops(image_bytes, boxes, spec)
        found = keypoints_of(averaged(crops))
        places = transform_points(found[..., :2], invert_affine(affines))
        keypoints = tf.concat([places, found[..., 2:]], axis=-1)
        good = (errors == "")[:, tf.newaxis, tf.newaxis]
        return {"keypoints": tf.where(good, keypoints, 0.0), "error": errors}

    crops = tf.TensorSpec((None, *network.image_size, 3), tf.uint8, name="image")
    photos = tf.TensorSpec((None,), tf.string, name="image_bytes")
    boxes = tf.TensorSpec((None, 4), tf.float32, name="boxes")
    return {
        CROPS: (of_crops, [crops]),
        PHOTOS: (of_photos, [photos, boxes]),
        HEATMAPS: (lambda image: {"heatmaps": heatmaps_of(image)}, [crops]),
    }


def _mirrored_back(heatmaps, skeleton: Skeleton):
    """Twin of `flpn_tf.codec.flip_heatmaps`."""
    mirrored = tf.gather(heatmaps[:, :, ::-1], skeleton.flip_permutation, axis=3)
    return tf.concat([mirrored[:, :, :1], mirrored[:, :, :-1]], axis=2)
