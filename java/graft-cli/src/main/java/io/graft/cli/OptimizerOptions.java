package io.graft.cli;

import io.graft.train.AdamW;
import io.graft.train.Galore;
import picocli.CommandLine.Option;

/** How parameters are moved. */
final class OptimizerOptions {
    /** What --optimizer takes. */
    enum Kind {
        ADAMW,
        GALORE
    }

    @Option(
            names = "--optimizer",
            paramLabel = "NAME",
            description = "adamw, or galore: gradients of matrices are projected, so that the state is smaller"
                    + " (default: adamw).")
    Kind kind = Kind.ADAMW;

    @Option(
            names = "--galore-rank",
            paramLabel = "R",
            description = "Directions of a projection; smaller matrices are not projected (default: ${DEFAULT-VALUE}).")
    int rank = 128;

    @Option(
            names = "--galore-every",
            paramLabel = "N",
            description = "Steps between choices of directions (default: ${DEFAULT-VALUE}).")
    int every = 200;

    @Option(
            names = "--galore-scale",
            paramLabel = "X",
            description = "What projected steps are multiplied by (default: ${DEFAULT-VALUE}).")
    double scale = 0.25;

    @Option(names = "--weight-decay", paramLabel = "X", description = "Decoupled decay (default: ${DEFAULT-VALUE}).")
    double weightDecay = 0.01;

    @Option(names = "--clip", paramLabel = "NORM", description = "Largest gradient norm; 0: any (default: 1).")
    double clip = 1.0;

    void check(GraftCommand command) {
        command.positive("--galore-rank", rank);
        command.positive("--galore-every", every);
        command.positive("--galore-scale", scale);
        command.notNegative("--weight-decay", weightDecay);
        command.notNegative("--clip", clip);
    }

    /** seed: of the search for directions. */
    AdamW.Settings settings(long seed) {
        AdamW.Settings settings =
                AdamW.Settings.defaults().withWeightDecay(weightDecay).withMaxNorm(clip);
        return kind == Kind.GALORE ? settings.withGalore(new Galore.Settings(rank, every, scale, seed)) : settings;
    }

    RunSettings in(RunSettings settings) {
        return settings.with("--optimizer", kind)
                .with("--galore-rank", rank)
                .with("--galore-every", every)
                .with("--galore-scale", scale)
                .with("--weight-decay", weightDecay)
                .with("--clip", clip);
    }
}
