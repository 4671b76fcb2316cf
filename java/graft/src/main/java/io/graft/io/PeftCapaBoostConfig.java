package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of a CapaBoost adapter (arXiv 2402.15082), which PEFT does not have: LoRA's {@code r},
 * {@code lora_alpha} and {@code lora_dropout}, how many {@code copies} there are, the share {@code keep} that their masks
 * leave, and the {@code mask_seed}.
 */
public final class PeftCapaBoostConfig extends PeftConfig {
    private final int rank;
    private final double alpha;
    private final double dropout;
    private final int copies;
    private final double keep;
    private final long maskSeed;

    PeftCapaBoostConfig(JsonFields fields) {
        super(fields, "CAPABOOST", LlamaConfig.PROJECTIONS);
        this.rank = fields.positive("r", 8);
        this.alpha = fields.number("lora_alpha", 8);
        this.dropout = fields.number("lora_dropout", 0);
        if (!(dropout >= 0 && dropout < 1)) {
            throw fields.refuse("lora_dropout", "is " + dropout + ", expected 0 <= p < 1");
        }
        this.copies = fields.positive("copies", 2);
        this.keep = fields.number("keep", 0.5);
        if (!(keep > 0 && keep <= 1)) {
            throw fields.refuse("keep", "is " + keep + ", expected 0 < keep <= 1");
        }
        this.maskSeed = fields.whole("mask_seed", 0);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a CapaBoost adapter
     */
    public static PeftCapaBoostConfig read(Path path) {
        return new PeftCapaBoostConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftCapaBoostConfig parse(String where, String json) {
        return new PeftCapaBoostConfig(JsonFields.parse(where, json));
    }

    /**
     * A new configuration.
     *
     * @param rank of each copy
     * @param keep share of elements that each mask leaves, in (0, 1]
     * @param maskSeed 0 … 2³¹ - 1
     */
    public static PeftCapaBoostConfig of(
            String baseModel,
            List<String> targets,
            int rank,
            double alpha,
            double dropout,
            int copies,
            double keep,
            long maskSeed) {
        ObjectNode json = fresh("CAPABOOST", baseModel, targets);
        json.put("copies", copies).put("keep", keep).put("mask_seed", maskSeed).put("lora_dropout", dropout);
        json.put("r", rank).set("lora_alpha", PeftLoraConfigBuilder.number(alpha));
        return new PeftCapaBoostConfig(new JsonFields("new CapaBoost configuration", json));
    }

    /** r of each copy. */
    public int rank() {
        return rank;
    }

    /** What the sum of products is multiplied by: alpha / r. */
    public double scale() {
        return alpha / rank;
    }

    /** The probability that an element of an adapter's input is dropped in training. */
    public double dropout() {
        return dropout;
    }

    public int copies() {
        return copies;
    }

    /** The share of elements that a mask leaves. */
    public double keep() {
        return keep;
    }

    /** What the masks are drawn from. */
    public long maskSeed() {
        return maskSeed;
    }
}
