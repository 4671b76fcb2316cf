package io.graft.nn;

import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.Arrays;
import java.util.function.Predicate;

/**
 * The buffers of all blocks for one (batch, length), and the passes over them. What is kept for backward depends on the
 * mode: everything that backward reads ({@link Mode#KEEP}), only each block's input ({@link Mode#CHECKPOINT}:
 * backward runs each block's forward once more), or nothing ({@link Mode#INFERENCE}).
 *
 * <p>The residual stream is one matrix for each block border. A half-block first copies its input, then the last
 * projection adds into the copy, so that both sides stay for the norms' backward.
 */
public final class BlockStack {
    /** What a forward pass keeps. */
    public enum Mode {
        KEEP,
        CHECKPOINT,
        INFERENCE
    }

    private final Block[] blocks;
    private final Mode mode;
    private final Tensor[] residual;
    private final Tensor[] middle;
    private final AttentionBlock.Tape[] attention;
    private final Prefix front;
    private final Prefix.Tape[] prefixes;
    private final GatedPrompt.Tape[] gates;
    private final PropagatedRows.Places[] added;
    private final Mlp.Tape[] mlp;
    private final Tensor[] sdown;
    private final Scratch scratch;
    private final Tensor gradient;
    private final Tensor behind;
    private final int lowestTrained;
    private final boolean blocksOnly;

    /**
     * @param embeddingsTrained whether the gradient is wanted down to the first block's input
     * @param prefix what stands before every sequence, null for nothing; not for passes with a cache, which holds it
     * @param prompt the virtual tokens that the input starts with, or null
     */
    public BlockStack(
            Scope scope,
            DType dtype,
            BlockShape shape,
            Block[] blocks,
            int batch,
            int length,
            Mode mode,
            boolean embeddingsTrained,
            Prefix prefix,
            Prompt prompt) {
        int border = 0;
        for (Block block : blocks) {
            for (Projection projection : block.projections()) {
                border = Math.max(border, projection.border());
            }
        }
        boolean training = mode != Mode.INFERENCE;
        boolean prefixTrained = prefix != null && prefix.trainable();
        blocksOnly = !embeddingsTrained && !prefixTrained;
        lowestTrained = embeddingsTrained ? -1 : prefixTrained ? 0 : lowestTrained(blocks);
        long rows = (long) batch * length;
        this.blocks = blocks;
        this.mode = mode;
        front = prefix;
        int count = blocks.length;
        residual = new Tensor[count + 1];
        middle = new Tensor[count];
        attention = new AttentionBlock.Tape[count];
        prefixes = new Prefix.Tape[prefix == null ? 0 : count];
        gates = new GatedPrompt.Tape[count];
        added = new PropagatedRows.Places[count];
        mlp = new Mlp.Tape[count];
        sdown = new Tensor[count];
        for (int i = 0; i <= count; i++) {
            boolean shared = mode == Mode.INFERENCE && i >= 2;
            residual[i] = shared ? residual[i - 2] : Precision.activation(scope, dtype, rows, shape.hidden(), 0);
        }
        AttentionBlock first = blocks[0].attention();
        scratch = new Scratch(
                scope, dtype, shape, batch, length, border, training, first.fused() ? first.fusedGroups() : 0);
        boolean parallel = Arrays.stream(blocks).anyMatch(Block::parallel);
        behind = training && parallel ? Precision.activation(scope, dtype, rows, shape.hidden(), border) : null;
        gradient = training ? Precision.activation(scope, dtype, rows, shape.hidden(), border) : null;
        Prefix.Gradients prefixGradients =
                training && prefix != null ? prefix.new Gradients(scope, dtype, batch, length) : null;
        GatedPrompt.Tape firstGate = null;
        GatedPrompt.Gradients gateGradients = null;
        for (int i = 0; i < count; i++) {
            Block block = blocks[i];
            // why: tapes differ only in what their attachments keep and in whether projections' inputs are read again.
            // Blocks that keep nothing, or that lie below all that is trained, share one, with the inputs if any of
            // them needs those; what attachments keep is made for each.
            boolean shared = i > 0 && (mode != Mode.KEEP || i < lowestTrained);
            middle[i] = shared ? middle[0] : Precision.activation(scope, dtype, rows, shape.hidden(), 0);
            attention[i] = shared
                    ? new AttentionBlock.Tape(scope, dtype, block.attention(), attention[0])
                    : new AttentionBlock.Tape(
                            scope,
                            dtype,
                            block.attention(),
                            scratch,
                            batch,
                            border,
                            training,
                            keepsInputs(i, b -> b.attention().readsInputs()),
                            prefix == null || i == 0 ? null : attention[0]);
            if (prefix != null) {
                prefixes[i] =
                        prefix.new Tape(scope, dtype, i, batch, length, shared ? prefixes[0] : null, prefixGradients);
            }
            GatedPrompt gated = block.attention().gated();
            if (gated != null) {
                if (training && gateGradients == null) {
                    gateGradients = new GatedPrompt.Gradients(scope, dtype, shape, batch, length, gated.length());
                }
                boolean reused = mode != Mode.KEEP || i < lowestTrained;
                gates[i] = gated.new Tape(scope, dtype, batch, length, reused ? firstGate : null, gateGradients);
                firstGate = firstGate == null ? gates[i] : firstGate;
            }
            if (i > 0 && prompt != null && prompt.propagated() != null) {
                added[i] = prompt.propagated().new Places(scope, i, batch, residual[i], gradient);
            }
            mlp[i] = shared
                    ? new Mlp.Tape(scope, dtype, block.mlp(), mlp[0])
                    : new Mlp.Tape(
                            scope,
                            dtype,
                            block.mlp(),
                            scratch,
                            border,
                            training,
                            keepsInputs(i, b -> b.mlp().readsInputs()),
                            keepsInputs(i, b -> b.mlp().down().readsInput()));
            sdown[i] = training ? Scratch.kept(scope, dtype, block.mlp().down(), rows) : null;
        }
    }

