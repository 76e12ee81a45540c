"""As a program: prints the range that two devices have found in the halves of a batch."""

import numpy as np
import tensorflow as tf

if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    from flpn_tf.layers import FakeQuant

    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        layer = FakeQuant()
    halves = np.repeat([[1.0], [9.0]], 2, axis=0).astype("float32")
    batches = strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensor_slices(halves).batch(4))
    run = tf.function(lambda batch: strategy.run(lambda part: layer(part, training=True), args=(batch,)))
    for batch in batches:
        run(batch)
    print(*[float(value) for value in strategy.experimental_local_results(layer.high.value)])
