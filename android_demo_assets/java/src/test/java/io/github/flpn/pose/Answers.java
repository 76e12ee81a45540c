package io.github.flpn.pose;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Answers questions about the library: standard input to standard output, both big-endian. The tests in Python ask and
 * compare.
 *
 * <p>A text and a run of bytes are preceded by their length as an int. Each question is its name and its arguments; each
 * answer is one run of bytes. {@code "end"} ends.
 */
public final class Answers {
    private final DataInputStream in;
    private final DataOutputStream out;

    private Answers(DataInputStream in, DataOutputStream out) {
        this.in = in;
        this.out = out;
    }

    /** Answers until {@code "end"}. */
    public static void main(String[] arguments) throws IOException {
        try (DataInputStream in = new DataInputStream(new BufferedInputStream(System.in, 1 << 16));
                DataOutputStream out = new DataOutputStream(new BufferedOutputStream(System.out, 1 << 16))) {
            Answers answers = new Answers(in, out);
            for (String question = answers.text(); !question.equals("end"); question = answers.text()) {
                answers.answer(question);
            }
        }
    }

    private void answer(String question) throws IOException {
        switch (question) {
            case "decode":
                decode();
                break;
            case "crop":
                crop();
                break;
            case "points":
                points();
                break;
            case "preview":
                preview();
                break;
            case "euro":
                euro();
                break;
            case "smooth":
                smooth();
                break;
            case "next box":
                nextBox();
                break;
            case "track":
                track();
                break;
            case "agree":
                agree();
                break;
            case "defaults":
                write(PoseSmoother.MIN_CUTOFF, PoseSmoother.BETA, PoseSmoother.D_CUTOFF, PersonTracker.MARGIN,
                        Pose.SCORE_THRESHOLD, Box.MAX_COORDINATE, Box.MIN_SIDE, PoseSpec.SPEC_VERSION,
                        PersonTracker.BELIEF_IN_NEW, PersonTracker.BELIEF_IN_KNOWN, PersonTracker.SEARCH_INTERVAL,
                        PersonTracker.MEMORY, PersonTracker.LARGER, PersonTracker.FASTEST_SHRINKING);
                break;
            case "spec":
                spec();
                break;
            case "refusals":
                write(Refusals.all(spec(text())).getBytes(StandardCharsets.UTF_8));
                break;
            default:
                throw new IOException("no question: " + question);
        }
    }

    private void decode() throws IOException {
        PoseSpec spec = spec(text());
        HeatmapDecoder decoder = new HeatmapDecoder(spec, DecodeRule.valueOf(text()));
        boolean asArray = in.readInt() == 1;
        byte[] stored = bytes();
        ByteBuffer buffer = decoder.newOutput();
        buffer.put(stored).rewind();
        Pose pose = new Pose(spec.skeleton);
        // Twice: a decoder is used for many frames, and the second answer counts.
        decoder.decode(buffer, pose);
        if (!asArray) {
            decoder.decode(buffer, pose);
        } else if (spec.outputType == TensorType.FLOAT32) {
            float[] values = new float[spec.outputSize()];
            buffer.asFloatBuffer().get(values);
            decoder.decode(values, pose);
        } else {
            decoder.decode(stored, pose);
        }
        write(pose);
    }

    private void crop() throws IOException {
        PoseSpec spec = spec(text());
        CropTransform transform = new CropTransform(spec, box());
        int height = in.readInt();
        int width = in.readInt();
        boolean packed = in.readInt() == 1;
        byte[] rgb = bytes();
        Cropper cropper = new Cropper(spec);
        ByteBuffer into = cropper.newInput();
        if (packed) {
            int[] argb = new int[rgb.length / 3];
            for (int i = 0; i < argb.length; i++) {
                // Any alpha: it must not matter.
                argb[i] = i << 24 | (rgb[3 * i] & 255) << 16 | (rgb[3 * i + 1] & 255) << 8 | rgb[3 * i + 2] & 255;
            }
            cropper.crop(transform, argb, height, width, into);
        } else {
            cropper.crop(transform, rgb, height, width, into);
        }
        byte[] answer = new byte[into.capacity()];
        into.get(answer);
        write(answer);
    }

    private void points() throws IOException {
        PoseSpec spec = spec(text());
        CropTransform transform = new CropTransform(spec, box());
        Pose pose = pose(spec);
        transform.toImage(pose);
        Pose back = pose.copy();
        transform.toCrop(back);
        write(join(values(pose), values(back)));
    }

    private void preview() throws IOException {
        boolean mirrored = in.readInt() == 1;
        PreviewTransform transform =
                new PreviewTransform(in.readInt(), in.readInt(), in.readInt(), in.readInt(), mirrored);
        double x = in.readDouble();
        double y = in.readDouble();
        write(transform.viewX(x), transform.viewY(y));
    }

