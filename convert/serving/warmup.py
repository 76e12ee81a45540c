"""Requests that TensorFlow Serving answers for itself before it says that a model is there."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from flpn_tf.convert.serving.signatures import CROPS, HEATMAPS, PHOTOS

FILE = "tf_serving_warmup_requests"  # in assets.extra: TensorFlow Serving's name for it


def write(path: Path, name: str, image_size: tuple[int, int]) -> None:
    """Writes one request for each signature, of one person.

    Args:
        path: a TFRecord file of `PredictionLog`s.
        name: the model's.
        image_size: (height, width) of the crops.
    """
    crop = np.full((*image_size, 3), 128, np.uint8)
    photo = tf.io.encode_jpeg(crop).numpy()
    box = np.array([[0, 0, image_size[1], image_size[0]]], np.float32)
    requests = {
        CROPS: {"image": crop[np.newaxis]},
        PHOTOS: {"image_bytes": [photo], "boxes": box},
        HEATMAPS: {"image": crop[np.newaxis]},
    }
    with tf.io.TFRecordWriter(str(path)) as records:
        for signature, inputs in requests.items():
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name, request.model_spec.signature_name = name, signature
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            records.write(log.SerializeToString())
