package io.github.flpn.pose;

/**
 * From image pixels to view pixels, where a view shows the image filled and centred (as CameraX's {@code PreviewView}
 * does by default): the image covers the view, and what is too long is cut off on both sides. Immutable.
 *
 * <p>Image pixels have their centres at integers; view pixels, as a canvas draws them, their edges: image (0, 0) is half
 * an image pixel inside the image's corner.
 */
public final class PreviewTransform {
    /** View pixels an image pixel. */
    public final double scale;

    private final double left;
    private final double top;
    private final int imageWidth;
    private final boolean mirrored;

    /**
     * The transform for one size of image and view.
     *
     * @param mirrored whether the view shows the image mirrored, as previews of a front camera do; the image itself is
     *     not
     */
    public PreviewTransform(int imageHeight, int imageWidth, int viewHeight, int viewWidth, boolean mirrored) {
        scale = Math.max((double) viewHeight / imageHeight, (double) viewWidth / imageWidth);
        left = (viewWidth - scale * imageWidth) / 2;
        top = (viewHeight - scale * imageHeight) / 2;
        this.imageWidth = imageWidth;
        this.mirrored = mirrored;
    }

    /** Image column to view column. */
    public float viewX(double imageX) {
        double seen = mirrored ? imageWidth - 1 - imageX : imageX;
        return (float) (left + scale * (seen + 0.5));
    }

    /** Image row to view row. */
    public float viewY(double imageY) {
        return (float) (top + scale * (imageY + 0.5));
    }
}
