package io.graft.adapter;

import io.graft.io.PeftPrefixPropagationConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Prompt;
import io.graft.nn.PropagatedRows;
import java.nio.file.Path;

/**
 * Prefix-propagation (arXiv 2305.12086, section 3): virtual tokens before every sequence, to whose hidden states each layer
 * adds rows of its own, half as many numbers as keys and values of prefix tuning. The first layer's rows start as the
 * embeddings of random tokens, the others N(0, 0.02²).
 */
public final class PrefixPropagation extends PeftFrontAdapter<PeftPrefixPropagationConfig> {
    private static final double DEVIATION = 0.02;

    private Prompt prompt;

    private PrefixPropagation(PeftPrefixPropagationConfig config, Origin origin) {
        super(config, origin);
    }

    /** Fresh rows, to be trained. */
    public static PrefixPropagation create(PeftPrefixPropagationConfig config, long seed) {
        return new PrefixPropagation(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static PrefixPropagation load(Path directory) {
        return new PrefixPropagation(PeftPrefixPropagationConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static PrefixPropagation frozen(Path directory) {
        return new PrefixPropagation(PeftPrefixPropagationConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    void attachFront(Adaptable model) {
        int width = model.shape().hidden();
        config.fit(model.layers(), model.shape().heads(), width);
        Parameter rows = rows(
                model.scope(),
                Precision.accumulator(model.dtype()),
                config.virtualTokens(),
                (long) model.layers() * width);
        if (!fromFile()) {
            normal(rows.value(), 0, DEVIATION);
            PromptTuning.fillWithTokens(
                    model.embedding().value(), seed, rows.value().columns(0, width));
        }
        prompt = new Prompt(new PropagatedRows(rows, width));
    }

    @Override
    public Prompt prompt() {
        return prompt;
    }
}
