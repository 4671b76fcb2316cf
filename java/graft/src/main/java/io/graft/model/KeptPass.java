package io.graft.model;

import io.graft.nn.Pass;
import io.graft.tensor.Repeated;
import java.util.function.Consumer;

/**
 * The pass with gradients over batches of one shape, kept as a graph: batches whose share in their step's loss is another, or
 * that are padded or packed where the one before was not, are other work, and the graph is made anew.
 */
final class KeptPass {
    private final Workspace work;
    private final Repeated repeated;
    private double share = Double.NaN;
    private long seed;
    private boolean padded;
    private boolean packed;
    private int leftOut;

    /** @param calls the ops of the pass, over the batch that the workspace has taken in */
    KeptPass(Workspace work, Consumer<Workspace> calls) {
        this.work = work;
        repeated = new Repeated(work.scope(), (rate, step, offset) -> {
            work.pass.training(share, seed, offset);
            calls.accept(work);
        });
    }

    /**
     * Runs it over the batch that was taken in.
     *
     * @param leftOutBlocks the lowest blocks, which run without their adapters
     */
    void run(double ofStep, long dropoutSeed, long dropoutOffset, int leftOutBlocks) {
        Pass pass = work.pass;
        boolean same = share == ofStep
                && seed == dropoutSeed
                && padded == pass.isPadded()
                && packed == pass.isPacked()
                && leftOut == leftOutBlocks;
        if (!same) {
            repeated.forget();
        }
        share = ofStep;
        seed = dropoutSeed;
        padded = pass.isPadded();
        packed = pass.isPacked();
        leftOut = leftOutBlocks;
        work.settle();
        repeated.run(0, 1, dropoutOffset);
    }

    String refusal() {
        return repeated.refusal();
    }
}
