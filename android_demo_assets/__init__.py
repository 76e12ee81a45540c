"""The shipped phone models and their specs (`flpn_tf.assets`)."""
