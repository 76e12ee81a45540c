package io.github.flpn.pose;

/** The type of a tensor's numbers. */
public enum TensorType {
    /** 0 to 255. */
    UINT8("uint8", 1),
    /** -128 to 127. */
    INT8("int8", 1),
    /** Four bytes, in the native order of the device. */
    FLOAT32("float32", 4);

    /** As {@code pose_spec.json} has it. */
    public final String label;

    /** Of one number. */
    public final int bytes;

    TensorType(String label, int bytes) {
        this.label = label;
        this.bytes = bytes;
    }
}
