package io.github.flpn.pose;

import java.util.List;

/**
 * What a deployed pose model expects and gives: the content of {@code pose_spec.json}, version 1. Immutable; safe to
 * share between threads.
 *
 * <p>Every size in this library comes from here. Heights stand before widths everywhere: the input is {@code
 * (1, inputHeight, inputWidth, 3)}, RGB, 0 to 255, normalised inside the graph; the output is {@code (1,
 * outputHeight, outputWidth, skeleton.size())}, and heatmap index {@code i} is crop pixel {@code stride * i}.
 */
public final class PoseSpec {
    /** The version this library reads. */
    public static final int SPEC_VERSION = 1;

    /** The model's name. */
    public final String name;

    /** Pixels. */
    public final int inputHeight;

    /** Pixels. */
    public final int inputWidth;

    /** {@link TensorType#UINT8} or {@link TensorType#FLOAT32}; the values are 0 to 255 in either. */
    public final TensorType inputType;

    /** How much more than the person's box the crop shows. */
    public final double padding;

    /** Heatmap pixels. */
    public final int outputHeight;

    /** Heatmap pixels. */
    public final int outputWidth;

    /** Of the stored heatmaps. */
    public final TensorType outputType;

    /** Heatmap value = {@code outputScale * (stored - outputZeroPoint)}. */
    public final double outputScale;

    /** See {@link #outputScale}. */
    public final int outputZeroPoint;

    /** The rule the model was measured with. */
    public final DecodeRule decodeRule;

    /** Crop pixels a heatmap pixel. */
    public final int stride;

    /** Of the gaussians the model was trained with, heatmap pixels. */
    public final double sigma;

    /** The joints, in the heatmaps' order. */
    public final Skeleton skeleton;

    private PoseSpec(SpecFields fields) {
        name = fields.text("name");
        fields.object("architecture");
        fields.textOrNull("weights_sha256", "[0-9a-f]{64}");
        fields.only("input.name", "image");
        fields.only("input.layout", "NHWC");
        fields.only("input.color", "RGB");
        fields.only("input.normalised_inside", true);
        fields.only("crop.interpolation", "bilinear");
        fields.only("crop.border", 0L);
        fields.only("output.name", "heatmaps");
        fields.numbers("input.mean", 3, false);
        fields.numbers("input.std", 3, true);
        double[] range = fields.numbers("input.range", 2, false);
        if (range[0] != 0 || range[1] != 255) {
            throw fields.wrong("input.range", "[0, 255]");
        }
        inputHeight = fields.size("input.height");
        inputWidth = fields.size("input.width");
        inputType = fields.oneOf("input.dtype", TensorType.UINT8, TensorType.FLOAT32);
        padding = fields.between("crop.padding", 0.1, 10);
        outputHeight = fields.size("output.height");
        outputWidth = fields.size("output.width");
        outputType = fields.oneOf("output.dtype", TensorType.FLOAT32, TensorType.UINT8, TensorType.INT8);
        outputScale = fields.between("output.scale", Float.MIN_VALUE, Float.MAX_VALUE);
        outputZeroPoint = fields.whole("output.zero_point");
        decodeRule = fields.rule("decode.rule");
        stride = fields.size("decode.stride");
        sigma = fields.between("decode.sigma", 0.1, 64);
        List<String> names = fields.texts("skeleton.names");
        skeleton =
                new Skeleton(
                        names,
                        fields.pairs("skeleton.flip_pairs"),
                        fields.pairs("skeleton.limbs"),
                        fields.numbers("skeleton.sigmas", names.size(), true));
        fields.multiple("input.height", inputHeight, "output.height", outputHeight, stride);
        fields.multiple("input.width", inputWidth, "output.width", outputWidth, stride);
        double aspect = (double) inputWidth / inputHeight;
        if (Math.abs(fields.between("crop.aspect", 0, Double.MAX_VALUE) - aspect) > 1e-6) {
            throw fields.wrong("crop.aspect", "input.width / input.height = " + aspect);
        }
        if (outputHeight < 3 || outputWidth < 3) {
            throw fields.wrong(outputHeight < 3 ? "output.height" : "output.width", "at least 3 to be decoded");
        }
        fields.nothingElse();
    }

    /**
     * Reads a spec.
     *
     * @param json the text of {@code pose_spec.json}
     * @param source names the file in messages
     * @throws IllegalArgumentException not JSON, another {@code spec_version}, a field that is missing, unknown or
     *     wrong, or a model this library cannot serve; the message names the source, the field and the value
     */
    public static PoseSpec parse(String json, String source) {
        try {
            return new PoseSpec(SpecFields.read(json));
        } catch (IllegalArgumentException error) {
            throw new IllegalArgumentException(source + ": " + error.getMessage(), error);
        }
    }

    /** How many numbers the input tensor holds: height x width x 3. */
    public int inputSize() {
        return inputHeight * inputWidth * 3;
    }

    /** How many numbers the output tensor holds: height x width x joints. */
    public int outputSize() {
        return outputHeight * outputWidth * skeleton.size();
    }
}
