package io.graft.model;

import io.graft.adapter.LoraSet;
import io.graft.nn.BlockStack;
import io.graft.nn.KvCache;
import io.graft.nn.Pass;
import io.graft.nn.PositionEmbedding;
import io.graft.nn.Precision;
import io.graft.nn.Prefix;
import io.graft.nn.Prompt;
import io.graft.nn.SideNetwork;
import io.graft.nn.TokenEmbedding;
import io.graft.ops.Activation;
import io.graft.ops.Linear;
import io.graft.ops.RowScale;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Mirror;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.LongSupplier;

/** All buffers and views of one (batch, length): made once, so that a training step makes no tensor and no garbage. */
final class Workspace implements AutoCloseable {
    final Pass pass;
    final BlockStack stack;
    /** Output of the last norm [T, hidden], where the head has a bias with a 1 behind each row, and its gradient. */
    final Tensor hidden;

    /** Both without what is behind. */
    final Tensor normed;

    final Tensor dnormed;

    final Tensor rstd;
    final Tensor dhidden;
    final Mirror loss;

    private final Scope scope;
    private final Mirror ids;
    private final Mirror labels;
    private final int tokens;
    private final Prompt.Places prompt;
    private final SideNetwork.Run side;
    private final PositionEmbedding.Rows positions;
    private final int promptLength;
    private final int virtualTokens;
    private final List<String> adapters;
    private final double logitCap;
    private final Tensor factors;
    private Tensor logits;
    private Tensor nextLogits;
    private Tensor last;
    private KvCache.Step step;
    private KeptPass kept;

    /**
     * @param tokens real tokens of each row
     * @param prompt virtual tokens before them, or null
     * @param prefix keys and values before them, or null
     */
    Workspace(Llama model, int batch, int tokens, BlockStack.Mode mode, Prompt prompt, Prefix prefix) {
        this.scope = model.scope().scope();
        this.tokens = tokens;
        adapters = model.adapter() == null ? List.of() : model.adapter().names();
        promptLength = prompt == null ? 0 : prompt.length();
        int past = prefix == null ? 0 : prefix.length();
        virtualTokens = promptLength + past;
        int length = promptLength + tokens;
        DType dtype = model.dtype();
        boolean training = mode != BlockStack.Mode.INFERENCE;
        int width = model.config().hiddenSize();
        long rows = (long) batch * length;
        pass = new Pass(scope, batch, length, model.modules().rotary());
        pass.positions(past);
        stack = model.stack(scope, batch, length, mode, prefix, prompt);
        this.prompt = prompt == null ? null : prompt.places(scope, batch, stack.input(), stack.gradient());
        side = model.side() == null ? null : model.side().new Run(scope, pass, mode);
        positions = model.modules().positions() == null ? null : model.modules().positions().new Rows(scope, pass);
        ids = new Mirror(scope.tensor(Memory.ACTIVATION, DType.I32, rows));
        labels = new Mirror(scope.tensor(Memory.ACTIVATION, DType.I32, rows));
        long inputs = model.modules().head().weight().k();
        long behind = inputs - width;
        hidden = Precision.activation(scope, dtype, rows, inputs, 0);
        normed = behind == 0 ? hidden : hidden.columns(0, width);
        if (behind > 0) {
            TensorOps.fill(scope.context(), 1, hidden);
        }
        loss = new Mirror(scope.tensor(Memory.ACTIVATION, Precision.accumulator(dtype), 1));
        logitCap = model.config().design().scores().logitCap();
        factors = logitCap == 0 ? null : scope.tensor(Memory.ACTIVATION, Precision.accumulator(dtype), rows);
        rstd = training ? model.modules().norm().statistics(scope, rows) : null;
        dhidden = training ? Precision.activation(scope, dtype, rows, inputs, 0) : null;
        dnormed = !training || behind == 0 ? dhidden : dhidden.columns(0, width);
    }

    boolean serves(int batch, int tokens) {
        return pass.batch() == batch && this.tokens == tokens;
    }

    /** Says whose adapters the rows of a batch use. */
    private void choose(Batch batch) {
        for (int row = 0; row < batch.batch(); row++) {
            choose(row, batch.adapter(row));
            if (prompt != null) {
                prompt.reads(row, batch.context(row));
            }
        }
    }

    /**
     * Says whose adapter a row uses.
     *
     * @param name one of the adapter's names, or {@link LoraSet#BASE}; null where the row names none
     */
    void choose(int row, String name) {
        if (adapters.isEmpty() && (name == null || name.equals(LoraSet.BASE))) {
            return;
        }
        int index = name == null ? -1 : adapters.indexOf(name);
        if (index < 0 && !LoraSet.BASE.equals(name)) {
            throw new IllegalArgumentException("row " + row + (name == null ? " names no adapter" : " names " + name)
                    + "; the model has " + adapters + ", and " + LoraSet.BASE + " is none of them");
        }
        pass.adapter(row, index);
    }

    /**
     * Runs the blocks, and what is beside them.
     *
     * @param cache null outside generation
     * @param observer sees the output of each block; or null
     */
    void run(KvCache.Step cache, BlockStack.Observer observer) {
        if (side == null) {
            stack.forward(pass, cache, observer);
            return;
        }
        side.input(0, stack.input());
        stack.forward(pass, cache, (block, output) -> {
            side.input(block + 1, output);
            if (observer != null) {
                observer.output(block, output);
            }
        });
        side.forward(cache == null ? null : cache.side(), stack.output());
    }

