package io.github.flpn.pose;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A strict reader of JSON (RFC 8259): objects to {@code Map}, arrays to {@code List}, whole-number literals to
 * {@code Long}, other numbers to {@code Double}, the rest to {@code String}, {@code Boolean} and {@code null}.
 *
 * <p>A key given twice, a number outside the range of its type, and nesting beyond {@link #DEEPEST} are errors.
 */
final class Json {
    static final int DEEPEST = 64;

    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    /**
     * The value of a text.
     *
     * @throws IllegalArgumentException the text is not one JSON value; the message has the position
     */
    static Object parse(String text) {
        Json reader = new Json(text);
        Object value = reader.value(0);
        reader.skipSpace();
        if (reader.at < text.length()) {
            throw reader.wrong("the end");
        }
        return value;
    }

    private Object value(int depth) {
        if (depth > DEEPEST) {
            throw wrong("at most " + DEEPEST + " levels");
        }
        skipSpace();
        switch (peek()) {
            case '{':
                return object(depth);
            case '[':
                return array(depth);
            case '"':
                return string();
            case 't':
                return word("true", Boolean.TRUE);
            case 'f':
                return word("false", Boolean.FALSE);
            case 'n':
                return word("null", null);
            default:
                return number();
        }
    }

    private Map<String, Object> object(int depth) {
        Map<String, Object> members = new LinkedHashMap<>();
        at++;
        skipSpace();
        if (took('}')) {
            return members;
        }
        do {
            skipSpace();
            if (peek() != '"') {
                throw wrong("a key in quotes");
            }
            String key = string();
            skipSpace();
            if (!took(':')) {
                throw wrong("':'");
            }
            Object value = value(depth + 1);
            if (members.containsKey(key)) {
                throw wrong("each key once (\"" + key + "\")");
            }
            members.put(key, value);
            skipSpace();
        } while (took(','));
        if (!took('}')) {
            throw wrong("',' or '}'");
        }
        return members;
    }

    private List<Object> array(int depth) {
        List<Object> items = new ArrayList<>();
        at++;
        skipSpace();
        if (took(']')) {
            return items;
        }
        do {
            items.add(value(depth + 1));
            skipSpace();
        } while (took(','));
        if (!took(']')) {
            throw wrong("',' or ']'");
        }
        return items;
    }

    private String string() {
        StringBuilder built = new StringBuilder();
        at++;
        while (true) {
            char next = peek();
            if (next == '"') {
                at++;
                return built.toString();
            }
            if (next < ' ') {
                throw wrong("a closing quote");
            }
            at++;
            built.append(next == '\\' ? escaped() : next);
        }
    }

    private char escaped() {
        char kind = peek();
        int known = "\"\\/bfnrt".indexOf(kind);
        if (known >= 0) {
            at++;
            return "\"\\/\b\f\n\r\t".charAt(known);
        }
        int code = 0;
        boolean right = kind == 'u' && at + 4 < text.length();
        for (int i = 1; right && i <= 4; i++) {
            int digit = Character.digit(text.charAt(at + i), 16);
            right = digit >= 0 && text.charAt(at + i) < 128;
            code = 16 * code + digit;
        }
        if (!right) {
            throw wrong("an escape that JSON has");
        }
        at += 5;
        return (char) code;
    }

    private Object number() {
        int start = at;
        took('-');
        if (!took('0')) {
            digits();
        }
        boolean whole = true;
        if (took('.')) {
            whole = false;
            digits();
        }
        if (took('e') || took('E')) {
            whole = false;
            if (!took('+')) {
                took('-');
            }
            digits();
        }
        String literal = text.substring(start, at);
        try {
            if (whole) {
                return Long.valueOf(literal);
            }
        } catch (NumberFormatException tooLarge) {
            throw wrong("a whole number of 64 bits instead of " + literal);
        }
        double value = new BigDecimal(literal).doubleValue();
        if (Double.isInfinite(value)) {
            throw wrong("a finite number instead of " + literal);
        }
        return value;
    }

    private void digits() {
        if (peek() < '0' || peek() > '9') {
            throw wrong("a value");
        }
        while (at < text.length() && text.charAt(at) >= '0' && text.charAt(at) <= '9') {
            at++;
        }
    }

    private Object word(String word, Object value) {
        if (!text.startsWith(word, at)) {
            throw wrong("a value");
        }
        at += word.length();
        return value;
    }

    private void skipSpace() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private char peek() {
        if (at >= text.length()) {
            throw wrong("more");
        }
        return text.charAt(at);
    }

    private boolean took(char wanted) {
        boolean there = at < text.length() && text.charAt(at) == wanted;
        if (there) {
            at++;
        }
        return there;
    }

    private IllegalArgumentException wrong(String expected) {
        String found = at < text.length() ? "'" + text.charAt(at) + "'" : "the end of the text";
        int line = 1;
        for (int i = 0; i < Math.min(at, text.length()); i++) {
            line += text.charAt(i) == '\n' ? 1 : 0;
        }
        return new IllegalArgumentException(
                "expected " + expected + " at character " + at + ", line " + line + ". Received: " + found);
    }
}
