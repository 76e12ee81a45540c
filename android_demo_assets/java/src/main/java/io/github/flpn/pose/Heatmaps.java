package io.github.flpn.pose;

/** Heatmaps of two runs of one model, side by side. */
public final class Heatmaps {
    private Heatmaps() {}

    /**
     * Whether heatmaps are those that they should be: no value differs by more than a share of the expected peak, the
     * largest absolute value. For an accelerator, which may compute something else without a word, beside the CPU.
     *
     * <p>A NaN or an infinity on either side never agrees. With nothing but zeros expected, nothing but zeros does.
     *
     * @param found for example the GPU's output
     * @param expected the CPU's, of the same input
     * @param share of the peak: 0.05 is 5 %
     * @throws IllegalArgumentException arrays of different lengths
     */
    public static boolean agree(float[] found, float[] expected, double share) {
        if (found.length != expected.length) {
            throw new IllegalArgumentException(
                    "Heatmaps to compare must have as many numbers. Received: " + found.length + " and "
                            + expected.length);
        }
        float peak = 0;
        for (float value : expected) {
            peak = Math.max(peak, Math.abs(value));
        }
        double limit = share * peak;
        for (int i = 0; i < found.length; i++) {
            // Negated, so that NaN is refused too; an infinite peak would allow everything.
            if (!(Math.abs((double) found[i] - expected[i]) <= limit) || Float.isInfinite(peak)) {
                return false;
            }
        }
        return true;
    }
}
