package io.graft.adapter;

import io.graft.io.PeftDeptConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.EmbeddingUpdate;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Prompt;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * Decomposed prompt tuning (DePT, arXiv 2309.05173): a short prompt, and a low-rank matrix that is added to the embeddings of
 * the tokens behind it, by their places. Virtual tokens start as the embeddings of random tokens, and the matrix at zero.
 */
public final class Dept extends PeftFrontAdapter<PeftDeptConfig> {
    private static final String A = "embedding_A";
    private static final String B = "embedding_B";

    private double rateRatio = 1;
    private EmbeddingUpdate update;
    private Prompt prompt;

    private Dept(PeftDeptConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh prompt and update, to be trained. */
    public static Dept create(PeftDeptConfig config, long seed) {
        return new Dept(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static Dept load(Path directory) {
        return new Dept(PeftDeptConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Dept frozen(Path directory) {
        return new Dept(PeftDeptConfig.read(directory), Origin.of(directory, false));
    }

    /** The optimiser moves the update with so many times the learning rate of the prompt, as in section 2.2. */
    public Dept withRateRatio(double ratio) {
        rateRatio = ratio;
        return this;
    }

    @Override
    void attachFront(Adaptable model) {
        Scope scope = model.scope();
        DType dtype = Precision.accumulator(model.dtype());
        int width = model.shape().hidden();
        config.fit(model.layers(), model.shape().heads(), width);
        Parameter rows = rows(scope, dtype, config.virtualTokens(), width);
        Tensor a = scope.tensor(Memory.ADAPTER, dtype, config.places(), config.rank());
        Tensor b = scope.tensor(Memory.ADAPTER, dtype, config.rank(), width);
        if (fromFile()) {
            read(A, a);
            read(B, b);
        } else {
            PromptTuning.fillWithTokens(model.embedding().value(), seed, rows.value());
            normal(b, 0, 1);
        }
        Parameter left = train(scope, new Parameter(A, a)).withRateFactor(rateRatio);
        Parameter right = train(scope, new Parameter(B, b)).withRateFactor(rateRatio);
        update = new EmbeddingUpdate(scope, left, right);
        prompt = new Prompt(rows, update);
    }

    @Override
    public void changed() {
        update.write();
    }

    @Override
    public Prompt prompt() {
        return prompt;
    }
}
