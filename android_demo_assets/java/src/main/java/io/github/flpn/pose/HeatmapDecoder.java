package io.github.flpn.pose;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Heatmaps to joints: the model's output, {@code (outputHeight, outputWidth, K)} numbers of the output type, to a
 * {@link Pose} in crop pixels.
 *
 * <p>A joint's score is its map's highest value. NaN and infinities count as 0. A map with nothing above 0 gives its
 * first highest pixel and score 0. Of equal peaks the first counts, in the order of rows.
 *
 * <p>Holds scratch memory that every call writes to: one decoder a thread. Nothing is allocated in a call.
 */
public final class HeatmapDecoder {
    private final PoseSpec spec;
    private final DecodeRule rule;
    private final int joints;
    private final float[] maps;
    private final float[] peaks;
    private final int[] places;
    private final float[] levels = new float[256];
    private final DarkStep dark;
    private final double[] offset = new double[2];

    /** A decoder by the rule of the spec. */
    public HeatmapDecoder(PoseSpec spec) {
        this(spec, spec.decodeRule);
    }

    /** A decoder by another rule. */
    public HeatmapDecoder(PoseSpec spec, DecodeRule rule) {
        this.spec = spec;
        this.rule = rule;
        joints = spec.skeleton.size();
        maps = new float[spec.outputSize()];
        peaks = new float[joints];
        places = new int[joints];
        dark = new DarkStep(spec.outputHeight, spec.outputWidth, joints, spec.sigma);
        for (int stored = 0; stored < 256; stored++) {
            int value = spec.outputType == TensorType.INT8 ? (byte) stored : stored;
            levels[stored] = (float) (value - spec.outputZeroPoint) * (float) spec.outputScale;
        }
    }

    /**
     * Decodes the output tensor.
     *
     * @param output the tensor's bytes, read from index 0 to the limit; its position stays. Float needs the native
     *     byte order.
     * @param into a pose of the spec's skeleton; gets crop pixels
     * @throws IllegalArgumentException another number of bytes than the tensor has, another byte order, or a pose of
     *     another number of joints
     */
    public void decode(ByteBuffer output, Pose into) {
        Buffers.check(output, maps.length, spec.outputType, "output");
        if (spec.outputType == TensorType.FLOAT32) {
            for (int i = 0; i < maps.length; i++) {
                maps[i] = finite(output.getFloat(4 * i));
            }
        } else {
            for (int i = 0; i < maps.length; i++) {
                maps[i] = levels[output.get(i) & 255];
            }
        }
        decodeMaps(into);
    }

    /** As {@link #decode(ByteBuffer, Pose)}, of a float32 output as an array. */
    public void decode(float[] output, Pose into) {
        checkArray(output.length, spec.outputType == TensorType.FLOAT32);
        for (int i = 0; i < maps.length; i++) {
            maps[i] = finite(output[i]);
        }
        decodeMaps(into);
    }

    /** As {@link #decode(ByteBuffer, Pose)}, of an 8-bit output as an array of its bytes, signed or not. */
    public void decode(byte[] output, Pose into) {
        checkArray(output.length, spec.outputType != TensorType.FLOAT32);
        for (int i = 0; i < maps.length; i++) {
            maps[i] = levels[output[i] & 255];
        }
        decodeMaps(into);
    }

    /** A direct buffer of the output tensor's size, in the native byte order. */
    public ByteBuffer newOutput() {
        return ByteBuffer.allocateDirect(maps.length * spec.outputType.bytes).order(ByteOrder.nativeOrder());
    }

    private void checkArray(int length, boolean rightType) {
        if (length != maps.length || !rightType) {
            throw new IllegalArgumentException(
                    "The output tensor has " + maps.length + " numbers of type " + spec.outputType.label
                            + ". Received: an array of " + length + (rightType ? "" : " of another type"));
        }
    }

    private static float finite(float value) {
        return Float.isNaN(value) || Float.isInfinite(value) ? 0 : value;
    }

    private void decodeMaps(Pose into) {
        if (into.size() != joints) {
            throw new IllegalArgumentException(
                    "The pose must have " + joints + " joints. Received: " + into.size());
        }
        findPeaks();
        for (int joint = 0; joint < joints; joint++) {
            int row = places[joint] / spec.outputWidth;
            int column = places[joint] % spec.outputWidth;
            float peak = peaks[joint];
            offset[0] = 0;
            offset[1] = 0;
            if (peak > 0 && rule == DecodeRule.QUARTER) {
                offset[0] = quarter(joint, row, column, 0, 1, spec.outputWidth - 1 - column, column);
                offset[1] = quarter(joint, row, column, 1, 0, spec.outputHeight - 1 - row, row);
            } else if (peak > 0 && rule == DecodeRule.DARK) {
                dark.step(maps, joint, row, column, peak, offset);
            }
            into.set(
                    joint,
                    (column + offset[0]) * spec.stride,
                    (row + offset[1]) * spec.stride,
                    Math.max(peak, 0));
        }
    }

    private void findPeaks() {
        for (int joint = 0; joint < joints; joint++) {
            peaks[joint] = maps[joint];
            places[joint] = 0;
        }
        int at = joints;
        // One pass in the order of memory; `>` keeps the first of equal peaks.
        for (int place = 1; place < spec.outputHeight * spec.outputWidth; place++) {
            for (int joint = 0; joint < joints; joint++, at++) {
                if (maps[at] > peaks[joint]) {
                    peaks[joint] = maps[at];
                    places[joint] = place;
                }
            }
        }
    }

    /** A quarter towards the higher neighbour on one axis; a missing neighbour is the lower one. */
    private double quarter(int joint, int row, int column, int down, int right, int after, int before) {
        if (after == 0 || before == 0) {
            return after == 0 ? -0.25 : 0.25;
        }
        float next = maps[index(row + down, column + right, joint)];
        float last = maps[index(row - down, column - right, joint)];
        return 0.25 * Math.signum(next - last);
    }

    private int index(int row, int column, int joint) {
        return (row * spec.outputWidth + column) * joints + joint;
    }
}
