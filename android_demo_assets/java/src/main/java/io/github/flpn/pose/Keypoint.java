package io.github.flpn.pose;

/** One joint, as a value. Immutable. */
public final class Keypoint {
    /** Of the joint. */
    public final String name;

    /** Pixels, in the frame of the {@link Pose} it came from. */
    public final double x;

    /** Pixels, in the frame of the {@link Pose} it came from. */
    public final double y;

    /** The height of the heatmap's peak, 0 to about 1; 0 where nothing was seen. */
    public final double score;

    Keypoint(String name, double x, double y, double score) {
        this.name = name;
        this.x = x;
        this.y = y;
        this.score = score;
    }

    @Override
    public String toString() {
        return name + "(" + x + ", " + y + ", score " + score + ")";
    }
}
