package io.github.flpn.pose;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** What is asked of a tensor's buffer. */
final class Buffers {
    private Buffers() {}

    static void check(ByteBuffer buffer, int count, TensorType type, String role) {
        if (buffer.limit() != count * type.bytes) {
            throw new IllegalArgumentException(
                    "The " + role + " tensor has " + count * type.bytes + " bytes (" + count + " of " + type.label
                            + "). Received: a buffer of " + buffer.limit());
        }
        if (type == TensorType.FLOAT32 && buffer.order() != ByteOrder.nativeOrder()) {
            throw new IllegalArgumentException(
                    "A buffer of float32 must have the native byte order: buffer.order(ByteOrder.nativeOrder()). "
                            + "Received: " + buffer.order());
        }
    }
}
