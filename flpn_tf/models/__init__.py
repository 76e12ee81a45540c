"""The networks; importing this package registers them for (de)serialisation."""

from flpn_tf.models.flpn import FLPN

__all__ = ["FLPN"]
