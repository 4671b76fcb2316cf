package io.graft.model;

import io.graft.io.ModuleNames;
import io.graft.nn.BlockStack;
import io.graft.nn.Parameter;
import io.graft.nn.SideNetwork;
import io.graft.ops.Linear;
import io.graft.ops.LinearCrossEntropy;
import io.graft.tensor.Tensor;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

/** The passes of a model over whole batches, forward to logits or the loss and backward, each in the buffers that fit its batch. */
final class Passes {
    private final Llama model;
    private final LlamaLayers layers;
    private final Workspaces workspaces;
    private BlockStack.Observer finished;
    private boolean keeping;
    /** What the last batch has in the loss of its step. */
    private double share;

    Passes(Llama model, LlamaLayers layers, boolean gradientCheckpointing) {
        this.model = model;
        this.layers = layers;
        this.workspaces = new Workspaces(model, gradientCheckpointing);
    }

    float loss(Batch batch) {
        Workspace work = inference(batch);
        work.take(batch);
        forward(work);
        loss(work, null, null);
        return (float) work.loss.value();
    }

    /** See {@link Llama#lossAndGradients(Batch, double, long, long)}. */
    float lossAndGradients(Batch batch, double normalizer, long dropoutSeed, long dropoutOffset) {
        Workspace work = workspaces.training(batch.batch(), batch.length());
        work.take(batch);
        share = normalizer > 0 ? model.targets(batch) / normalizer : 1;
        if (keeping && finished == null) {
            work.kept(this::lossAndGradients, this::memory).run(share, dropoutSeed, dropoutOffset, layers.leftOut());
        } else {
            work.pass.training(share, dropoutSeed, dropoutOffset);
            lossAndGradients(work);
        }
        return (float) lastLoss();
    }

    /** The ops of a pass over the batch that a workspace has taken in. */
    private void lossAndGradients(Workspace work) {
        forward(work);
        SideNetwork side = model.side();
        boolean below = work.stack.wantsGradient();
        boolean beside = side != null && side.trainable();
        boolean wantHidden = below || beside || layers.norm().trainable();
        Tensor dhead = layers.head().gradient();
        loss(work, wantHidden ? work.dhidden : null, dhead);
        layers.head().handOn();
        if (wantHidden) {
            Tensor dx = below || beside ? work.stack.gradient() : null;
            layers.norm().backward(work.pass, work.dnormed, work.stack.output(), work.rstd, false, dx);
        }
        if (beside) {
            work.sideBackward();
        }
        if (below) {
            work.stack.backward(work.pass, finished);
            work.embedBackward(layers.embedding());
        }
    }

    /** See {@link Llama#keepPasses}. */
    void keep(boolean on) {
        if (on && model.adapter() != null && !model.adapter().repeats()) {
            throw new IllegalStateException(
                    "keepPasses: " + model.adapter().getClass().getSimpleName() + " is not the same in each pass");
        }
        if (on != keeping) {
            keeping = on;
            // why: graphs of other passes go with their buffers.
            release();
        }
    }

    /** Whether the last pass with gradients is a graph by now. */
    boolean kept() {
        return workspaces.training() != null && workspaces.training().isKept();
    }

    /** Of the memory that passes use beside their workspace: another number, other memory. */
    private long memory() {
        return model.adapter() == null ? 0 : model.adapter().memory();
    }

    /** See {@link Llama#unkeptPass}. */
    String unkept() {
        return workspaces.training() == null ? null : workspaces.training().unkept();
    }

    /** See {@link Llama#duringBackward}. */
    void duringBackward(Consumer<List<Parameter>> moved) {
        finished = moved == null ? null : (block, gradient) -> moved.accept(layers.blocks()[block].parameters());
    }

    /** why the share: divided by its own targets only, a pass has no number that no two steps share. */
    private void loss(Workspace work, Tensor dhidden, Tensor dhead) {
        LinearCrossEntropy.forward(
                model.context(),
                work.hidden,
                layers.head().weight(),
                work.labels(),
                Batch.IGNORED,
                model.config().design().scores().logitCap(),
                0,
                work.pass.share(),
                work.loss.tensor(),
                null,
                dhidden,
                dhead);
    }

    /** The loss of the last pass with gradients, not rounded to float. */
    double lastLoss() {
        return workspaces.training().loss.value() * share;
    }

    Tensor logits(Batch batch) {
        Workspace work = inference(batch);
        work.take(batch);
        forward(work);
        return logits(work);
    }

    /** See {@link Llama#trace}. */
    void trace(Batch batch, BiConsumer<String, Tensor> stage) {
        Workspace work = inference(batch);
        work.take(batch);
        embed(work);
        ModuleNames names = model.config().design().architecture().names();
        stage.accept(names.embedding(), work.stack.input());
        work.run(null, (block, output) -> stage.accept(names.layers() + "." + block, output));
        layers.norm().forward(work.pass, work.stack.output(), work.normed, work.rstd);
        stage.accept(names.norm(), work.normed);
        stage.accept(names.head(), logits(work));
    }

    private Workspace inference(Batch batch) {
        Workspace work = workspaces.inference(batch.batch(), batch.length());
        work.pass.evaluating();
        return work;
    }

    private void embed(Workspace work) {
        layers.head().prepare(model.context());
        work.embed(layers.embedding());
    }

    private void forward(Workspace work) {
        embed(work);
        work.run(null, null);
        layers.norm().forward(work.pass, work.stack.output(), work.normed, work.rstd);
    }

    private Tensor logits(Workspace work) {
        Tensor logits = work.logits(layers.head().weight().n());
        Linear.forward(model.context(), work.hidden, layers.head().weight(), null, false, logits);
        return work.capped(logits);
    }

    /** Frees all buffers; the next pass makes them again. */
    void release() {
        workspaces.release();
    }
}
