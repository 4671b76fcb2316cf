package io.graft.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/**
 * Turns token ids into text as they come. A character may be spread over several tokens, and a text that ends the stream
 * too: only that part of the decoded text is given out which no later token can change or take back.
 */
public final class TextStream {
    private static final char INCOMPLETE = '\uFFFD';

    private final Function<int[], String> decode;
    private final List<String> stops;
    private final List<Integer> ids = new ArrayList<>();
    private int given;
    private int stopAt = -1;

    public TextStream(Function<int[], String> decode) {
        this(decode, List.of());
    }

    /** @param stops texts before the first of which the stream ends; none is empty */
    public TextStream(Function<int[], String> decode, List<String> stops) {
        this.decode = decode;
        this.stops = List.copyOf(stops);
    }

    /** The text that this token completes; empty while a character, or a text that could end the stream, is incomplete. */
    public String add(int id) {
        ids.add(id);
        String text = decoded();
        stopAt = stop(text);
        if (stopped()) {
            return take(text, stopAt);
        }
        int end = text.length();
        while (end > given && text.charAt(end - 1) == INCOMPLETE) {
            end--;
        }
        return take(text, end - begunStop(text, end));
    }

    /** Whether one of the texts has come that end the stream. */
    public boolean stopped() {
        return stopAt >= 0;
    }

    /** What is left when no more tokens come. */
    public String finish() {
        String text = text();
        return take(text, text.length());
    }

    /** All of it, without the text that ended it. */
    public String text() {
        return stopped() ? decoded().substring(0, stopAt) : decoded();
    }

    private String decoded() {
        return decode.apply(ids.stream().mapToInt(Integer::intValue).toArray());
    }

    private int stop(String text) {
        return stops.stream()
                .mapToInt(stop -> text.indexOf(stop, given))
                .filter(at -> at >= 0)
                .min()
                .orElse(-1);
    }

    /** Length of the longest end of the text, up to here, with which one of the stops begins. */
    private int begunStop(String text, int end) {
        int longest = 0;
        for (String stop : stops) {
            for (int length = Math.min(stop.length() - 1, end - given); length > longest; length--) {
                if (text.startsWith(stop.substring(0, length), end - length)) {
                    longest = length;
                }
            }
        }
        return longest;
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
