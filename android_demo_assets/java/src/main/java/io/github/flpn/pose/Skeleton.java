package io.github.flpn.pose;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;

/** The joints of one kind of body, in the order of the heatmaps. Immutable; safe to share between threads. */
public final class Skeleton {
    /** One name a joint, unique; unmodifiable. */
    public final List<String> names;

    private final int[][] flipPairs;
    private final int[][] limbs;
    private final double[] sigmas;

    Skeleton(List<String> names, int[][] flipPairs, int[][] limbs, double[] sigmas) {
        this.names = Collections.unmodifiableList(new ArrayList<>(names));
        this.flipPairs = flipPairs;
        this.limbs = limbs;
        this.sigmas = sigmas;
        if (names.isEmpty() || names.contains("") || new HashSet<>(names).size() < names.size()) {
            throw new IllegalArgumentException(
                    "skeleton.names must be unique, not empty, and at least one. Received: " + names);
        }
        if (sigmas.length != names.size()) {
            throw new IllegalArgumentException(
                    "skeleton.sigmas must be " + names.size() + " numbers. Received: " + sigmas.length);
        }
        checkPairs("flip_pairs", flipPairs, true);
        checkPairs("limbs", limbs, false);
    }

    private void checkPairs(String field, int[][] pairs, boolean onceOnly) {
        HashSet<Integer> seen = new HashSet<>();
        for (int[] pair : pairs) {
            boolean inside = Math.min(pair[0], pair[1]) >= 0 && Math.max(pair[0], pair[1]) < names.size();
            // Both adds must run: `&`.
            boolean fresh = seen.add(pair[0]) & seen.add(pair[1]);
            if (!inside || pair[0] == pair[1] || (onceOnly && !fresh)) {
                throw new IllegalArgumentException(
                        "skeleton." + field + " must join two different joints in 0.." + (names.size() - 1)
                                + (onceOnly ? ", each joint in one pair only" : "")
                                + ". Received: [" + pair[0] + ", " + pair[1] + "]");
            }
        }
    }

    /** How many joints: K. */
    public int size() {
        return names.size();
    }

    /** The index of the joint with this name, or -1. */
    public int indexOf(String name) {
        return names.indexOf(name);
    }

    /** Pairs of joint indices to join with a line; a copy. */
    public int[][] limbs() {
        return copy(limbs);
    }

    /** Pairs of joint indices that change places when a picture is mirrored; a copy. */
    public int[][] flipPairs() {
        return copy(flipPairs);
    }

    /** The OKS constant of each joint; a copy. */
    public double[] sigmas() {
        return sigmas.clone();
    }

    private static int[][] copy(int[][] pairs) {
        int[][] copied = new int[pairs.length][];
        for (int i = 0; i < pairs.length; i++) {
            copied[i] = pairs[i].clone();
        }
        return copied;
    }
}
