package io.github.flpn.pose;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Cuts the model's input out of a picture: bilinear at whole crop pixels, 0 outside the picture, rounded (half to
 * even).
 *
 * <p>Holds tables that every call writes to: one {@code Cropper} a thread. Nothing is allocated in a call.
 */
public final class Cropper {
    private final PoseSpec spec;
    private final Axis columns;
    private final Axis rows;

    /** A cropper for the input of this model. */
    public Cropper(PoseSpec spec) {
        this.spec = spec;
        columns = new Axis(spec.inputWidth);
        rows = new Axis(spec.inputHeight);
    }

    /** A direct buffer of the input tensor's size, in the native byte order, for {@link #crop}. */
    public ByteBuffer newInput() {
        return ByteBuffer.allocateDirect(spec.inputSize() * spec.inputType.bytes).order(ByteOrder.nativeOrder());
    }

    /**
     * Cuts a crop out of packed pixels, as Android's {@code Bitmap.getPixels} gives them.
     *
     * @param transform of the person's box
     * @param argb the picture, upright: pixel (x, y) is {@code argb[y * width + x]}, {@code 0xAARRGGBB}; alpha is not
     *     looked at
     * @param height of the picture, pixels
     * @param width of the picture, pixels
     * @param into gets {@code (inputHeight, inputWidth, 3)} numbers of the input type, RGB, from its index 0 on; its
     *     position stays. Float needs the native byte order ({@link #newInput}).
     * @throws IllegalArgumentException a picture or a buffer that is too small, or a buffer of another byte order
     */
    public void crop(CropTransform transform, int[] argb, int height, int width, ByteBuffer into) {
        prepare(transform, argb.length, 1, height, width, into);
        int at = 0;
        for (int v = 0; v < spec.inputHeight; v++) {
            int top = rows.low[v] * width;
            int bottom = rows.high[v] * width;
            double upper = rows.lowWeight[v];
            double lower = rows.highWeight[v];
            for (int u = 0; u < spec.inputWidth; u++) {
                int left = columns.low[u];
                int right = columns.high[u];
                double before = columns.lowWeight[u];
                double after = columns.highWeight[u];
                int a = argb[top + left];
                int b = argb[top + right];
                int c = argb[bottom + left];
                int d = argb[bottom + right];
                for (int shift = 16; shift >= 0; shift -= 8) {
                    double first = before * (a >> shift & 255) + after * (b >> shift & 255);
                    double second = before * (c >> shift & 255) + after * (d >> shift & 255);
                    put(into, at++, upper * first + lower * second);
                }
            }
        }
    }

    /**
     * As {@link #crop(CropTransform, int[], int, int, ByteBuffer)}, out of bytes: pixel (x, y) has its red, green and
     * blue at {@code rgb[3 * (y * width + x)]} and behind.
     */
    public void crop(CropTransform transform, byte[] rgb, int height, int width, ByteBuffer into) {
        prepare(transform, rgb.length, 3, height, width, into);
        int at = 0;
        for (int v = 0; v < spec.inputHeight; v++) {
            int top = 3 * rows.low[v] * width;
            int bottom = 3 * rows.high[v] * width;
            double upper = rows.lowWeight[v];
            double lower = rows.highWeight[v];
            for (int u = 0; u < spec.inputWidth; u++) {
                int left = 3 * columns.low[u];
                int right = 3 * columns.high[u];
                double before = columns.lowWeight[u];
                double after = columns.highWeight[u];
                for (int channel = 0; channel < 3; channel++) {
                    double first =
                            before * (rgb[top + left + channel] & 255) + after * (rgb[top + right + channel] & 255);
                    double second =
                            before * (rgb[bottom + left + channel] & 255)
                                    + after * (rgb[bottom + right + channel] & 255);
                    put(into, at++, upper * first + lower * second);
                }
            }
        }
    }

    private void put(ByteBuffer into, int at, double level) {
        double rounded = Math.rint(level);
        if (spec.inputType == TensorType.FLOAT32) {
            into.putFloat(4 * at, (float) rounded);
        } else {
            into.put(at, (byte) (int) rounded);
        }
    }

    private void prepare(CropTransform transform, int length, int each, int height, int width, ByteBuffer into) {
        if (height < 1 || width < 1 || (long) height * width * each != length) {
            throw new IllegalArgumentException(
                    "A picture of height " + height + " and width " + width + " has " + (long) height * width * each
                            + " numbers. Received: " + length);
        }
        Buffers.check(into, spec.inputSize(), spec.inputType, "input");
        columns.place(transform.scale, transform.shiftX, width);
        rows.place(transform.scale, transform.shiftY, height);
    }

    /** For each crop column (or row): the two image columns it lies between, and what they count. */
    private static final class Axis {
        final int[] low;
        final int[] high;
        final double[] lowWeight;
        final double[] highWeight;

        Axis(int size) {
            low = new int[size];
            high = new int[size];
            lowWeight = new double[size];
            highWeight = new double[size];
        }

        void place(double scale, double shift, int imageSize) {
            for (int i = 0; i < low.length; i++) {
                double position = (i - shift) / scale;
                double floor = Math.floor(position);
                int first = (int) floor;
                // Outside the picture a pixel counts 0, and any index will do.
                lowWeight[i] = first >= 0 && first < imageSize ? 1 - (position - floor) : 0;
                highWeight[i] = first >= -1 && first < imageSize - 1 ? position - floor : 0;
                low[i] = Math.max(0, Math.min(first, imageSize - 1));
                high[i] = Math.max(0, Math.min(first + 1, imageSize - 1));
            }
        }
    }
}
