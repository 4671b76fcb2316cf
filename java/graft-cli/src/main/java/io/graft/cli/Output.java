package io.graft.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.PrintWriter;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * Where a command's words go: either sentences for people or, with {@code --json}, one JSON object per line.
 *
 * <p>Every fact is given through one call of each kind, so that neither audience misses something. Numbers that JSON
 * cannot hold (NaN, infinities) are written as null.
 */
public final class Output {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final PrintWriter out;
    private final PrintWriter err;
    private final boolean json;

    Output(PrintWriter out, PrintWriter err, boolean json) {
        this.out = out;
        this.err = err;
        this.json = json;
    }

    public boolean json() {
        return json;
    }

    PrintWriter err() {
        return err;
    }

    /** A line for people. */
    public void say(String format, Object... values) {
        if (!json) {
            out.println(values.length == 0 ? format : String.format(Locale.ROOT, format, values));
            out.flush();
        }
    }

    /** A piece of text for people, without a line end: streamed tokens. */
    public void stream(String text) {
        if (!json) {
            out.print(text);
            out.flush();
        }
    }

    /** Whether nobody reads any more what is written, such as behind {@code | head}. */
    boolean closed() {
        return out.checkError();
    }

    /** A remark that must not mix with the result: progress, warnings. Silent in JSON mode. */
    public void note(String format, Object... values) {
        if (!json) {
            err.println(values.length == 0 ? format : String.format(Locale.ROOT, format, values));
            err.flush();
        }
    }

    /** A line for programs: {@code event} and then the pairs name, value, name, value. */
    public void event(String event, Object... pairs) {
        if (!json) {
            return;
        }
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("event", event);
        for (int i = 0; i < pairs.length; i += 2) {
            fields.put((String) pairs[i], finite(pairs[i + 1]));
        }
        try {
            out.println(JSON.writeValueAsString(fields));
        } catch (JsonProcessingException impossible) {
            throw new IllegalStateException("cannot write event " + event, impossible);
        }
        out.flush();
    }

    private static Object finite(Object value) {
        boolean number = value instanceof Double || value instanceof Float;
        return number && !Double.isFinite(((Number) value).doubleValue()) ? null : value;
    }
}
