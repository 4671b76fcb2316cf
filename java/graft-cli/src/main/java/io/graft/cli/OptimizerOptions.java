package io.graft.cli;

import io.graft.train.AdamW;
import io.graft.train.Galore;
import io.graft.train.Mezo;
import io.graft.train.OptimiserSettings;
import picocli.CommandLine.Option;

/** How parameters are moved. */
final class OptimizerOptions {
    /** What --optimizer takes. */
    enum Kind {
        ADAMW,
        ADAMW_8BIT,
        GALORE,
        MEZO
    }

    @Option(
            names = "--optimizer",
            paramLabel = "NAME",
            description = "adamw; adamw_8bit: its state in 8 bits; galore: gradients of matrices are projected, so that"
                    + " the state is smaller; mezo: no gradients, two forward passes (default: adamw).")
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

    @Option(
            names = "--mezo-epsilon",
            paramLabel = "X",
            description = "How far parameters are moved for a forward pass (default: ${DEFAULT-VALUE}).")
    double epsilon = 1e-3;

    @Option(
            names = "--weight-decay",
            paramLabel = "X",
            description = "Decoupled decay, not of mezo (default: ${DEFAULT-VALUE}).")
    double weightDecay = 0.01;

    @Option(
            names = "--clip",
            paramLabel = "NORM",
            description = "Largest gradient norm, not of mezo; 0: any (default: 1).")
    double clip = 1.0;

    /** @param rate the learning rate that the user named, or null */
    void check(GraftCommand command, Double rate) {
        if (kind == Kind.MEZO && rate == null) {
            throw command.usage(
                    "--optimizer mezo needs --lr: rates of methods are for AdamW, whose steps do not grow with"
                            + " the gradient. The paper has 1e-7 to 1e-6 for whole models, 1e-5 to 1e-4 for LoRA");
        }
        command.positive("--galore-rank", rank);
        command.positive("--galore-every", every);
        command.positive("--galore-scale", scale);
        command.positive("--mezo-epsilon", epsilon);
        command.notNegative("--weight-decay", weightDecay);
        command.notNegative("--clip", clip);
    }

    /** @param seed of random directions */
    OptimiserSettings settings(long seed) {
        AdamW.Settings adamw =
                AdamW.Settings.defaults().withWeightDecay(weightDecay).withMaxNorm(clip);
        return switch (kind) {
            case ADAMW -> adamw;
            case ADAMW_8BIT -> adamw.withEightBit(true);
            case GALORE -> adamw.withGalore(new Galore.Settings(rank, every, scale, seed));
            case MEZO -> new Mezo.Settings(epsilon, seed);
        };
    }

    RunSettings in(RunSettings settings) {
        return settings.with("--optimizer", kind)
                .with("--galore-rank", rank)
                .with("--galore-every", every)
                .with("--galore-scale", scale)
                .with("--mezo-epsilon", epsilon)
                .with("--weight-decay", weightDecay)
                .with("--clip", clip);
    }
}
