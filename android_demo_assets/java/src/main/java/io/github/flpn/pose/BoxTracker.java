package io.github.flpn.pose;

/**
 * Where to look for the person in the next frame: around the joints found in this one. Stateless; safe to share between
 * threads.
 */
public final class BoxTracker {
    /** Added on every side, of the joints' longer side: joints lie inside a person's box. */
    public static final double MARGIN = 0.08;

    private final double margin;

    /** A tracker with {@link #MARGIN}. */
    public BoxTracker() {
        this(MARGIN);
    }

    /** A tracker that adds {@code margin} of the longer side on every side. */
    public BoxTracker(double margin) {
        this.margin = margin;
    }

    /**
     * The box around the joints that are found ({@link Pose#isFound}).
     *
     * @param pose image pixels, as decoded: smoothed joints lag behind
     * @param imageHeight pixels
     * @param imageWidth pixels
     * @return sides of at least one pixel; null where the person is lost: fewer than two joints found, or all of the
     *     box outside the picture. Look again in {@link Box#ofImage} or in a detector's box.
     */
    public Box next(Pose pose, int imageHeight, int imageWidth) {
        double left = Double.POSITIVE_INFINITY;
        double top = Double.POSITIVE_INFINITY;
        double right = Double.NEGATIVE_INFINITY;
        double bottom = Double.NEGATIVE_INFINITY;
        for (int joint = 0; joint < pose.size(); joint++) {
            if (pose.isFound(joint)) {
                left = Math.min(left, pose.x(joint));
                right = Math.max(right, pose.x(joint));
                top = Math.min(top, pose.y(joint));
                bottom = Math.max(bottom, pose.y(joint));
            }
        }
        if (pose.found() < 2) {
            return null;
        }
        double added = margin * Math.max(right - left, bottom - top);
        double width = Math.max(right - left + 2 * added, 1);
        double height = Math.max(bottom - top + 2 * added, 1);
        double x = (left + right - width) / 2;
        double y = (top + bottom - height) / 2;
        boolean outside = x >= imageWidth || y >= imageHeight || x + width <= 0 || y + height <= 0;
        return outside || Math.max(width, height) > Box.MAX_COORDINATE ? null : new Box(x, y, width, height);
    }
}
