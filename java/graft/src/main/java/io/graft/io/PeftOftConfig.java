package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of an OFT adapter (arXiv 2306.07280), as PEFT reads and writes it. {@code coft}, which
 * pulls the parameters back in each forward pass, and {@code module_dropout} are refused.
 */
public final class PeftOftConfig extends PeftConfig {
    private final int blocks;
    private final int size;
    private final boolean shared;
    private final int terms;
    private final boolean startsAtBase;

    PeftOftConfig(JsonFields fields) {
        super(fields, "OFT", PeftTargets.LLAMA);
        refuseUnless(fields, "bias", Json.toNode("none"));
        refuseUnless(fields, "coft", Json.toNode(false));
        double dropout = fields.number("module_dropout", 0);
        if (dropout != 0) {
            throw fields.refuse("module_dropout", "is " + dropout + ", supported is 0");
        }
        this.blocks = fields.integer("r").orElse(0);
        this.size = fields.integer("oft_block_size").orElse(32);
        if (blocks < 0 || size < 0 || (blocks == 0) == (size == 0)) {
            throw fields.refuse(
                    "r", "is " + blocks + " beside oft_block_size " + size + ", expected one of them to be 0");
        }
        this.shared = fields.flag("block_share", false);
        int series = fields.positive("num_cayley_neumann_terms", 5);
        if (series > 16) {
            throw fields.refuse("num_cayley_neumann_terms", "is " + series + ", expected at most 16");
        }
        this.terms = fields.flag("use_cayley_neumann", true) ? series : 0;
        this.startsAtBase = fields.flag("init_weights", true);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of an OFT adapter, or asks for what Graft does not compute
     */
    public static PeftOftConfig read(Path path) {
        return new PeftOftConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftOftConfig parse(String where, String json) {
        return new PeftOftConfig(JsonFields.parse(where, json));
    }

    /**
     * A new configuration.
     *
     * @param size of a block; where it does not divide a layer's inputs, the nearest size that does
     * @param exact whether rotations are exact, or the first terms of their series
     */
    public static PeftOftConfig of(String baseModel, List<String> targets, int size, boolean exact) {
        ObjectNode json = fresh("OFT", baseModel, targets);
        json.putNull("layers_pattern").putNull("layers_to_transform");
        json.put("bias", "none").put("block_share", false).put("coft", false).put("eps", 6e-5);
        json.put("fan_in_fan_out", false).put("init_weights", true).put("module_dropout", 0.0);
        json.put("num_cayley_neumann_terms", 5).put("use_cayley_neumann", !exact);
        json.put("oft_block_size", size).put("r", 0);
        return new PeftOftConfig(new JsonFields("new OFT configuration", json));
    }

    /** n of a layer with so many inputs: the nearest to what is asked for that divides them, of two the smaller. */
    public int blockSize(long inputs) {
        int width = Math.toIntExact(inputs);
        return blocks == 0 ? divisor(width, size) : width / divisor(width, blocks);
    }

    private static int divisor(int width, int wanted) {
        if (wanted >= width) {
            return width;
        }
        int higher = wanted;
        while (width % higher != 0) {
            higher++;
        }
        int lower = wanted;
        while (width % lower != 0) {
            lower--;
        }
        return wanted - lower <= higher - wanted ? lower : higher;
    }

    /** Whether all blocks of a layer are the same. */
    public boolean shared() {
        return shared;
    }

    /** Terms of Cayley's series; 0 for exact rotations. */
    public int terms() {
        return terms;
    }

    /** Whether fresh rotations are the identity; else they are random. */
    public boolean startsAtBase() {
        return startsAtBase;
    }

    @Override
    public String toString() {
        return "PeftOftConfig[r=" + blocks + ", oft_block_size=" + size + ", target_modules="
                + json().get("target_modules") + "]";
    }
}
