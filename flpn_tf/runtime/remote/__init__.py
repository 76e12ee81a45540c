"""Poses by a server of TensorFlow Serving's protocols; needs no TensorFlow but for gRPC's messages."""

from flpn_tf.runtime.remote.estimator import RemoteEstimator

__all__ = ["RemoteEstimator"]
