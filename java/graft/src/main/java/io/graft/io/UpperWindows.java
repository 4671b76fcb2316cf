package io.graft.io;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntPredicate;

/**
 * Windows of attention as the Qwen family says them: {@code use_sliding_window} turns {@code sliding_window} on for layers
 * from {@code max_window_layers} on, or for those that {@code layer_types} names.
 */
final class UpperWindows {
    private static final String FULL = "full_attention";
    private static final String SLIDING = "sliding_attention";
    private static final int DEFAULT_START = 28;
    private static final int DEFAULT_WINDOW = 4096;

    private UpperWindows() {}

    /** The window of each layer, 0 for none. */
    static List<Integer> read(JsonFields fields, int layers) {
        boolean used = fields.flag("use_sliding_window", false);
        int window = used ? fields.positive("sliding_window", DEFAULT_WINDOW) : 0;
        int start = fields.integer("max_window_layers").orElse(DEFAULT_START);
        return windows(fields, layers, window, i -> i >= start);
    }

    /** Likewise where nothing turns it on, and layers that no one names have it but every {@code period}-th. */
    static List<Integer> but(JsonFields fields, int layers, int period, int window) {
        return windows(fields, layers, window, i -> (i + 1) % period != 0);
    }

    private static List<Integer> windows(JsonFields fields, int layers, int window, IntPredicate unnamed) {
        List<String> types = fields.texts("layer_types");
        if (!types.isEmpty() && types.size() != layers) {
            throw fields.refuse("layer_types", "has " + types.size() + " entries, but num_hidden_layers is " + layers);
        }
        List<Integer> windows = new ArrayList<>();
        for (int i = 0; i < layers; i++) {
            String type = types.isEmpty() ? (unnamed.test(i) ? SLIDING : FULL) : types.get(i);
            if (!type.equals(FULL) && !type.equals(SLIDING)) {
                throw fields.refuse("layer_types", "has '" + type + "', supported are " + List.of(FULL, SLIDING));
            }
            windows.add(type.equals(SLIDING) ? window : 0);
        }
        return windows;
    }

    static void write(LlamaConfig config, ObjectNode json) {
        int window = config.design().window();
        int start = 0;
        while (start < config.layers() && config.design().window(start) == 0) {
            start++;
        }
        writeTypes(config, json);
        json.put("max_window_layers", window == 0 ? DEFAULT_START : start);
        json.put("use_sliding_window", window > 0);
        json.set("sliding_window", window == 0 ? json.nullNode() : json.numberNode(window));
    }

    /** {@code layer_types}. */
    static void writeTypes(LlamaConfig config, ObjectNode json) {
        ArrayNode types = json.putArray("layer_types");
        for (int i = 0; i < config.layers(); i++) {
            types.add(config.design().window(i) > 0 ? SLIDING : FULL);
        }
    }
}
