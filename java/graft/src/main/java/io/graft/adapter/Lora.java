package io.graft.adapter;

import io.graft.io.PeftLoraConfig;
import io.graft.nn.Attachment;
import io.graft.nn.LowRank;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.WeightDecomposition;
import io.graft.ops.Random;
import io.graft.ops.TensorOps;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * Low-rank adaptation (arXiv 2106.09685) as PEFT configures and stores it: {@code W + scale · B A} for the projections
 * that the configuration targets; with {@code use_dora} the rows of that sum get trained lengths (DoRA, arXiv
 * 2402.09353). Fresh adapters start as the base model: B is zero and A uniform in ±1/√in, or both are taken from the base.
 */
public final class Lora extends PeftAdapter {
    /** why: below the numbers that other uses of the same seed start with, so that A is not a copy of base weights. */
    static final long FIRST_OFFSET = 1L << 48;

    private final PeftLoraConfig config;
    private final long seed;
    private long offset = FIRST_OFFSET;
    private double rateRatio = 1;
    private boolean frozenDown;
    private StartingFactors start;

    private Lora(PeftLoraConfig config, long seed, Path source, boolean trained) {
        super(config, source, trained);
        this.config = config;
        this.seed = seed;
        this.start = new StartingFactors(LoraStart.ZERO, config, seed);
    }

    /** A fresh adapter, to be trained. */
    public static Lora create(PeftLoraConfig config, long seed) {
        return new Lora(config, seed, null, true);
    }

    /** An adapter from a directory, to be trained further. */
    public static Lora load(Path directory) {
        return new Lora(PeftLoraConfig.read(directory), 0, directory, true);
    }

    /** An adapter from a directory, without gradients. */
    public static Lora frozen(Path directory) {
        return new Lora(PeftLoraConfig.read(directory), 0, directory, false);
    }

    /** LoRA+ (arXiv 2402.12354): the optimiser moves B with so many times the learning rate of A. */
    public Lora withRateRatio(double ratio) {
        rateRatio = ratio;
        return this;
    }

    /** LoRA-FA (arXiv 2308.03303): A stays as it is, so that backward needs no layer's input, only S = x Aᵀ. */
    public Lora withFrozenDown() {
        frozenDown = true;
        return this;
    }

    /** Takes the factors of a fresh adapter from the base. The file still holds plain LoRA, for the base as it was. */
    public Lora startingFrom(LoraStart value) {
        start = new StartingFactors(value, config, seed);
        return this;
    }

    @Override
    public int border(String module) {
        return config.targets(module) ? config.rank(module) : 0;
    }

    /** why not DoRA: the norms of W's rows are read from a dense weight. */
    @Override
    boolean servesCodes(String module) {
        return !config.weightDecomposed() && !start.movedBase();
    }

    @Override
    public void quantized(Projection projection, Tensor matrix) {
        start.quantized(projection, matrix);
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String module = projection.module();
        int rank = config.rank(module);
        String key = PREFIX + module + ".lora_";
        Tensor a = wide(scope, projection, rank, projection.weight().k());
        Tensor b = wide(scope, projection, projection.weight().n(), rank);
        if (fromFile()) {
            read(key + "A.weight", a);
            read(key + "B.weight", b);
        } else if (!start.fill(scope, projection, a, b)) {
            initialise(a, b);
        }
        Parameter down = new Parameter(key + "A.weight", a);
        if (frozenDown) {
            constant(down.name(), a);
        } else {
            train(scope, down);
        }
        Parameter up = train(scope, new Parameter(key + "B.weight", b)).withRateFactor(rateRatio);
        LowRank low = new LowRank(down, up, config.scale(module), config.dropout(), mix(module.hashCode()));
        return config.weightDecomposed() ? decomposition(scope, projection, low, key + "magnitude_vector") : low;
    }

    /** Fresh magnitudes are the norms of the rows, so that the layer starts as it is. */
    private Attachment decomposition(Scope scope, Projection projection, LowRank low, String key) {
        Tensor m = scope.tensor(
                Memory.ADAPTER, low.a().value().dtype(), projection.weight().n());
        Parameter magnitude = new Parameter(key, m);
        WeightDecomposition part = WeightDecomposition.of(scope, projection.weight(), low, magnitude);
        if (fromFile()) {
            read(key, m);
        } else {
            TensorOps.copy(scope.context(), part.norm(), m);
        }
        train(scope, magnitude);
        return part;
    }

    @Override
    public void save(Path directory) {
        if (!start.movedBase() || projections().isEmpty()) {
            super.save(directory);
            return;
        }
        try (Scope scope = projections().get(0).weight().scope().context().scope()) {
            write(directory, config.doubled(), start.doubled(scope, tensors()));
        }
    }

    private void initialise(Tensor a, Tensor b) {
        String kind = config.initialisation();
        switch (kind) {
            case "true" -> uniform(a);
            case "false" -> {
                uniform(a);
                uniform(b);
            }
            case "gaussian" -> {
                Random.normal(a.scope().context(), seed, offset, 0, 1.0 / a.size(0), a);
                offset += a.elements();
            }
            default ->
                throw new IllegalArgumentException(
                        "Lora: init_lora_weights '" + kind + "' is not supported for a new adapter");
        }
    }

    /** Kaiming's bound for a = √5 comes to 1/√in. */
    private void uniform(Tensor weight) {
        double bound = 1 / Math.sqrt(weight.size(1));
        Random.uniform(weight.scope().context(), seed, offset, -bound, bound, weight);
        offset += weight.elements();
    }

    /** The mixer of SplitMix64: neighbouring keys give unrelated seeds. */
    static long mix(long value) {
        long z = value + 0x9E3779B97F4A7C15L;
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    public PeftLoraConfig config() {
        return config;
    }
}
