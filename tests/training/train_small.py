"""Trains the small network several times in one process.

python train_small.py DATA INIT STRATEGY OUTPUT=CONFIG.yaml …

LOGICAL_CPUS in the environment makes so many TensorFlow devices of one CPU.
"""

import os
import sys

import keras

from flpn_tf.training import fit
from flpn_tf.training.config_file import load_config


def main(data, init, strategy, runs):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        (cpu,) = tf.config.list_physical_devices("CPU")
        count = int(os.environ.get("LOGICAL_CPUS", "1"))
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    for run in runs:
        output, config = run.split("=")
        fit.train(load_config(config, [f"compute.strategy={strategy}"]), data, output, init)


if __name__ == "__main__":
    import small_network  # under this name checkpoints find its class again

    fit.build_model = small_network.build
    main(*sys.argv[1:4], sys.argv[4:])
