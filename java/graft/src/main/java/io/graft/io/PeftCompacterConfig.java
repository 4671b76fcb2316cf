package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/**
 * The {@code adapter_config.json} of Compacter (arXiv 2106.04647), which PEFT does not know: {@code peft_type} COMPACTER, the
 * authors' names of fields, and PEFT's fields that select modules.
 */
public final class PeftCompacterConfig extends PeftConfig {
    private static final Set<String> FUNCTIONS = Set.of("relu", "tanh");

    private final int size;
    private final int division;
    private final int rank;
    private final String nonLinearity;

    PeftCompacterConfig(JsonFields fields) {
        super(fields, "COMPACTER", PeftBottleneckConfig.SERIAL_TARGETS);
        this.division = fields.positive("hypercomplex_division", 4);
        this.size = fields.positive("bottleneck_size", 16);
        if (size % division != 0) {
            throw fields.refuse(
                    "bottleneck_size", "is " + size + ", expected a multiple of hypercomplex_division " + division);
        }
        this.rank = fields.positive("phm_rank", 1);
        this.nonLinearity = fields.text("non_linearity", "relu");
        if (!FUNCTIONS.contains(nonLinearity)) {
            throw fields.refuse("non_linearity", "is '" + nonLinearity + "', supported are relu and tanh");
        }
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of Compacter, or asks for what Graft does not compute
     */
    public static PeftCompacterConfig read(Path path) {
        return new PeftCompacterConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftCompacterConfig parse(String where, String json) {
        return new PeftCompacterConfig(JsonFields.parse(where, json));
    }

    /** A new configuration, with relu: sums of 4 products of rank 1, as in the paper. */
    public static PeftCompacterConfig of(String baseModel, List<String> targets, int size) {
        ObjectNode json = fresh("COMPACTER", baseModel, targets);
        json.put("bottleneck_size", size).put("hypercomplex_division", 4);
        json.put("non_linearity", "relu").put("phm_rank", 1);
        return new PeftCompacterConfig(new JsonFields("new Compacter configuration", json));
    }

    /** The width of the networks. */
    public int size() {
        return size;
    }

    /** n: terms of each sum, and sides of the matrices that all layers share. */
    public int division() {
        return division;
    }

    /** The rank of the other factor of each term. */
    public int rank() {
        return rank;
    }

    /** The activation: relu or tanh. */
    public String nonLinearity() {
        return nonLinearity;
    }

    @Override
    public String toString() {
        return "PeftCompacterConfig[bottleneck_size=" + size + ", hypercomplex_division=" + division
                + ", target_modules=" + json().get("target_modules") + "]";
    }
}
