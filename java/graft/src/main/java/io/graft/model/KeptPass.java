package io.graft.model;

import io.graft.nn.Pass;
import io.graft.tensor.Repeated;
import java.util.function.Consumer;
import java.util.function.LongSupplier;

/**
 * The pass with gradients over batches of one shape, kept as a graph: batches whose share in their step's loss is another, or
 * that are padded or packed where the one before was not, are other work, and the graph is made anew. So it is where
 * memory that the adapter shares among passes of all shapes is no longer what it was.
 */
final class KeptPass {
    private final Workspace work;
    private final Repeated repeated;
    private final LongSupplier memory;
    private long sharedMemory;
    private double share = Double.NaN;
    private long seed;
    private boolean padded;
    private boolean packed;
    private int leftOut;

    /**
     * @param calls the ops of the pass, over the batch that the workspace has taken in
     * @param memory another number where memory outside the workspace is no longer what it was
     */
    KeptPass(Workspace work, Consumer<Workspace> calls, LongSupplier memory) {
        this.work = work;
        this.memory = memory;
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
                && leftOut == leftOutBlocks
                && sharedMemory == memory.getAsLong();
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
        sharedMemory = memory.getAsLong();
    }

    boolean isKept() {
        return repeated.kept();
    }

    String refusal() {
        return repeated.refusal();
    }
}
