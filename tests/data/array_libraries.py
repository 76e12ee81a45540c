"""The array libraries that the batched twins are written for."""

import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

every_library = pytest.mark.parametrize(
    "array", [np.asarray, jnp.asarray, tf.constant], ids=["numpy", "jax", "tensorflow"]
)
