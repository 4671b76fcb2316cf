package io.graft.io;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;

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
        List<String> types = fields.texts("layer_types");
        if (!types.isEmpty() && types.size() != layers) {
            throw fields.refuse("layer_types", "has " + types.size() + " entries, but num_hidden_layers is " + layers);
        }
        List<Integer> windows = new ArrayList<>();
        for (int i = 0; i < layers; i++) {
            String type = types.isEmpty() ? (i >= start ? SLIDING : FULL) : types.get(i);
            if (!type.equals(FULL) && !type.equals(SLIDING)) {
                throw fields.refuse("layer_types", "has '" + type + "', supported are " + List.of(FULL, SLIDING));
            }
            windows.add(type.equals(SLIDING) ? window : 0);
        }
        return windows;
    }

    static void write(LlamaConfig config, ObjectNode json) {
        int window = config.design().window();
        ArrayNode types = json.putArray("layer_types");
        int start = 0;
        for (int i = 0; i < config.layers(); i++) {
            boolean sliding = config.design().window(i) > 0;
            types.add(sliding ? SLIDING : FULL);
            start += !sliding && start == i ? 1 : 0;
        }
        json.put("max_window_layers", window == 0 ? DEFAULT_START : start);
        json.put("use_sliding_window", window > 0);
        json.set("sliding_window", window == 0 ? json.nullNode() : json.numberNode(window));
    }
}
