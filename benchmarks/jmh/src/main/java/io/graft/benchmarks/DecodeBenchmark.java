package io.graft.benchmarks;

import io.graft.adapter.AdapterFolder;
import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.TemporaryFolder;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.cli.Method;
import io.graft.io.LlamaConfig;
import io.graft.model.Generator;
import io.graft.model.Llama;
import io.graft.nn.Projection;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.Arrays;
import java.util.Locale;

/**
 * Generation of one sequence, token by token from its first, with the adapter as it was saved and beside the base, not merged
 * into it; and by the base in NF4. The floor of a token is one read of all weights as they are stored. Each token must be the
 * likeliest, or as good as that, by a forward pass over the whole sequence.
 */
public class DecodeBenchmark extends ModelBenchmark {
    /** why one: a prompt is one pass over many rows, which is another thing to measure. */
    private static final int PROMPT = 1;

    private static final int COMPARED = 16;
    private static final int MADE = 32;

    private static final String NF4 = "nf4";
    private static final Llama.Options IN_NF4 = Llama.Options.inference().withBase(Weight.Kind.NF4);

    /** why: the cache of keys and values rounds elsewhere; relative to the largest logit. */
    private static final double TOLERANCE = 2e-2;

    @Override
    protected Work frozen(Inputs inputs) {
        return generation(create(inputs.scope(), Llama.Options.inference()));
    }

    @Override
    protected void beside(Trial trial, String contender, Method method) {
        if (method == null) {
            trial.variant(NF4, contender, inputs -> generation(create(inputs.scope(), IN_NF4)));
        }
    }

    @Override
    protected Work under(Method method, Inputs inputs) {
        if (method.peftType() == null) {
            throw new IllegalStateException("it trains the model itself, which generates as the frozen one does");
        }
        try (TemporaryFolder folder = new TemporaryFolder()) {
            save(method, inputs, folder.path());
            return generation(create(inputs.scope(), Llama.Options.training(AdapterFolder.frozen(folder.path()))));
        }
    }

    private Work generation(Llama llama) {
        int[] prompt = model().ids(PROMPT);
        Generator generator = new Generator(llama);
        int[][] made = new int[1][];
        Work work = new Work(() -> made[0] = generator.greedy(prompt, MADE))
                .tokens(MADE)
                .cost(2 * weights() * (PROMPT + MADE - 1), read(llama) * MADE)
                .unless(() -> fault(llama, made[0]));
        return compared(work, llama, COMPARED);
    }

    /** Bytes of the projections, with their tables, and of the head. */
    private double read(Llama llama) {
        LlamaConfig config = llama.config();
        double bytes = (double) config.vocabularySize() * config.hiddenSize() * type().bytes();
        for (Projection projection : llama.projections()) {
            Tensor table = projection.table();
            bytes += projection.weight().bytes()
                    + (table == null ? 0 : table.elements() * table.dtype().bytes());
        }
        return bytes;
    }

    /** The first token that is not the likeliest by a forward pass without a cache; null where there is none. */
    private String fault(Llama llama, int[] made) {
        int[] ids = Arrays.copyOf(model().ids(PROMPT), PROMPT + MADE);
        System.arraycopy(made, 0, ids, PROMPT, MADE);
        Tensor logits = logits(llama, ids);
        for (int i = PROMPT; i < ids.length; i++) {
            float[] row = logits.rows(i - 1, i).floats();
            float best = Float.NEGATIVE_INFINITY;
            for (float logit : row) {
                best = Math.max(best, logit);
            }
            if (best - row[ids[i]] > TOLERANCE * Math.abs(best)) {
                return String.format(
                        Locale.ROOT,
                        "token %d is %d with a logit of %.4f, the largest is %.4f",
                        i - PROMPT,
                        ids[i],
                        row[ids[i]],
                        best);
            }
        }
        llama.release();
        return null;
    }
}
