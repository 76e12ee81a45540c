"""TensorFlow Serving's gRPC `Predict` over a folder of `flpn export`, in Python.

    python prediction_server.py FOLDER [--batching]

Prints its port once it answers. The messages and the service are TensorFlow Serving's own stubs; what is
written here follows its server: the newest version unless one is asked for, the types of the signature,
an error's code, and with --batching its `BatchingSession`: requests that wait together run together, and fail
together.
"""

import argparse
import os
import queue
import re
import threading
import time
from concurrent import futures
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

CODES = {
    tf.errors.INVALID_ARGUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    tf.errors.RESOURCE_EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class Refused(Exception):
    """A request that cannot be run, with its code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Batcher:
    """Runs what several threads ask of one signature in common batches."""

    def __init__(self, run, rows: int, wait: float, threads: int):
        self._run, self._rows, self._wait = run, rows, wait
        self._waiting: queue.Queue = queue.Queue()
        for _ in range(threads):
            threading.Thread(target=self._work, daemon=True).start()

    def __call__(self, inputs: dict) -> dict:
        counts = {len(value) for value in inputs.values()}
        if len(counts) != 1:
            raise Refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                "Batching session Run() input tensors must have equal 0th-dimension size.",
            )
        (count,) = counts
        if count > self._rows:
            raise Refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"Task size {count} is larger than maximum input batch size {self._rows}",
            )
        answer: futures.Future = futures.Future()
        self._waiting.put((count, inputs, answer))
        return answer.result()

    def _work(self):
        held = None
        while True:
            batch = [held or self._waiting.get()]
            held, until = None, time.monotonic() + self._wait
            while sum(rows for rows, _, _ in batch) < self._rows:
                try:
                    asked = self._waiting.get(timeout=max(until - time.monotonic(), 0))
                except queue.Empty:
                    break
                if sum(rows for rows, _, _ in batch) + asked[0] > self._rows:
                    held = asked
                    break
                batch.append(asked)
            self._answer(batch)

    def _answer(self, batch):
        try:
            together = {
                name: np.concatenate([inputs[name] for _, inputs, _ in batch]) for name in batch[0][1]
            }
            outputs, start = self._run(together), 0
            for rows, _, answer in batch:
                answer.set_result({name: value[start : start + rows] for name, value in outputs.items()})
                start += rows
        except Exception as error:  # each caller gets it
            for _, _, answer in batch:
                answer.set_exception(error)


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """The service over the versions in a folder."""

    def __init__(self, folder: Path, batching: bool = False):
        self._name = folder.name
        versions = {int(path.name): path for path in folder.iterdir() if path.name.isdecimal()}
        self._loaded = {number: tf.saved_model.load(str(path)) for number, path in versions.items()}
        self._run = {}
        for number, loaded in self._loaded.items():
            for name, signature in loaded.signatures.items():
                run = self._runner(signature)
                if batching:
                    text = (folder / "batching.config").read_text()
                    rows, wait, threads = (
                        int(re.search(rf"{field} {{ value: (\d+) }}", text)[1])
                        for field in ("max_batch_size", "batch_timeout_micros", "num_batch_threads")
                    )
                    run = Batcher(run, rows, wait / 1e6, threads)
                self._run[number, name] = signature, run

    def _runner(self, signature):
        def run(inputs: dict) -> dict:
            found = signature(**{name: tf.constant(value) for name, value in inputs.items()})
            return {name: value.numpy() for name, value in found.items()}

        return run

    def Predict(self, request, context):  # noqa: N802, the service's name
        try:
            return self._predict(request)
        except Refused as error:
            context.abort(error.code, str(error))
        except tf.errors.OpError as error:
            context.abort(CODES.get(error.error_code, grpc.StatusCode.INTERNAL), error.message)

    def _predict(self, request):
        model = request.model_spec
        version = model.version.value if model.HasField("version") else max(self._loaded)
        if model.name != self._name or version not in self._loaded:
            raise Refused(
                grpc.StatusCode.NOT_FOUND,
                f"Servable not found for request: Specific({model.name}, {version})",
            )
        name = model.signature_name or "serving_default"
        if (version, name) not in self._run:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Serving signature key {name!r} not found.")
        signature, run = self._run[version, name]
        specs = signature.structured_input_signature[1]
        if set(request.inputs) != set(specs):
            raise Refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"input size does not match signature: {sorted(request.inputs)} vs {sorted(specs)}",
            )
        inputs = {}
        for key, spec in specs.items():
            array = tf.make_ndarray(request.inputs[key])
            if request.inputs[key].dtype != spec.dtype.as_datatype_enum or not spec.shape.is_compatible_with(
                array.shape
            ):
                raise Refused(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"input {key} must be {spec.dtype.name} {spec.shape}. Received: {array.shape}",
                )
            inputs[key] = array
        response = predict_pb2.PredictResponse()
        for key, value in run(inputs).items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return response


def start(folder: Path, batching: bool = False, threads: int = 16) -> tuple[grpc.Server, int]:
    """A running server and its port."""
    unlimited = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(threads), options=unlimited)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(folder, batching), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batching", action="store_true")
    given = parser.parse_args()
    running, number = start(given.folder.resolve(), given.batching)
    print(number, flush=True)
    running.wait_for_termination()
