"""The array library of an argument, under numpy's names. Imports neither TensorFlow nor JAX by itself."""

import functools
import sys
from types import SimpleNamespace

import numpy as np


def namespace_of(array):
    """`numpy`, `jax.numpy`, or TensorFlow's operations under numpy's names, for functions written once.

    What is not here (operators, slices, `np.newaxis`) is the same in all three. A `take`'s indices must be
    within bounds, and dtypes be equal on both sides of an operator: TensorFlow converts nothing but Python
    numbers.

    Raises:
        TypeError: the argument is an array of none of them.
    """
    if isinstance(array, np.ndarray):
        return np
    # Whoever has made the array has imported its library.
    jax, tf = sys.modules.get("jax"), sys.modules.get("tensorflow")
    if jax is not None and isinstance(array, jax.Array):
        return jax.numpy
    if tf is not None and isinstance(array, tf.Tensor):
        return _tensorflow()
    raise TypeError(f"an array of numpy, JAX or TensorFlow is needed. Received: {type(array)}")


@functools.cache
def _tensorflow():
    """Not `tf.experimental.numpy`, which has no `rint` and makes of `take` and `clip` several operations."""
    import tensorflow as tf

    return SimpleNamespace(
        abs=tf.abs,
        any=tf.reduce_any,
        arange=tf.range,
        asarray=tf.cast,
        ceil=tf.math.ceil,
        clip=tf.clip_by_value,
        concatenate=tf.concat,
        cos=tf.cos,
        exp=tf.exp,
        floor=tf.floor,
        max=tf.reduce_max,
        maximum=tf.maximum,
        min=tf.reduce_min,
        rint=tf.round,
        shape=tf.shape,
        sin=tf.sin,
        stack=tf.stack,
        sum=tf.reduce_sum,
        take=lambda values, places, axis, mode: tf.gather(values, places, axis=axis),
        where=tf.where,
        zeros_like=tf.zeros_like,
    )
