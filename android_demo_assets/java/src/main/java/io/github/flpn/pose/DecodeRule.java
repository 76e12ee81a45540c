package io.github.flpn.pose;

/** How a joint's place is read from its heatmap. */
public enum DecodeRule {
    /** The highest pixel. */
    ARGMAX,
    /** The highest pixel, moved a quarter of a pixel towards its higher neighbour, on each axis. */
    QUARTER,
    /** DARK: one Newton step on the logarithm of the smoothed map (Zhang et al. 2020, section 3.1). */
    DARK
}
