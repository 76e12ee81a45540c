"""Files that start a server with an exported model: TensorFlow Serving's and Kubernetes'."""

from flpn_tf.runtime.remote.protocol import BATCH

_MODELS = """\
# tensorflow_model_server --model_config_file=/models/{name}/models.config
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
}}
"""

_BATCHING = """\
# tensorflow_model_server --enable_batching --batching_parameters_file=/models/{name}/batching.config
# With it, every input of a request needs as many rows as the others: a photo for each box.
max_batch_size {{ value: {batch} }}
batch_timeout_micros {{ value: 2000 }}
num_batch_threads {{ value: 4 }}
max_enqueued_batches {{ value: 100 }}
"""

_KSERVE = """\
# kubectl apply -f kserve.yaml, once storageUri says where this folder was copied to.
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: "{service}"  # also the model's name in URLs: /v1/models/{service}
spec:
  predictor:
    model:
      modelFormat:
        name: tensorflow
      protocolVersion: v1
      storageUri: s3://BUCKET/{name}
      resources:
        requests: {{cpu: "2", memory: 2Gi}}
        limits: {{cpu: "4", memory: 4Gi}}
"""


def texts(name: str) -> dict[str, str]:
    """File name → content, for a model of this name."""
    service = name.lower().replace("_", "-").rstrip("-")  # Kubernetes and KServe take nothing else
    if not service[0].isalpha():
        service = f"model-{service}"
    found = {"models.config": _MODELS, "batching.config": _BATCHING, "kserve.yaml": _KSERVE}
    return {file: text.format(name=name, service=service, batch=BATCH) for file, text in found.items()}
