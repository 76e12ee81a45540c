package io.github.flpn.pose;

/**
 * The way between image pixels and crop pixels for one box: {@code crop = scale * image + shift}. Both frames have
 * their origin top-left and pixel centres at integers. Immutable; safe to share between threads.
 *
 * <p>The box's centre {@code (x + width/2, y + height/2)} goes to {@code (inputWidth/2, inputHeight/2)}. The box's
 * shorter side is first enlarged to the crop's aspect; {@code scale} is {@code inputWidth / (padding * that width)}.
 */
public final class CropTransform {
    /** Crop pixels an image pixel. */
    public final double scale;

    /** Crop column of image column 0. */
    public final double shiftX;

    /** Crop row of image row 0. */
    public final double shiftY;

    /**
     * The transform of one box.
     *
     * @param spec gives the size of the crop and the padding
     * @param box image pixels
     */
    public CropTransform(PoseSpec spec, Box box) {
        double shownWidth = Math.max(box.width, box.height * spec.inputWidth / spec.inputHeight);
        scale = spec.inputWidth / (spec.padding * shownWidth);
        shiftX = spec.inputWidth / 2.0 - scale * (box.x + box.width / 2);
        shiftY = spec.inputHeight / 2.0 - scale * (box.y + box.height / 2);
    }

    /** Image column to crop column. */
    public double cropX(double imageX) {
        return scale * imageX + shiftX;
    }

    /** Image row to crop row. */
    public double cropY(double imageY) {
        return scale * imageY + shiftY;
    }

    /** Crop column to image column. */
    public double imageX(double cropX) {
        return (cropX - shiftX) / scale;
    }

    /** Crop row to image row. */
    public double imageY(double cropY) {
        return (cropY - shiftY) / scale;
    }

    /** Moves a pose from crop pixels to image pixels, in place. */
    public void toImage(Pose pose) {
        for (int joint = 0; joint < pose.size(); joint++) {
            pose.set(joint, imageX(pose.x(joint)), imageY(pose.y(joint)), pose.score(joint));
        }
    }

    /** Moves a pose from image pixels to crop pixels, in place. */
    public void toCrop(Pose pose) {
        for (int joint = 0; joint < pose.size(); joint++) {
            pose.set(joint, cropX(pose.x(joint)), cropY(pose.y(joint)), pose.score(joint));
        }
    }
}
