package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/** The {@code adapter_config.json} of a LoKr adapter (arXiv 2309.14859, section 3.2), as PEFT reads and writes it. */
public final class PeftLokrConfig extends PeftLycorisConfig {
    private final boolean decomposeBoth;
    private final int factor;

    PeftLokrConfig(JsonFields fields) {
        super(fields, "LOKR", List.of("true", "false", "lycoris"));
        this.decomposeBoth = fields.flag("decompose_both", false);
        this.factor = fields.integer("decompose_factor").orElse(-1);
        if (factor < 1 && factor != -1) {
            throw fields.refuse("decompose_factor", "is " + factor + ", expected -1 or at least 1");
        }
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a LoKr adapter, or asks for what Graft does not compute
     */
    public static PeftLokrConfig read(Path path) {
        return new PeftLokrConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftLokrConfig parse(String where, String json) {
        return new PeftLokrConfig(JsonFields.parse(where, json));
    }

    /**
     * A new configuration.
     *
     * @param rank of the second factor, where that is at least twice as large
     * @param factor size of the first factor, or -1 for factors as equal as can be
     * @param decomposeBoth whether the first factor too has this rank at most
     */
    public static PeftLokrConfig of(
            String baseModel, List<String> targets, int rank, double alpha, int factor, boolean decomposeBoth) {
        ObjectNode json = fresh("LOKR", baseModel, targets, rank, alpha);
        json.put("decompose_both", decomposeBoth)
                .put("decompose_factor", factor)
                .put("rank_dropout_scale", false);
        return new PeftLokrConfig(new JsonFields("new LoKr configuration", json));
    }

    /** The sizes of the two factors of a layer's N by K weight: w1 [p, q] and w2 [n / p, k / q]. */
    public record Sizes(int p, int q, int high, int wide) {}

    /** How PEFT splits a weight [outputs, inputs]. */
    public Sizes sizes(long outputs, long inputs) {
        int p = first(Math.toIntExact(outputs));
        int q = first(Math.toIntExact(inputs));
        return new Sizes(p, q, (int) outputs / p, (int) inputs / q);
    }

    /** Whether w1 is a product of two matrices of rank r. */
    public boolean lowRankFirst(String module, Sizes sizes) {
        return decomposeBoth && 2 * rank(module) < Math.max(sizes.p(), sizes.q());
    }

    /** Whether w2 is a product of two matrices of rank r. */
    public boolean lowRankSecond(String module, Sizes sizes) {
        return 2 * rank(module) < Math.max(sizes.high(), sizes.wide());
    }

    /** The factor itself where it divides; else the largest divisor up to it and up to the square root. */
    private int first(int dimension) {
        if (factor > 0 && dimension % factor == 0) {
            return factor;
        }
        int most = factor == -1 ? dimension : factor;
        int found = 1;
        for (int divisor = 2; divisor <= most && (long) divisor * divisor <= dimension; divisor++) {
            found = dimension % divisor == 0 ? divisor : found;
        }
        return found;
    }
}