    private void euro() throws IOException {
        OneEuroFilter filter = new OneEuroFilter(in.readDouble(), in.readDouble(), in.readDouble());
        double[] answers = new double[in.readInt()];
        for (int i = 0; i < answers.length; i++) {
            answers[i] = filter.filter(in.readDouble(), in.readDouble(), in.readDouble());
        }
        write(answers);
    }

    private void smooth() throws IOException {
        PoseSpec spec = spec(text());
        PoseSmoother smoother =
                new PoseSmoother(spec.skeleton, in.readDouble(), in.readDouble(), in.readDouble());
        double[] answers = new double[0];
        for (int left = in.readInt(); left > 0; left--) {
            double seconds = in.readDouble();
            Box box = box();
            Pose pose = pose(spec);
            smoother.smooth(pose, box, seconds);
            answers = join(answers, values(pose));
        }
        write(answers);
    }

    private void nextBox() throws IOException {
        PoseSpec spec = spec(text());
        Pose pose = pose(spec);
        Pose before = in.readInt() == 1 ? pose(spec) : null;
        Box next = PersonTracker.next(pose, before, box());
        write(pose.score(), next.x, next.y, next.width, next.height);
    }

    /** A video. The model finds the joints that lie in the crop, exactly. */
    private void track() throws IOException {
        PoseSpec spec = spec(text());
        int height = in.readInt();
        int width = in.readInt();
        PersonTracker tracker = new PersonTracker();
        if (in.readInt() == 1) {
            tracker.start(box());
        }
        double[] answers = new double[0];
        for (int left = in.readInt(); left > 0; left--) {
            Box looked = tracker.look(height, width, in.readDouble());
            Pose pose = pose(spec);
            CropTransform transform = new CropTransform(spec, looked);
            int found = 0;
            for (int joint = 0; joint < pose.size(); joint++) {
                double x = transform.cropX(pose.x(joint));
                double y = transform.cropY(pose.y(joint));
                boolean shown = x >= 0 && y >= 0 && x < spec.inputWidth && y < spec.inputHeight;
                pose.set(joint, pose.x(joint), pose.y(joint), shown ? pose.score(joint) : 0);
                found += pose.isFound(joint) ? 1 : 0;
            }
            double there = tracker.update(pose) ? 1 : 0;
            double following = tracker.isFollowing() ? 1 : 0;
            double[] answer = {there, following, found, looked.x, looked.y, looked.width, looked.height};
            answers = join(answers, answer);
        }
        write(answers);
    }

    private void agree() throws IOException {
        double share = in.readDouble();
        int count = in.readInt();
        float[] found = floats(count);
        write(Heatmaps.agree(found, floats(count), share) ? 1 : 0);
    }

    private void spec() throws IOException {
        String answer;
        try {
            PoseSpec spec = spec(text());
            answer = "ok " + String.join(" ", spec.name, spec.inputType.label, spec.outputType.label,
                    spec.decodeRule.name(), spec.inputHeight + "x" + spec.inputWidth,
                    spec.outputHeight + "x" + spec.outputWidth, "" + spec.skeleton.limbs().length);
        } catch (IllegalArgumentException error) {
            answer = error.getMessage();
        }
        write(answer.getBytes(StandardCharsets.UTF_8));
    }

    private static PoseSpec spec(String json) {
        return PoseSpec.parse(json, "pose_spec.json");
    }

    private Box box() throws IOException {
        return new Box(in.readDouble(), in.readDouble(), in.readDouble(), in.readDouble());
    }

    private Pose pose(PoseSpec spec) throws IOException {
        Pose pose = new Pose(spec.skeleton);
        for (int joint = 0; joint < pose.size(); joint++) {
            pose.set(joint, in.readDouble(), in.readDouble(), in.readDouble());
        }
        return pose;
    }

    private float[] floats(int count) throws IOException {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) in.readDouble();
        }
        return values;
    }

    private String text() throws IOException {
        return new String(bytes(), StandardCharsets.UTF_8);
    }

    private byte[] bytes() throws IOException {
        byte[] bytes = new byte[in.readInt()];
        in.readFully(bytes);
        return bytes;
    }

    private static double[] values(Pose pose) {
        double[] values = new double[3 * pose.size()];
        for (int joint = 0; joint < pose.size(); joint++) {
            Keypoint keypoint = pose.keypoint(joint);
            values[3 * joint] = keypoint.x;
            values[3 * joint + 1] = keypoint.y;
            values[3 * joint + 2] = keypoint.score;
        }
        return values;
    }

    private static double[] join(double[] first, double[] second) {
        double[] joined = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, joined, first.length, second.length);
        return joined;
    }

    private void write(Pose pose) throws IOException {
        write(values(pose));
    }

    private void write(double... values) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(8 * values.length);
        bytes.asDoubleBuffer().put(values);
        write(bytes.array());
    }

    private void write(byte[] bytes) throws IOException {
        out.writeInt(bytes.length);
        out.write(bytes);
    }
}
