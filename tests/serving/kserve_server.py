"""A KServe server over a folder of `flpn export`: TensorFlow Serving's REST protocol from a real server.

    python kserve_server.py FOLDER PORT

Runs in an environment of its own (`make test-serving`). KServe does HTTP, routes and errors; what a
request's `instances` or `inputs` mean as tensors is written here, as TensorFlow Serving documents it.
"""

import base64
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from kserve import Model, ModelServer
from kserve.errors import InvalidInput


def plain(value):
    """Json's value with `{"b64": …}` as bytes."""
    if isinstance(value, dict):
        return base64.b64decode(value["b64"], validate=True)
    return [plain(item) for item in value] if isinstance(value, list) else value


class Exported(Model):
    """The newest version in a folder."""

    def __init__(self, folder: Path):
        super().__init__(folder.name)
        newest = max((path for path in folder.iterdir() if path.name.isdecimal()), key=lambda p: int(p.name))
        self.loaded = tf.saved_model.load(str(newest))
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        """Rows (`instances` → `predictions`) or columns (`inputs` → `outputs`)."""
        try:
            signature = self.loaded.signatures[payload.get("signature_name", "serving_default")]
            specs = signature.structured_input_signature[1]
            if "instances" in payload:
                rows = payload["instances"]
                columns = {name: [row[name] for row in rows] for name in specs}
            else:
                columns = payload["inputs"]
            inputs = {name: tf.constant(plain(columns[name]), spec.dtype) for name, spec in specs.items()}
            outputs = {name: value.numpy().tolist() for name, value in signature(**inputs).items()}
        except (KeyError, TypeError, ValueError, tf.errors.OpError) as error:
            raise InvalidInput(" ".join(str(error).split())) from error
        outputs = {name: texts(value) for name, value in outputs.items()}
        if "instances" in payload:
            rows = zip(*outputs.values(), strict=True)
            return {"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]}
        return {"outputs": outputs}


def texts(value):
    """Bytes as the strings that json has."""
    if isinstance(value, bytes):
        return value.decode()
    return [texts(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    ModelServer(http_port=int(sys.argv[2]), enable_grpc=False, workers=1).start([Exported(Path(sys.argv[1]))])
