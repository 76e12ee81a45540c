package io.github.flpn.pose;

import java.util.Arrays;

/**
 * DARK's sub-pixel step (Zhang et al. 2020, section 3.1): smooth the map with a gaussian, take the logarithm, and go
 * to the maximum of its second-order expansion around the peak.
 *
 * <p>The expansion is around the peak moved one pixel inside where it lies on the border. The smoothing kernel shrinks
 * on each axis to the half-width that fits the map on both sides, down to no smoothing.
 */
final class DarkStep {
    private static final double BLUR_SIGMAS = 2.5;
    private static final double LOG_FLOOR = 1e-3;

    private final int height;
    private final int width;
    private final int joints;
    private final int reach;
    private final double[][] kernels;
    private final double[] log = new double[9];
    private final double[] smoothRow = new double[3];

    DarkStep(int height, int width, int joints, double sigma) {
        this.height = height;
        this.width = width;
        this.joints = joints;
        reach = (int) Math.ceil(BLUR_SIGMAS * sigma);
        kernels = new double[reach + 1][];
        for (int radius = 0; radius <= reach; radius++) {
            kernels[radius] = new double[2 * radius + 1];
            double total = 0;
            for (int i = -radius; i <= radius; i++) {
                kernels[radius][i + radius] = Math.exp(-(i * i) / (2 * sigma * sigma));
                total += kernels[radius][i + radius];
            }
            for (int i = 0; i < kernels[radius].length; i++) {
                kernels[radius][i] /= total;
            }
        }
    }

    /**
     * Finds the step of one joint.
     *
     * @param maps {@code (height, width, joints)}
     * @param peak the map's highest value, above 0
     * @param offset gets x and y, heatmap pixels, each within 1; 0 where the map has no peak to go to
     */
    void step(float[] maps, int joint, int row, int column, float peak, double[] offset) {
        int centreX = Math.max(1, Math.min(column, width - 2));
        int centreY = Math.max(1, Math.min(row, height - 2));
        double[] across = kernels[fitting(centreX, width)];
        double[] down = kernels[fitting(centreY, height)];
        smooth(maps, joint, centreX, centreY, across, down);
        double floor = Math.max(peak, Float.MIN_NORMAL) * LOG_FLOOR;
        for (int i = 0; i < 9; i++) {
            log[i] = Math.log(Math.max(log[i], floor));
        }
        double dx = (log[5] - log[3]) / 2;
        double dy = (log[7] - log[1]) / 2;
        double dxx = log[5] - 2 * log[4] + log[3];
        double dyy = log[7] - 2 * log[4] + log[1];
        double dxy = (log[8] - log[6] - log[2] + log[0]) / 4;
        double determinant = dxx * dyy - dxy * dxy;
        if (dxx < 0 && determinant > 1e-9) {
            offset[0] = within1(centreX - column + (dxy * dy - dyy * dx) / determinant);
            offset[1] = within1(centreY - row + (dxy * dx - dxx * dy) / determinant);
        }
    }

    private int fitting(int centre, int size) {
        return Math.min(Math.min(centre - 1, size - 2 - centre), reach);
    }

    /** The 3 x 3 smoothed values around the centre, in rows, into {@link #log}. */
    private void smooth(float[] maps, int joint, int x, int y, double[] across, double[] down) {
        Arrays.fill(log, 0);
        int radiusX = across.length / 2;
        int radiusY = down.length / 2;
        for (int dy = -radiusY - 1; dy <= radiusY + 1; dy++) {
            int start = ((y + dy) * width + x) * joints + joint;
            for (int column = -1; column <= 1; column++) {
                double sum = 0;
                for (int dx = -radiusX; dx <= radiusX; dx++) {
                    sum += across[dx + radiusX] * maps[start + (column + dx) * joints];
                }
                smoothRow[column + 1] = sum;
            }
            for (int row = -1; row <= 1; row++) {
                int tap = dy - row + radiusY;
                double weight = tap >= 0 && tap < down.length ? down[tap] : 0;
                for (int column = 0; column < 3; column++) {
                    log[3 * (row + 1) + column] += weight * smoothRow[column];
                }
            }
        }
    }

    private static double within1(double value) {
        return Math.max(-1, Math.min(value, 1));
    }
}
