package io.graft.adapter;

import io.graft.io.PeftSmopConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Prompt;
import io.graft.nn.RoutedPrompts;
import io.graft.nn.Router;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * SMoP (Choi et al., "SMoP: Towards Efficient and Effective Prompt Tuning with Sparse Mixture-of-Prompts", EMNLP 2023,
 * section 3): several short prompts, of which a router gives each sequence one, times its probability. The router reads
 * the mean embedding of the tokens before the first label that counts, in generation of the whole prompt; where the first
 * token counts already, it reads that one. Fresh prompts are the embeddings of random tokens, the router N(0, 0.02²). The
 * paper's noise on the router's logits is left out.
 *
 * <p>PEFT does not know it. A file holds {@code prompt_embeddings} [experts, tokens · hidden] and {@code
 * prompt_router.weight} [experts, hidden].
 */
public final class Smop extends PeftFrontAdapter<PeftSmopConfig> {
    private static final String ROUTER = "prompt_router.weight";
    private static final double DEVIATION = 0.02;

    private Prompt prompt;
    private Router router;

    private Smop(PeftSmopConfig config, Origin origin) {
        super(config, origin);
    }

    /** Fresh prompts, to be trained. */
    public static Smop create(PeftSmopConfig config, long seed) {
        return new Smop(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static Smop load(Path directory) {
        return new Smop(PeftSmopConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Smop frozen(Path directory) {
        return new Smop(PeftSmopConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    void attachFront(Adaptable model) {
        Scope scope = model.scope();
        int width = model.shape().hidden();
        int experts = config.router().experts();
        config.fit(model.layers(), model.shape().heads(), width);
        Parameter prompts =
                rows(scope, Precision.accumulator(model.dtype()), experts, (long) config.virtualTokens() * width);
        Tensor value = scope.tensor(Memory.ADAPTER, model.dtype(), experts, width);
        if (!fromFile()) {
            PromptTuning.fillWithTokens(
                    model.embedding().value(),
                    seed,
                    prompts.value().reshape((long) experts * config.virtualTokens(), width));
        }
        Parameter rows = parameter(scope, ROUTER, value, normal(DEVIATION));
        router = Router.among(
                scope, model.dtype(), config.router().topK(), config.router().balance());
        prompt = new Prompt(new RoutedPrompts(scope, prompts, rows, router));
    }

    @Override
    public Prompt prompt() {
        return prompt;
    }

    /** The loss that keeps the prompts in equal use; its gradients are there already. */
    @Override
    public double regularise() {
        return router.takeLoss();
    }
}
