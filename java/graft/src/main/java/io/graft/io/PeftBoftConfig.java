package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of a BOFT adapter (arXiv 2311.06243), as PEFT reads and writes it; without dropout. Without its
 * CUDA extension PEFT makes one factor, whatever {@code boft_n_butterfly_factor} says: the tensors' shapes count.
 */
public final class PeftBoftConfig extends PeftConfig {
    private final int size;
    private final int blocks;
    private final int factors;
    private final boolean startsAtBase;

    PeftBoftConfig(JsonFields fields) {
        super(fields, "BOFT", PeftTargets.LLAMA);
        refuseUnless(fields, "bias", Json.toNode("none"));
        double dropout = fields.number("boft_dropout", 0);
        if (dropout != 0) {
            throw fields.refuse("boft_dropout", "is " + dropout + ", supported is 0");
        }
        this.size = fields.integer("boft_block_size").orElse(4);
        this.blocks = fields.integer("boft_block_num").orElse(0);
        if (size < 0 || blocks < 0 || (size == 0) == (blocks == 0)) {
            throw fields.refuse(
                    "boft_block_size",
                    "is " + size + " beside boft_block_num " + blocks + ", expected one of them to be 0");
        }
        this.factors = fields.positive("boft_n_butterfly_factor", 1);
        this.startsAtBase = fields.flag("init_weights", true);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a BOFT adapter, or asks for what Graft does not compute
     */
    public static PeftBoftConfig read(Path path) {
        return new PeftBoftConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftBoftConfig parse(String where, String json) {
        return new PeftBoftConfig(JsonFields.parse(where, json));
    }

    /**
     * A new configuration.
     *
     * @param size of a block
     * @param factors of the butterfly: 1 for a block-diagonal rotation
     */
    public static PeftBoftConfig of(String baseModel, List<String> targets, int size, int factors) {
        ObjectNode json = fresh("BOFT", baseModel, targets);
        json.putNull("layers_pattern").putNull("layers_to_transform");
        json.put("bias", "none")
                .put("boft_block_num", 0)
                .put("boft_block_size", size)
                .put("boft_dropout", 0.0);
        json.put("boft_n_butterfly_factor", factors)
                .put("fan_in_fan_out", false)
                .put("init_weights", true);
        return new PeftBoftConfig(new JsonFields("new BOFT configuration", json));
    }

    /**
     * The size of the blocks of a layer with so many inputs.
     *
     * @throws IllegalArgumentException if it does not divide them, or not into as many blocks as the butterfly needs
     */
    public int blockSize(String module, long inputs, int butterfly) {
        long wanted = size == 0 ? blocks : size;
        if (inputs % wanted != 0) {
            throw new IllegalArgumentException("BOFT: " + (size == 0 ? "boft_block_num " : "boft_block_size ") + wanted
                    + " does not divide the " + inputs + " inputs of " + module);
        }
        long found = size == 0 ? inputs / blocks : size;
        if (butterfly > 1 && (found % 2 != 0 || inputs / found % (1L << (butterfly - 1)) != 0)) {
            throw new IllegalArgumentException("BOFT: " + butterfly
                    + " factors need blocks of an even size, and a number"
                    + " of blocks that " + (1L << (butterfly - 1)) + " divides; " + module + " has " + inputs / found
                    + " of " + found);
        }
        return Math.toIntExact(found);
    }

    /** Factors of a fresh butterfly. */
    public int factors() {
        return factors;
    }

    /** Whether fresh rotations are the identity and scales 1; else they are random. */
    public boolean startsAtBase() {
        return startsAtBase;
    }

    @Override
    public String toString() {
        return "PeftBoftConfig[boft_block_size=" + size + ", boft_block_num=" + blocks + ", boft_n_butterfly_factor="
                + factors + ", target_modules=" + json().get("target_modules") + "]";
    }
}
