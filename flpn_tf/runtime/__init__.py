"""Poses from photos, without TensorFlow."""
