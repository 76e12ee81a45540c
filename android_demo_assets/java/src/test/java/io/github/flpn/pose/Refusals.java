package io.github.flpn.pose;

import java.nio.ByteBuffer;

/** Calls that the library must refuse, and what it says. */
final class Refusals {
    private Refusals() {}

    /** One line a call: its name, a colon, the message; "accepted" where nothing was thrown. */
    static String all(PoseSpec spec) {
        Pose pose = new Pose(spec.skeleton);
        Box box = new Box(0, 0, 10, 10);
        CropTransform transform = new CropTransform(spec, box);
        Cropper cropper = new Cropper(spec);
        HeatmapDecoder decoder = new HeatmapDecoder(spec);
        OneEuroFilter filter = new OneEuroFilter(1, 0, 1);
        filter.filter(0, 5);
        PoseSmoother smoother = new PoseSmoother(spec.skeleton);
        smoother.smooth(pose, box, 5);
        PersonTracker tracker = new PersonTracker();
        tracker.look(3, 4, 5);
        return String.join(
                "\n",
                line("box of no width", () -> new Box(0, 0, 0, 5)),
                line("box of NaN", () -> new Box(Double.NaN, 0, 5, 5)),
                line("box too far", () -> new Box(-2e6, 0, 5, 5)),
                line("short picture", () -> cropper.crop(transform, new int[11], 3, 4, cropper.newInput())),
                line("long picture", () -> cropper.crop(transform, new byte[39], 3, 4, cropper.newInput())),
                line("small input", () -> cropper.crop(transform, new int[12], 3, 4, ByteBuffer.allocate(8))),
                line("small output", () -> decoder.decode(ByteBuffer.allocate(8), pose)),
                line("short array", () -> decoder.decode(new byte[3], pose)),
                line("array of floats", () -> decoder.decode(new float[spec.outputSize()], pose)),
                line("heatmaps of another size", () -> Heatmaps.agree(new float[3], new float[4], 0.05)),
                line("time stands still", () -> filter.filter(1, 5)),
                line("time is no number", () -> filter.filter(1, Double.NaN)),
                line("no unit", () -> filter.filter(1, 6, 0)),
                line("cutoff of 0", () -> new OneEuroFilter(0, 1, 1)),
                line("negative beta", () -> new OneEuroFilter(1, -1, 1)),
                line("pose time goes back", () -> smoother.smooth(pose, box, 4)),
                line("frame of the past", () -> tracker.look(3, 4, 5)));
    }

    private static String line(String name, Runnable call) {
        try {
            call.run();
            return name + ": accepted";
        } catch (IllegalArgumentException error) {
            return name + ": " + error.getMessage();
        }
    }
}
