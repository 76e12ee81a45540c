"""A network in training as it would be delivered now."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from flpn_tf.models.load import bare


class Snapshot:
    """A copy that predicts on one device, whatever strategy the network is trained under.

    Where the optimiser keeps a moving average of the weights, the copy has that. `predict_on_batch` of the
    network itself would compute every batch once a replica, and over several machines wait for all of them.

    Args:
        model: compiled.
        batch_size: of all predictions, so that one function is compiled.
        settle: gives the copy, which it is called with, the statistics of its weights; None: they are the
            model's.

    Attributes:
        network: the copy; it was never compiled.
    """

    def __init__(
        self, model: keras.Model, batch_size: int, settle: Callable[[keras.Model], None] | None = None
    ):
        self.settle = settle
        self.network = bare(model)
        self.network.jit_compile = model.jit_compile
        self.batch_size = batch_size

    def update(self, model: keras.Model) -> None:
        """Takes over the weights as they are now; the model keeps its own, bit for bit."""
        trained = [ops.convert_to_numpy(variable) for variable in model.trainable_variables]
        try:
            # Keras has no other public way to the moving average than into the weights' place.
            model.optimizer.finalize_variable_values(model.trainable_variables)
            self.network.set_weights(model.get_weights())
        finally:
            for variable, value in zip(model.trainable_variables, trained, strict=True):
                variable.assign(value)
        if self.settle is not None:
            self.settle(self.network)

    def predict(self, crops: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 RGB, B at most `batch_size` → (B, h, w, K) float32 heatmaps."""
        count = len(crops)
        filled = np.zeros((self.batch_size, *crops.shape[1:]), crops.dtype)
        filled[:count] = crops
        return self.network.predict_on_batch(filled)[:count]
