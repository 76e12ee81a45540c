package io.github.flpn.pose;

import java.util.ArrayList;
import java.util.List;

/**
 * K joints as {@code (x, y, score)}: in crop pixels from {@link HeatmapDecoder}, in image pixels behind {@link
 * CropTransform#toImage}. Mutable, to be filled anew each frame; not thread-safe: hand a {@link #copy} to another
 * thread.
 */
public final class Pose {
    /** Joints that score at or below it count as not found. */
    public static final double SCORE_THRESHOLD = 0.2;

    /** Names the joints. */
    public final Skeleton skeleton;

    private final double[] values;

    /** A pose of K joints at (0, 0) with score 0. */
    public Pose(Skeleton skeleton) {
        this(skeleton, new double[3 * skeleton.size()]);
    }

    private Pose(Skeleton skeleton, double[] values) {
        this.skeleton = skeleton;
        this.values = values;
    }

    /** How many joints: K. */
    public int size() {
        return skeleton.size();
    }

    /** Pixels; may lie outside the picture. */
    public double x(int joint) {
        return values[3 * joint];
    }

    /** Pixels; may lie outside the picture. */
    public double y(int joint) {
        return values[3 * joint + 1];
    }

    /** The height of the heatmap's peak; 0 where nothing was seen. */
    public double score(int joint) {
        return values[3 * joint + 2];
    }

    /** Whether the joint scores above {@link #SCORE_THRESHOLD}: draw and use only these. */
    public boolean isFound(int joint) {
        return score(joint) > SCORE_THRESHOLD;
    }

    /** Puts a joint. */
    public void set(int joint, double x, double y, double score) {
        values[3 * joint] = x;
        values[3 * joint + 1] = y;
        values[3 * joint + 2] = score;
    }

    /** How many joints are found. */
    public int found() {
        int found = 0;
        for (int joint = 0; joint < size(); joint++) {
            found += isFound(joint) ? 1 : 0;
        }
        return found;
    }

    /** The mean score of the joints that are found, 0 where none is. */
    public double score() {
        double total = 0;
        for (int joint = 0; joint < size(); joint++) {
            total += isFound(joint) ? score(joint) : 0;
        }
        return total / Math.max(found(), 1);
    }

    /** One joint as a value. */
    public Keypoint keypoint(int joint) {
        return new Keypoint(skeleton.names.get(joint), x(joint), y(joint), score(joint));
    }

    /** All joints as values, found or not, in the skeleton's order. */
    public List<Keypoint> keypoints() {
        List<Keypoint> keypoints = new ArrayList<>(size());
        for (int joint = 0; joint < size(); joint++) {
            keypoints.add(keypoint(joint));
        }
        return keypoints;
    }

    /** A pose of its own with the same joints. */
    public Pose copy() {
        return new Pose(skeleton, values.clone());
    }

    @Override
    public String toString() {
        return keypoints().toString();
    }
}