    /** Adds the gradients of what is beside the blocks; that of their output is in place. */
    void sideBackward() {
        side.backward(stack.gradient(), stack);
    }

    /** Takes a batch in, its labels too; {@link #embed()} and the loss then read it from the device. */
    void take(Batch batch) {
        if (batch.starts() != null && virtualTokens > 0) {
            throw new IllegalArgumentException("rows that hold several sequences do not go with " + virtualTokens
                    + " virtual tokens, which stand before a row");
        }
        choose(batch);
        pass.starts(batch.starts());
        take(batch.ids(), batch.lengths());
        batch.shiftLabels(promptLength, labels.ints());
    }

    /** lengths: the real tokens of each row, null where all are real. */
    private void take(int[] values, int[] lengths) {
        // why: writing through buffers made once leaves no garbage, which Tensor.set does.
        for (int row = 0; row < pass.batch(); row++) {
            ids.ints().put(row * pass.length() + promptLength, values, row * tokens, tokens);
        }
        if (lengths != null) {
            pass.lengths(lengths, virtualTokens);
        }
    }

    /** Lets the device have what was taken in. */
    void settle() {
        pass.settle();
        ids.tensor();
        labels.tensor();
    }

    /** Fills the stack's input. */
    void embed(TokenEmbedding embedding) {
        embedding.forward(pass, ids.tensor(), stack.input());
        if (prompt != null) {
            prompt.forward(pass);
        }
        if (positions != null) {
            positions.add(stack.input());
        }
    }

    /**
     * Runs new tokens [rows, n] behind what each row's cache holds; the logits [rows, vocabulary] of the last ones.
     *
     * @param front the virtual tokens that a cache starts with, or null
     * @param virtual how many entries of a cache are of no real token
     */
    Tensor decode(LlamaLayers layers, int[] values, List<KvCache> caches, Prompt front, int virtual) {
        pass.evaluating();
        pass.positions(caches);
        layers.head().prepare(pass.context());
        if (prompt != null) {
            prompt.reads(0, values.length);
        }
        take(values, null);
        embed(layers.embedding());
        if (front != null && prompt == null) {
            goOn(front, caches, virtual);
        }
        makeViews(layers.head().weight().n());
        run(step.of(caches), null);
        for (int row = 0; row < caches.size(); row++) {
            caches.get(row).advance(pass.length());
        }
        layers.norm().forward(pass, stack.output(), normed, null);
        Linear.forward(pass.context(), last, layers.head().weight(), null, false, nextLogits);
        return capped(nextLogits);
    }

    private void goOn(Prompt front, List<KvCache> caches, int virtual) {
        try (Scope views = scope.scope()) {
            for (int row = 0; row < caches.size(); row++) {
                Tensor own = rows(views, stack.input(), row, 1);
                front.continues(own, caches.get(row).length() - virtual);
            }
        }
    }

    /** why once: the steps of a generation make no garbage. */
    private void makeViews(long vocabulary) {
        if (step != null) {
            return;
        }
        step = new KvCache.Step(scope, pass.batch(), pass.length());
        nextLogits = rows(scope, logits(vocabulary), 0, pass.batch());
        // what goes into the head at the last token of each row
        long pitch = hidden.stride(0);
        last = scope.view(hidden, (pass.length() - 1) * pitch, new long[] {pass.batch(), hidden.size(1)}, new long[] {
            pass.length() * pitch, 1
        });
    }

    /** So many rows of a matrix. */
    private static Tensor rows(Scope views, Tensor matrix, long first, long count) {
        return views.view(matrix, first * matrix.stride(0), new long[] {count, matrix.size(1)}, matrix.strides());
    }

    void embedBackward(TokenEmbedding embedding) {
        embedding.backward(pass, ids.tensor(), stack.gradient());
        if (positions != null) {
            positions.backward(stack.gradient());
        }
        if (prompt != null) {
            prompt.backward(pass);
        }
    }

    /** For each position the label of the next one. */
    Tensor labels() {
        return labels.tensor();
    }

    /** Caps logits in place, where the model caps them: c · tanh(z / c). */
    Tensor capped(Tensor z) {
        if (logitCap == 0) {
            return z;
        }
        Context context = pass.context();
        // why a view only where rows are fewer: generation looks at the last row of its first tokens.
        Tensor rows = z.size(0) == factors.size(0) ? factors : factors.rows(0, z.size(0));
        TensorOps.fill(context, 1 / logitCap, rows);
        RowScale.forward(context, z, rows, z);
        Activation.forward(context, Activation.Kind.TANH, z, z);
        TensorOps.fill(context, logitCap, rows);
        RowScale.forward(context, z, rows, z);
        if (rows != factors) {
            rows.close();
        }
        return z;
    }

    /** Logits [T, vocabulary] in the accumulator's dtype, made when first asked for. */
    Tensor logits(long vocabulary) {
        if (logits == null) {
            DType wide = loss.tensor().dtype();
            logits = scope.tensor(Memory.ACTIVATION, wide, pass.tokens(), vocabulary);
        }
        return logits;
    }

    /** Its pass with gradients as a graph, made when first asked for. */
    KeptPass kept(Consumer<Workspace> calls, LongSupplier memory) {
        if (kept == null) {
            kept = new KeptPass(this, calls, memory);
        }
        return kept;
    }

    boolean isKept() {
        return kept != null && kept.isKept();
    }

    /** Why such a pass is no graph, or null. */
    String unkept() {
        return kept == null ? null : kept.refusal();
    }

    Scope scope() {
        return scope;
    }

    @Override
    public void close() {
        scope.close();
    }
}
