package io.github.flpn.pose;

/**
 * The one-euro filter (Casiez, Roussel, Vogel, CHI 2012) of one signal: a low-pass filter whose cutoff rises with the
 * signal's speed, so that it is steady at rest and quick in motion. Not thread-safe; nothing is allocated in a call.
 */
public final class OneEuroFilter {
    private final double minCutoff;
    private final double beta;
    private final double dCutoff;
    private boolean started;
    private double lastSeconds;
    private double lastValue;
    private double lastSpeed;

    /**
     * A filter that has seen nothing.
     *
     * @param minCutoff Hz, of a signal at rest; lower is steadier
     * @param beta Hz that a unit of speed adds; higher lags less
     * @param dCutoff Hz, of the speed itself
     * @throws IllegalArgumentException a cutoff that is no positive number, or a beta below 0
     */
    public OneEuroFilter(double minCutoff, double beta, double dCutoff) {
        boolean finite = minCutoff < Double.MAX_VALUE && beta < Double.MAX_VALUE && dCutoff < Double.MAX_VALUE;
        if (!finite || !(minCutoff >= 1e-9) || !(beta >= 0) || !(dCutoff >= 1e-9)) {
            throw new IllegalArgumentException(
                    "minCutoff and dCutoff are finite and 1e-9 or more, beta is finite and 0 or more. Received: "
                            + minCutoff + ", " + dCutoff + ", " + beta);
        }
        this.minCutoff = minCutoff;
        this.beta = beta;
        this.dCutoff = dCutoff;
    }

    /** As {@link #filter(double, double, double)} with speeds in the signal's own unit. */
    public double filter(double value, double seconds) {
        return filter(value, seconds, 1);
    }

    /**
     * The filtered value.
     *
     * @param value of the signal; the first one comes back as it is
     * @param seconds when it was taken, above that of the call before
     * @param unit what counts as one unit of distance now, in the unit of the signal
     * @throws IllegalArgumentException a time that is not above the last one, or a unit that is not above 0
     */
    public double filter(double value, double seconds, double unit) {
        if (!(unit > 0)) {
            throw new IllegalArgumentException("unit must be above 0. Received: " + unit);
        }
        if (!started) {
            started = true;
            lastSpeed = 0;
            lastValue = value;
        } else {
            double elapsed = seconds - lastSeconds;
            if (!(elapsed > 0)) {
                throw new IllegalArgumentException(
                        "Time must grow from call to call. Received: " + seconds + " s after " + lastSeconds + " s");
            }
            double speed = (value - lastValue) / elapsed;
            lastSpeed += weight(dCutoff, elapsed) * (speed - lastSpeed);
            double cutoff = minCutoff + beta * Math.abs(lastSpeed) / unit;
            lastValue += weight(cutoff, elapsed) * (value - lastValue);
        }
        lastSeconds = seconds;
        return lastValue;
    }

    /** Forgets everything: the next value comes back as it is. */
    public void reset() {
        started = false;
    }

    /** What a new sample counts in a first-order low-pass filter. */
    private static double weight(double cutoff, double elapsed) {
        double angle = 2 * Math.PI * elapsed * cutoff;
        return angle / (angle + 1);
    }
}
