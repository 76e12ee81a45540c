package io.github.flpn.pose;

/**
 * A box around a person: image pixels, origin top-left, pixel centres at integers. Immutable; safe to share between
 * threads.
 */
public final class Box {
    /** Pixels. No picture is larger, and far beyond it the crop's arithmetic overflows. */
    public static final double MAX_COORDINATE = 1e6;

    /** Pixels. */
    public static final double MIN_SIDE = 0.01;

    /** Left edge. */
    public final double x;

    /** Top edge. */
    public final double y;

    /** Width. */
    public final double width;

    /** Height. */
    public final double height;

    /**
     * A box from its top-left corner and its size, in this order: <b>width before height</b>.
     *
     * @throws IllegalArgumentException a number that is not finite or beyond {@link #MAX_COORDINATE}, or a side
     *     under {@link #MIN_SIDE}
     */
    public Box(double x, double y, double width, double height) {
        this.x = x;
        this.y = y;
        this.width = width;
        this.height = height;
        double largest = Math.max(Math.max(Math.abs(x), Math.abs(y)), Math.max(width, height));
        // Negated, so that NaN is refused too.
        if (!(largest <= MAX_COORDINATE) || !(Math.min(width, height) >= MIN_SIDE)) {
            throw new IllegalArgumentException(
                    "A box is four finite numbers x, y, width, height of at most 1e6 pixels, with sides of at least "
                            + MIN_SIDE
                            + ". Received: "
                            + this);
        }
    }

    /** The whole of a picture: the box to start from where nothing is known of the person. */
    public static Box ofImage(int imageHeight, int imageWidth) {
        return new Box(0, 0, imageWidth, imageHeight);
    }

    /** The longer of the two sides, pixels: the unit of {@link PoseSmoother}'s speeds. */
    public double longerSide() {
        return Math.max(width, height);
    }

    @Override
    public String toString() {
        return "Box[x=" + x + ", y=" + y + ", width=" + width + ", height=" + height + "]";
    }
}
