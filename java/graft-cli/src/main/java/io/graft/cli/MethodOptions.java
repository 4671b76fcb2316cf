package io.graft.cli;

import java.nio.file.Path;
import picocli.CommandLine.Option;

/** Settings of the methods; each method takes what it needs. */
public final class MethodOptions {
    @Option(names = "--rank", paramLabel = "R", description = "Rank of the adapter (default: ${DEFAULT-VALUE}).")
    int rank = 16;

    @Option(names = "--alpha", paramLabel = "X", description = "Scale: alpha / rank (default: twice the rank).")
    Double alpha;

    @Option(
            names = "--dropout",
            paramLabel = "P",
            description = "Dropout on the adapter's input (default: ${DEFAULT-VALUE}).")
    double dropout;

    @Option(names = "--rank-stabilised", description = "Scale by alpha / sqrt(rank).")
    boolean rankStabilised;

    @Option(
            names = "--target-modules",
            paramLabel = "NAME",
            split = ",",
            description = "Linear layers that get an adapter (default: all seven of each block).")
    String[] targets = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};

    /** Written into the adapter's configuration. */
    String baseModel = "";

    /** The same for adapters of this model. */
    public MethodOptions withBaseModel(Path model) {
        baseModel = model.toString();
        return this;
    }

    double alpha() {
        return alpha == null ? 2.0 * rank : alpha;
    }
}
