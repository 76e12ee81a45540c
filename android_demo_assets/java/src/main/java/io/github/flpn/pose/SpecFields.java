package io.github.flpn.pose;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** The fields of a spec by their path, {@code "input.height"}, each checked where it is read. */
final class SpecFields {
    private static final List<String> SECTIONS = List.of("input", "crop", "output", "decode", "skeleton");
    private static final long LARGEST_SIZE = 16384;

    private final Map<String, Object> values;
    private final Set<String> read = new HashSet<>();

    private SpecFields(Map<String, Object> values) {
        this.values = values;
    }

    /** The fields of a text whose {@code spec_version} is right. */
    static SpecFields read(String json) {
        Object content;
        try {
            content = Json.parse(json);
        } catch (IllegalArgumentException error) {
            throw new IllegalArgumentException("not json: " + error.getMessage(), error);
        }
        if (!(content instanceof Map)) {
            throw new IllegalArgumentException("the spec must be a json object. Received: " + show(content));
        }
        Map<String, Object> flat = new TreeMap<>();
        ((Map<?, ?>) content).forEach((key, value) -> flatten(flat, (String) key, value));
        SpecFields fields = new SpecFields(flat);
        Object version = fields.values.get("spec_version");
        if (!Long.valueOf(PoseSpec.SPEC_VERSION).equals(version)) {
            throw new IllegalArgumentException(
                    "this library reads spec_version " + PoseSpec.SPEC_VERSION
                            + "; update it or convert the model again. Received: " + show(version));
        }
        fields.read.add("spec_version");
        return fields;
    }

    private static void flatten(Map<String, Object> flat, String key, Object value) {
        if (SECTIONS.contains(key) && value instanceof Map) {
            ((Map<?, ?>) value).forEach((inner, innerValue) -> flat.put(key + "." + inner, innerValue));
        } else if (key.contains(".")) {
            throw new IllegalArgumentException("a field that version 1 does not know: " + key);
        } else {
            flat.put(key, value);
        }
    }

    String text(String path) {
        Object value = get(path, "a non-empty string");
        if (!(value instanceof String) || ((String) value).isEmpty()) {
            throw wrong(path, "a non-empty string");
        }
        return (String) value;
    }

    void textOrNull(String path, String pattern) {
        Object value = get(path, "a string or null");
        if (value != null && !(value instanceof String && ((String) value).matches(pattern))) {
            throw wrong(path, "null or a string of the form " + pattern);
        }
    }

    void object(String path) {
        if (!(get(path, "an object") instanceof Map)) {
            throw wrong(path, "an object");
        }
    }

    void only(String path, Object expected) {
        Object value = get(path, show(expected));
        if (!expected.equals(value)) {
            throw wrong(path, show(expected));
        }
    }

    int whole(String path) {
        Object value = get(path, "a whole number");
        if (!(value instanceof Long) || (Long) value != ((Long) value).intValue()) {
            throw wrong(path, "a whole number");
        }
        return ((Long) value).intValue();
    }

    int size(String path) {
        String expected = "a whole number from 1 to " + LARGEST_SIZE;
        Object value = get(path, expected);
        if (!(value instanceof Long) || (Long) value < 1 || (Long) value > LARGEST_SIZE) {
            throw wrong(path, expected);
        }
        return ((Long) value).intValue();
    }

    double between(String path, double low, double high) {
        String expected = "a number from " + low + " to " + high;
        Object value = get(path, expected);
        double number = value instanceof Number ? ((Number) value).doubleValue() : Double.NaN;
        if (!(low <= number && number <= high)) {
            throw wrong(path, expected);
        }
        return number;
    }

    double[] numbers(String path, int count, boolean positive) {
        String expected = count + (positive ? " numbers above 0" : " numbers");
        List<?> items = list(path, expected);
        double[] numbers = new double[items.size()];
        boolean right = items.size() == count;
        for (int i = 0; right && i < count; i++) {
            right = items.get(i) instanceof Number;
            numbers[i] = right ? ((Number) items.get(i)).doubleValue() : 0;
            right &= !positive || numbers[i] > 0;
        }
        if (!right) {
            throw wrong(path, expected);
        }
        return numbers;
    }

    List<String> texts(String path) {
        List<String> texts = new ArrayList<>();
        for (Object item : list(path, "a list of strings")) {
            if (!(item instanceof String)) {
                throw wrong(path, "a list of strings");
            }
            texts.add((String) item);
        }
        return texts;
    }

    int[][] pairs(String path) {
        String expected = "a list of pairs of joint indices";
        List<?> items = list(path, expected);
        int[][] pairs = new int[items.size()][2];
        for (int i = 0; i < pairs.length; i++) {
            List<?> pair = items.get(i) instanceof List ? (List<?>) items.get(i) : List.of();
            if (pair.size() != 2 || !(pair.get(0) instanceof Long) || !(pair.get(1) instanceof Long)) {
                throw wrong(path, expected);
            }
            for (int side = 0; side < 2; side++) {
                // Far outside any skeleton either way, and it stays so as an int.
                pairs[i][side] = (int) Math.max(-1, Math.min(Integer.MAX_VALUE, (Long) pair.get(side)));
            }
        }
        return pairs;
    }

    TensorType oneOf(String path, TensorType... choices) {
        List<String> labels = new ArrayList<>();
        for (TensorType choice : choices) {
            if (choice.label.equals(values.get(path))) {
                read.add(path);
                return choice;
            }
            labels.add(choice.label);
        }
        get(path, "one of " + labels);
        throw wrong(path, "one of " + labels);
    }

    DecodeRule rule(String path) {
        for (DecodeRule rule : DecodeRule.values()) {
            if (rule.name().toLowerCase(Locale.ROOT).equals(get(path, "a decode rule"))) {
                return rule;
            }
        }
        throw wrong(path, "one of [argmax, quarter, dark]");
    }

    void multiple(String path, int value, String of, int base, int stride) {
        if (value != (long) base * stride) {
            throw wrong(path, of + " * decode.stride = " + (long) base * stride);
        }
    }

    void nothingElse() {
        for (String path : values.keySet()) {
            if (!read.contains(path)) {
                throw new IllegalArgumentException("a field that version 1 does not know: " + path);
            }
        }
    }

    IllegalArgumentException wrong(String path, String expected) {
        return new IllegalArgumentException(
                "the field " + path + " must be " + expected + ". Received: " + show(values.get(path)));
    }

    private List<?> list(String path, String expected) {
        Object value = get(path, expected);
        if (!(value instanceof List)) {
            throw wrong(path, expected);
        }
        return (List<?>) value;
    }

    private Object get(String path, String expected) {
        if (!values.containsKey(path)) {
            throw new IllegalArgumentException("the field " + path + ", " + expected + ", is missing");
        }
        read.add(path);
        return values.get(path);
    }

    private static String show(Object value) {
        String shown = value instanceof String ? "\"" + value + "\"" : String.valueOf(value);
        return shown.length() <= 80 ? shown : shown.substring(0, 80) + "…";
    }
}
