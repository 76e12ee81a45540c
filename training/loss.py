"""The heatmap loss."""

import keras
from keras import ops

from flpn_tf.keras_registration import PACKAGE


@keras.saving.register_keras_serializable(package=PACKAGE)
class HeatmapLoss(keras.losses.Loss):
    """½ · mean over H, W of the squared error: (B, H, W, K), (B, H, W, K) → (B, K).

    Give each joint's weight as `sample_weight` (B, K); the default reduction then is the mean over
    persons and joints, as in the reference code (Xiao et al. 2018).
    """

    def __init__(self, name="heatmap_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return 0.5 * ops.mean(ops.square(y_pred - y_true), axis=(1, 2))
