package io.graft.benchmarks;

import io.graft.adapter.Adapter;
import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.TemporaryFolder;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.TrialProgress;
import io.graft.benchmarks.measure.WholeModel;
import io.graft.benchmarks.measure.Work;
import io.graft.cli.Calibration;
import io.graft.cli.Method;
import io.graft.cli.MethodOptions;
import io.graft.cli.Quantization;
import io.graft.io.LlamaConfig;
import io.graft.model.Batch;
import io.graft.model.Llama;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.openjdk.jmh.annotations.Param;

/**
 * A whole model: frozen, and under methods of {@code graft compare}, which take turns with it. Each contender has a model
 * of its own with the same random numbers. Before anything is timed their logits are held against the frozen model's;
 * most methods start as the identity, and a remark says so of the others.
 */
public abstract class ModelBenchmark extends TrialBenchmark {
    /** Between names of methods: JMH has the comma. */
    public static final String SEPARATOR = ":";

    /** All methods that there are. */
    public static final String ALL = "all";

    /** Of weights and adapters. */
    protected static final long SEED = 1;

    /** Methods that look at examples before they train look at so many. */
    protected static final int EXAMPLES = 4;

    @Param({"30m", "150m", "1b"})
    public String size;

    @Param({"bf16", "f32"})
    public String dtype;

    /** Names of methods, between {@value #SEPARATOR}, or {@value #ALL}. */
    @Param("lora:paca")
    public String methods;

    /** All methods that train a dense model alone. */
    public static List<String> all() {
        return Method.all(Weight.Kind.DENSE, Quantization.NONE).stream()
                .map(Method::name)
                .toList();
    }

    /** The names in a value of {@link #methods}. */
    public static List<String> names(String methods) {
        return methods.equals(ALL) ? all() : List.of(methods.split(SEPARATOR));
    }

    /** Whether a contender is there for the sake of a method: it or a peer of it. */
    public static boolean serves(String contender, String method) {
        return contender.equals(method) || contender.endsWith(" " + method);
    }

    /** The work of the model without a method. */
    protected abstract Work frozen(Inputs inputs);

    /** The work of a model under a method. */
    protected abstract Work under(Method method, Inputs inputs);

    /** Adds what is measured beside a contender: what others do instead; the method is null for the frozen model. */
    protected void beside(Trial trial, String contender, Method method) {}

    @Override
    protected final void contenders(Trial trial) {
        trial.graft(Trial.FROZEN, this::frozen);
        beside(trial, Trial.FROZEN, null);
        for (String name : names(methods)) {
            Method method = Method.named(name);
            trial.variant(name, Trial.FROZEN, inputs -> under(inputs.planned() ? method.planned() : method, inputs));
            beside(trial, name, method);
        }
    }

    @Override
    protected final DType type() {
        return DType.valueOf(dtype.toUpperCase(Locale.ROOT));
    }

    protected final WholeModel model() {
        return WholeModel.of(size);
    }

    /** A fresh adapter with the settings of a command line on which nobody says anything. */
    protected final Adapter adapter(Method method) {
        try (TemporaryFolder folder = new TemporaryFolder()) {
            folder.with("config.json", model().config().toJson());
            MethodOptions options =
                    new MethodOptions().withSteps(Integer.MAX_VALUE).withBaseModel(folder.path());
            return method.create(options, SEED);
        }
    }

    /** Writes the adapter as it is before training. */
    protected final void save(Method method, Inputs inputs, Path folder) {
        try (Scope making = inputs.scope().scope();
                Llama made = create(making, Llama.Options.training(adapter(method)))) {
            Calibration.run(made, model().batches(), EXAMPLES);
            made.adapter().save(folder);
        }
    }

    /** The model with the random numbers that are the same for all; the run is told how far it is. */
    protected final Llama create(Scope scope, Llama.Options options) {
        return Llama.create(scope, model().config(), type(), SEED, options.withFilling(TrialProgress::filled));
    }

    /** Logits of tokens without those of virtual tokens before them, [tokens, vocabulary]. */
    protected static Tensor logits(Llama llama, int[] ids) {
        Tensor all = llama.logitsTensor(Batch.of(1, ids.length, ids, null));
        return all.rows(all.size(0) - ids.length, all.size(0));
    }

    /** Parameters that take part in a product for each token. */
    protected final double weights() {
        LlamaConfig config = model().config();
        double table = (double) config.vocabularySize() * config.hiddenSize();
        return config.parameters() - (config.tiedEmbeddings() ? 0 : table);
    }

    /** Adds the logits of a few tokens as a result; the model holds nothing of it afterwards. */
    protected final Work compared(Work work, Llama llama, int tokens) {
        float[] values =
                logits(llama, Arrays.copyOf(model().ids(tokens), tokens)).floats();
        llama.release();
        return work.gives("logits", () -> values);
    }
}
