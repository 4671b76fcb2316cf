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

    @Option(
            names = "--optimizer-in-backward",
            description = "adamw, adamw_8bit: each block is moved as soon as backward is through with it, so that only"
                    + " one block's gradients exist; needs --clip 0 and no --accumulate.")
    boolean inBackward;

    /**
     * @param rate the learning rate that the user named, or null
     * @param accumulate batches of a step
     */
    void check(GraftCommand command, Double rate, int accumulate) {
        if (inBackward && accumulate > 1) {
            throw command.usage("--optimizer-in-backward: the gradients of --accumulate " + accumulate
                    + " batches cannot be added up where they are given up at once");
        }
        if (kind == Kind.MEZO && rate == null) {
            throw command.usage(
                    "--optimizer mezo needs --lr: rates of methods are for AdamW, whose steps do not grow with"
                            + " the gradient. The paper has 1e-7 to 1e-6 for whole models, 1e-5 to 1e-4 for LoRA");
        }
        if (inBackward && (kind == Kind.GALORE || kind == Kind.MEZO || clip > 0)) {
            throw command.usage(
                    "--optimizer-in-backward needs --optimizer adamw or adamw_8bit, and --clip 0: the norm of"
                            + " all gradients is not known while they are made");
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
        AdamW.Settings adamw = AdamW.Settings.defaults()
                .withWeightDecay(weightDecay)
                .withMaxNorm(clip)
                .withInBackward(inBackward);
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
