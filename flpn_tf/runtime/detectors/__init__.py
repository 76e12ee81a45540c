"""People in photos, as boxes for `PoseEstimator`; needs neither TensorFlow nor, for `.tflite` files, more."""

from flpn_tf.runtime.detectors.detections import Detections, Detector
from flpn_tf.runtime.detectors.person_detector import LAYOUTS, PersonDetector, open_detector

__all__ = ["LAYOUTS", "Detections", "Detector", "PersonDetector", "open_detector"]
