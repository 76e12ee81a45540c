"""The networks; importing this package registers them for (de)serialisation."""

from flpn_tf.models.classifier import Classifier
from flpn_tf.models.flpn import FLPN
from flpn_tf.models.lpn import LPN
from flpn_tf.models.simple_baseline import SimpleBaseline

__all__ = ["FLPN", "LPN", "Classifier", "SimpleBaseline"]