    /** Whether the tape of block i keeps inputs that the given half reads again in backward. */
    private boolean keepsInputs(int i, Predicate<Block> reads) {
        return switch (mode) {
            case KEEP -> reads.test(blocks[i]);
            case CHECKPOINT -> Arrays.stream(blocks).anyMatch(reads);
            case INFERENCE -> false;
        };
    }

    private static int lowestTrained(Block[] blocks) {
        for (int i = 0; i < blocks.length; i++) {
            if (blocks[i].trainable()) {
                return i;
            }
        }
        return blocks.length;
    }

    /** The first block's input, to be filled before {@link #forward}. */
    public Tensor input() {
        return residual[0];
    }

    /** A block's input, good until the next forward where blocks keep theirs, which they do in training. */
    Tensor input(int block) {
        return residual[block];
    }

    /** The last block's output. */
    public Tensor output() {
        return residual[blocks.length];
    }

    /** The gradient of the residual stream: of the output before {@link #backward}, of the input after it. */
    public Tensor gradient() {
        return gradient;
    }

    /** Whether backward has anything to do below the last norm. */
    public boolean wantsGradient() {
        return lowestTrained < blocks.length;
    }

    /** Sees the output of each block during a forward pass, or the gradient of its input during a backward one. */
    @FunctionalInterface
    public interface Observer {
        void output(int block, Tensor residual);
    }

    /** cache: null outside generation; observer: null where nobody looks. */
    public void forward(Pass pass, KvCache.Step cache, Observer observer) {
        for (int i = 0; i < blocks.length; i++) {
            if (added[i] != null) {
                added[i].forward(pass.context());
            }
            attend(pass, i, cache);
            TensorOps.copy(pass.context(), middle[i], residual[i + 1]);
            blocks[i].mlp().forward(pass, mlpInput(i), residual[i + 1], mlp[i], sdown[i]);
            if (observer != null) {
                observer.output(i, residual[i + 1]);
            }
        }
    }

    private Tensor mlpInput(int i) {
        return blocks[i].parallel() ? residual[i] : middle[i];
    }

    private void attend(Pass pass, int i, KvCache.Step cache) {
        TensorOps.copy(pass.context(), residual[i], middle[i]);
        blocks[i]
                .attention()
                .forward(pass, residual[i], middle[i], attention[i], prefix(i), cache, i, gates[i], scratch);
    }

    private Prefix.Tape prefix(int i) {
        return prefixes.length == 0 ? null : prefixes[i];
    }

    /** Adds the parameter gradients; goes down as far as something is trained. */
    public void backward(Pass pass) {
        backward(pass, null);
    }

    /** How far down this pass goes: not below blocks whose adapters are left out, unless something before them learns. */
    private int lowestLearning() {
        int lowest = lowestTrained;
        while (blocksOnly && lowest < blocks.length && blocks[lowest].idle()) {
            lowest++;
        }
        return lowest;
    }

    /** observer: sees the gradient of each block's input, and may change it before the block below does; or null. */
    public void backward(Pass pass, Observer observer) {
        int lowest = lowestLearning();
        for (int i = blocks.length - 1; i >= Math.max(lowest, 0); i--) {
            boolean wantInput = i > lowest;
            Prefix.Tape prefix = prefix(i);
            boolean wantMiddle =
                    wantInput || blocks[i].attention().trainable() || (prefix != null && prefix.trainable());
            if (mode == Mode.CHECKPOINT) {
                attend(pass, i, null);
                blocks[i].mlp().again(pass, mlpInput(i), mlp[i], sdown[i]);
            }
            Tensor dy = gradient;
            boolean parallel = blocks[i].parallel();
            if (parallel) {
                TensorOps.copy(pass.context(), gradient, behind);
                dy = behind;
            }
            boolean wantBelow = parallel ? wantInput : wantMiddle;
            blocks[i].mlp().backward(pass, dy, gradient, mlpInput(i), mlp[i], sdown[i], scratch, wantBelow);
            if (wantMiddle) {
                blocks[i]
                        .attention()
                        .backward(pass, dy, gradient, residual[i], attention[i], prefix, gates[i], scratch, wantInput);
            }
            if (added[i] != null) {
                added[i].backward(pass.context());
            }
            if (observer != null) {
                observer.output(i, gradient);
            }
        }
        if (front != null) {
            front.backward();
        }
    }
}
