package io.github.flpn.pose;

/**
 * Smooths one person's joints from frame to frame, each coordinate by a {@link OneEuroFilter}. Speeds count in sides of
 * the person's box a second, so the same parameters serve every size of picture.
 *
 * <p>One smoother a person, used by one thread at a time; nothing is allocated in a call.
 */
public final class PoseSmoother {
    /** Hz. */
    public static final double MIN_CUTOFF = 0.5;

    /** Hz a box side per second. */
    public static final double BETA = 7;

    /** Hz. */
    public static final double D_CUTOFF = 1;

    private final OneEuroFilter[] filters;
    private double lastSeconds = Double.NEGATIVE_INFINITY;

    /** A smoother with the default parameters. */
    public PoseSmoother(Skeleton skeleton) {
        this(skeleton, MIN_CUTOFF, BETA, D_CUTOFF);
    }

    /** A smoother; see {@link OneEuroFilter#OneEuroFilter} for the parameters. */
    public PoseSmoother(Skeleton skeleton, double minCutoff, double beta, double dCutoff) {
        filters = new OneEuroFilter[2 * skeleton.size()];
        for (int i = 0; i < filters.length; i++) {
            filters[i] = new OneEuroFilter(minCutoff, beta, dCutoff);
        }
    }

    /**
     * Smooths a pose in place; scores stay.
     *
     * @param pose image pixels. A joint that is not found ({@link Pose#isFound}) is left as it is, and forgotten: where
     *     it is found again, it starts anew.
     * @param box the person's, image pixels
     * @param seconds when the picture was taken (not when it is handled), above that of the call before
     * @throws IllegalArgumentException a time that is not above the last one, or a pose of another skeleton's size
     */
    public void smooth(Pose pose, Box box, double seconds) {
        if (2 * pose.size() != filters.length) {
            throw new IllegalArgumentException(
                    "The pose must have " + filters.length / 2 + " joints. Received: " + pose.size());
        }
        if (!(seconds > lastSeconds)) {
            throw new IllegalArgumentException(
                    "Time must grow from call to call. Received: " + seconds + " s after " + lastSeconds + " s");
        }
        lastSeconds = seconds;
        double unit = box.longerSide();
        for (int joint = 0; joint < pose.size(); joint++) {
            OneEuroFilter x = filters[2 * joint];
            OneEuroFilter y = filters[2 * joint + 1];
            if (pose.isFound(joint)) {
                double smoothX = x.filter(pose.x(joint), seconds, unit);
                double smoothY = y.filter(pose.y(joint), seconds, unit);
                pose.set(joint, smoothX, smoothY, pose.score(joint));
            } else {
                x.reset();
                y.reset();
            }
        }
    }

    /** Forgets the person: for a new one, or after a pause. */
    public void reset() {
        lastSeconds = Double.NEGATIVE_INFINITY;
        for (OneEuroFilter filter : filters) {
            filter.reset();
        }
    }
}
