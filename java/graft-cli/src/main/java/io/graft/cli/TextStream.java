package io.graft.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/**
 * Turns token ids into text as they come. A character may be spread over several tokens, and so only that part of the
 * decoded text is given out which no later token can change.
 */
public final class TextStream {
    private static final char INCOMPLETE = '\uFFFD';

    private final Function<int[], String> decode;
    private final List<Integer> ids = new ArrayList<>();
    private int given;

    public TextStream(Function<int[], String> decode) {
        this.decode = decode;
    }

    /** The text that this token completes; empty while a character is incomplete. */
    public String add(int id) {
        ids.add(id);
        String text = text();
        int end = text.length();
        while (end > given && text.charAt(end - 1) == INCOMPLETE) {
            end--;
        }
        return take(text, end);
    }

    /** What is left when no more tokens come. */
    public String finish() {
        String text = text();
        return take(text, text.length());
    }

    public String text() {
        return decode.apply(ids.stream().mapToInt(Integer::intValue).toArray());
    }

    private String take(String text, int end) {
        if (end <= given) {
            return "";
        }
        String piece = text.substring(given, end);
        given = end;
        return piece;
    }
}
