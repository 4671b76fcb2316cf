package io.graft.adapter;

import io.graft.io.PeftPromptTuningConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Prompt;
import io.graft.ops.Embedding;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.IntUnaryOperator;

/**
 * Prompt tuning (arXiv 2104.08691) as PEFT configures and stores it: virtual tokens before every sequence, whose
 * embeddings are all that is trained. The last virtual token predicts the first real one, so that the first label of a
 * row counts in the loss.
 */
public final class PromptTuning extends PeftFrontAdapter<PeftPromptTuningConfig> {
    /**
     * What is pruned half-way (XPrompt, arXiv 2210.04457).
     *
     * @param steps of the whole training
     * @param tokenShare of the tokens, what stays; at least one does
     * @param pieceShare of the pieces of those, what stays
     */
    public record Pruning(long steps, double tokenShare, double pieceShare) {
        public Pruning {
            if (steps < 1 || !(tokenShare > 0 && tokenShare <= 1) || !(pieceShare > 0 && pieceShare <= 1)) {
                throw new IllegalArgumentException("PromptTuning: " + steps + " steps, shares " + tokenShare + " and "
                        + pieceShare + " must be in (0, 1]");
            }
        }
    }

    private final IntUnaryOperator tokens;
    private Pruning pruning;
    private PromptPruning pruner;
    private Prompt prompt;

    private PromptTuning(PeftPromptTuningConfig config, IntUnaryOperator tokens, Origin origin) {
        super(config, origin);
        this.tokens = tokens;
    }

    /** Fresh virtual tokens, random or those of random tokens as the configuration says. */
    public static PromptTuning create(PeftPromptTuningConfig config, long seed) {
        if (config.init() == PeftPromptTuningConfig.Init.TEXT) {
            throw new IllegalArgumentException("PromptTuning: prompt_tuning_init is TEXT; give its tokens");
        }
        return new PromptTuning(config, null, Origin.fresh(seed));
    }

    /** Fresh virtual tokens that start at the embeddings of these tokens, again from the first where there are too few. */
    public static PromptTuning create(PeftPromptTuningConfig config, int... tokens) {
        if (tokens.length == 0) {
            throw new IllegalArgumentException("PromptTuning: no tokens are given");
        }
        int[] copy = tokens.clone();
        return new PromptTuning(config, i -> copy[i % copy.length], Origin.fresh(0));
    }

    /** An adapter from a directory, to be trained further. */
    public static PromptTuning load(Path directory) {
        return new PromptTuning(PeftPromptTuningConfig.read(directory), null, Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static PromptTuning frozen(Path directory) {
        return new PromptTuning(PeftPromptTuningConfig.read(directory), null, Origin.of(directory, false));
    }

    /** Half-way, the tokens and pieces that matter least become zero. The file is that of a prompt. */
    public PromptTuning withPruning(Pruning value) {
        pruning = value;
        return this;
    }

    @Override
    void attachFront(Adaptable model) {
        int width = model.shape().hidden();
        config.fit(model.layers(), model.shape().heads(), width);
        Parameter rows = rows(model.scope(), Precision.accumulator(model.dtype()), config.virtualTokens(), width);
        if (!fromFile()) {
            initialise(model, rows.value());
            rows.refreshMaster();
        }
        prompt = new Prompt(rows);
        pruner = pruning == null ? null : new PromptPruning(model.scope(), rows, pruning);
    }

    /** why not while pruning: a token matters as far as its gradient says. */
    @Override
    public boolean trainsWithoutGradients() {
        return pruning == null;
    }

    @Override
    public double regularise() {
        if (pruner != null) {
            pruner.observe();
        }
        return 0;
    }

    @Override
    public void stepped(OptimiserStep step) {
        if (pruner != null) {
            pruner.stepped(step.number());
        }
    }

    @Override
    public Map<String, Tensor> state() {
        return pruner == null ? Map.of() : pruner.state();
    }

    private void initialise(Adaptable model, Tensor rows) {
        if (tokens == null && config.init() == PeftPromptTuningConfig.Init.RANDOM) {
            normal(rows, 0, 1);
            return;
        }
        IntUnaryOperator chosen =
                tokens == null ? randomTokens(model.embedding().value(), seed) : tokens;
        fillWithTokens(model.embedding().value(), chosen, rows);
    }

    private static IntUnaryOperator randomTokens(Tensor table, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        return i -> random.nextInt((int) table.size(0));
    }

    /** The embeddings of random tokens. */
    static void fillWithTokens(Tensor table, long seed, Tensor rows) {
        fillWithTokens(table, randomTokens(table, seed), rows);
    }

    private static void fillWithTokens(Tensor table, IntUnaryOperator tokens, Tensor rows) {
        Context context = rows.scope().context();
        int[] ids = new int[(int) rows.size(0)];
        for (int i = 0; i < ids.length; i++) {
            ids[i] = tokens.applyAsInt(i);
        }
        try (Scope scope = context.scope()) {
            Tensor places =
                    scope.tensor(Memory.WORKSPACE, DType.I32, ids.length).set(ids);
            Tensor chosen = scope.tensor(Memory.WORKSPACE, table.dtype(), rows.shape());
            Embedding.forward(context, table, places, 1, chosen);
            TensorOps.copy(context, chosen, rows);
        }
    }

    @Override
    public Prompt prompt() {
        return prompt;
    }
}
