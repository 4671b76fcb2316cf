package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.io.DecoderDesign.Part;

/**
 * Gemma 3's text model (arXiv 2503.19786): a Gemma 2 with norms of the heads of q and k instead of caps, and layers with a
 * window, five of six, whose heads are turned faster than those of the others.
 */
final class Gemma3Architecture extends Architecture {
    private static final String FULL = "full_attention";
    private static final String SLIDING = "sliding_attention";

    Gemma3Architecture() {
        super("gemma3_text", "Gemma3ForCausalLM", Gemma2Architecture.NAMES);
    }

    @Override
    LlamaConfig read(LlamaConfigReader reader) {
        return read(this, reader);
    }

    /** @param own the architecture that has this text model */
    static LlamaConfig read(Architecture own, LlamaConfigReader reader) {
        JsonFields both = reader.child("rope_parameters");
        reader.check(
                "rope_parameters",
                both == null || !(both.has("rope_theta") || both.has("rope_type")),
                "is that of one kind of layers, expected " + FULL + " and " + SLIDING);
        JsonFields full = both == null ? reader.child("rope_scaling") : both.child(FULL);
        JsonFields sliding = both == null ? null : both.child(SLIDING);
        double outer = reader.number("rope_local_base_freq", 10000);
        if (sliding != null && !sliding.text("rope_type", "default").equals("default")) {
            throw sliding.refuse("rope_type", "is '" + sliding.text("rope_type") + "', supported is 'default'");
        }
        double theta = sliding == null ? outer : sliding.number("rope_theta", outer);
        int window = reader.window(4096);
        reader.check("sliding_window", window > 0, "is null, which is not supported");
        DecoderDesign design = Gemma2Architecture.design(own, reader, 0, 0, theta)
                .with(Part.HEAD_NORMS)
                .withWindows(reader.windowsBut(reader.positive("sliding_window_pattern", 6), window));
        return reader.decoder(Gemma2Architecture.DEFAULTS.withPositions(131072), design, full, 1e6);
    }

    @Override
    void write(LlamaConfig config, ObjectNode json) {
        new Gemma2Architecture().write(config, json);
        json.put("use_bidirectional_attention", false);
        ObjectNode full = (ObjectNode) json.remove("rope_parameters");
        ObjectNode both = json.putObject("rope_parameters");
        both.set(FULL, full);
        both.putObject(SLIDING)
                .put("rope_theta", config.design().scores().windowTheta())
                .put("rope_type", "default");
    }
}
