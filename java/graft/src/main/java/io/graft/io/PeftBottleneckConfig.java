package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/**
 * The {@code adapter_config.json} of bottleneck adapters (arXiv 1902.00751, 2110.04366) in the layout of LLM-Adapters, a fork
 * of PEFT: which modules have one, how wide it is, and whether it stands beside its module or behind it.
 */
public final class PeftBottleneckConfig extends PeftConfig {
    /** Where serial adapters stand: behind the output projections of attention and MLP. */
    public static final List<String> SERIAL_TARGETS = List.of("o_proj", "down_proj");

    private static final Set<String> STARTS = Set.of("bert", "mam_adapter");
    private static final Set<String> FUNCTIONS = Set.of("relu", "tanh");

    private final int size;
    private final boolean parallel;
    private final String nonLinearity;
    private final String start;
    private final boolean gated;

    PeftBottleneckConfig(JsonFields fields) {
        super(fields, "BOTTLENECK", SERIAL_TARGETS);
        refuseUnless(fields, "bias", Json.toNode("none"));
        one(fields, "scaling", 1);
        one(fields, "adapter_dropout", 0);
        this.size = fields.positive("bottleneck_size", 256);
        this.parallel = fields.flag("use_parallel_adapter", false);
        this.gated = fields.flag("gated", false);
        this.nonLinearity = text(fields, "non_linearity", "tanh", FUNCTIONS);
        this.start = text(fields, "init_weights", "bert", STARTS);
    }

    private static void one(JsonFields fields, String field, double only) {
        if (fields.number(field, only) != only) {
            throw fields.refuse(field, "is " + fields.number(field, only) + ", supported is " + only);
        }
    }

    private static String text(JsonFields fields, String field, String absent, Set<String> known) {
        String text = fields.text(field, absent);
        if (!known.contains(text)) {
            throw fields.refuse(
                    field,
                    "is '" + text + "', supported are "
                            + String.join(" and ", known.stream().sorted().toList()));
        }
        return text;
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a bottleneck adapter, or asks for what Graft does not compute
     */
    public static PeftBottleneckConfig read(Path path) {
        return new PeftBottleneckConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftBottleneckConfig parse(String where, String json) {
        return new PeftBottleneckConfig(JsonFields.parse(where, json));
    }

    /** Adapters of this width that start at the base model, with relu. */
    public static PeftBottleneckConfig of(String baseModel, List<String> targets, int size, boolean parallel) {
        ObjectNode json = fresh("BOTTLENECK", baseModel);
        json.put("adapter_dropout", 0.0).put("bias", "none").put("bottleneck_size", size);
        json.put("init_weights", "mam_adapter").put("non_linearity", "relu").put("scaling", 1.0);
        json.put("use_parallel_adapter", parallel).set("target_modules", Json.toNode(targets));
        return new PeftBottleneckConfig(new JsonFields("new bottleneck configuration", json));
    }

    /** The same with a gate at each network, by which each token lets it in as far as it wants (arXiv 2110.07577). */
    public PeftBottleneckConfig withGates() {
        return new PeftBottleneckConfig(new JsonFields(
                "new gated bottleneck configuration", json().deepCopy().put("gated", true)));
    }

    /** Whether each network has a gate, which LLM-Adapters does not know. */
    public boolean gated() {
        return gated;
    }

    /** The same with networks that start at N(0, 0.02²). */
    public PeftBottleneckConfig startingRandomly() {
        return new PeftBottleneckConfig(
                new JsonFields("new bottleneck configuration", json().deepCopy().put("init_weights", "bert")));
    }

    /** The width of the networks. */
    public int size() {
        return size;
    }

    /** Whether the networks stand beside their modules, rather than behind them. */
    public boolean parallel() {
        return parallel;
    }

    /** The activation: relu or tanh. */
    public String nonLinearity() {
        return nonLinearity;
    }

    /** Whether fresh networks give zero. */
    public boolean startsAtBase() {
        return start.equals("mam_adapter");
    }

    @Override
    public String toString() {
        return "PeftBottleneckConfig[bottleneck_size=" + size + ", use_parallel_adapter=" + parallel
                + ", target_modules=" + json().get("target_modules") + "]";
    }
}
