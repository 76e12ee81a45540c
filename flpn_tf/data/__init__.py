"""Data sets and the tf.data pipeline."""
