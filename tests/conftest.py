"""Applies to all tests. Being here, it also lets any test module `import helpers`."""

import os

# Before TensorFlow is imported: its start-up notices would drown the progress.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
