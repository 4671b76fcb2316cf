package io.graft.adapter;

import io.graft.io.PeftLoraConfig;
import io.graft.nn.Attachment;
import io.graft.nn.DroppedFactors;
import io.graft.nn.LowRank;
import io.graft.nn.Observed;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.WeightDecomposition;
import io.graft.ops.TensorOps;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.IntConsumer;

/**
 * Low-rank adaptation (arXiv 2106.09685) as PEFT configures and stores it: {@code W + scale · B A} for the projections
 * that the configuration targets; with {@code use_dora} the rows of that sum get trained lengths (DoRA, arXiv
 * 2402.09353). Fresh adapters start as the base model: B is zero and A uniform in ±1/√in, or both are taken from the base.
 */
public final class Lora extends PeftAdapter<PeftLoraConfig> {
    private double rateRatio = 1;
    private boolean frozenDown;
    private StartingFactors start;
    private double spread = 2;
    private boolean calibrated;
    private int period;
    private double factorDropout;
    private PeriodicMerging merging;

    private Lora(PeftLoraConfig config, Origin origin) {
        super(config, origin);
        this.start = new StartingFactors(LoraStart.ZERO, config, seed);
    }

    /** A fresh adapter, to be trained. */
    public static Lora create(PeftLoraConfig config, long seed) {
        return new Lora(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static Lora load(Path directory) {
        return new Lora(PeftLoraConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Lora frozen(Path directory) {
        return new Lora(PeftLoraConfig.read(directory), Origin.of(directory, false));
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

    /**
     * EVA: no rank is above so many times what the configuration says; 1 leaves ranks as they are.
     *
     * @param largest at least 1
     */
    public Lora withRankSpread(double largest) {
        if (!(largest >= 1)) {
            throw new IllegalArgumentException(
                    "Lora: the largest rank is " + largest + " times the rank, must be 1 or more");
        }
        spread = largest;
        return this;
    }

    /**
     * PeriodicLoRA (arXiv 2402.16141): every so many steps the base takes the product in and factors start anew. The file
     * is plain LoRA, of the rank of all periods.
     */
    public Lora withPeriod(int steps) {
        if (steps < 1 || config.weightDecomposed() || start.kind() != LoraStart.ZERO || factorDropout > 0) {
            throw new IllegalArgumentException("Lora: a period of " + steps
                    + " steps must be positive, and goes with plain LoRA that starts from zero only");
        }
        period = steps;
        return this;
    }

    /** LoRA Dropout (arXiv 2404.09610): columns of A and rows of B are dropped by chance while they are trained. */
    public Lora withFactorDropout(double probability) {
        if (!(probability >= 0 && probability < 1) || config.weightDecomposed() || config.dropout() > 0) {
            throw new IllegalArgumentException("Lora: a dropout of factors of " + probability
                    + " must be in [0, 1), without use_dora and without lora_dropout");
        }
        factorDropout = probability;
        return this;
    }

    @Override
    void attached() {
        if (period > 0) {
            merging = new PeriodicMerging(period, config, seed, projections());
        }
    }

    @Override
    public boolean changesMoments() {
        return period > 0;
    }

    @Override
    public void starting(long steps) {
        if (merging != null) {
            merging.starting(steps);
        }
    }

    @Override
    public void stepped(OptimiserStep step) {
        if (merging != null) {
            merging.stepped(step);
        }
    }

    @Override
    public Map<String, Tensor> state() {
        return merging == null ? Map.of() : merging.state();
    }

    @Override
    public void restoring(Function<String, long[]> shapes) {
        if (merging != null) {
            merging.restoring(shapes);
        }
    }

    @Override
    public void restored(long steps) {
        if (merging != null) {
            merging.restored();
        }
    }

    @Override
    public int border(String module) {
        // why none with dropped factors: a border holds one pair of factors, and training sees another.
        return config.targets(module) && factorDropout == 0 ? largestRank(module) : 0;
    }

    private int largestRank(String module) {
        int rank = config.rank(module);
        return start.kind() == LoraStart.ACTIVATIONS ? (int) Math.round(spread * rank) : rank;
    }

    @Override
    public boolean removable() {
        return !start.movedBase() && period == 0;
    }

    /** Whether all that it does is add BA to projections, so that it can be one of several on a model. */
    boolean movesNothingElse() {
        return removable() && config.beside().isEmpty();
    }

    /** why not DoRA: the norms of W's rows are read from a dense weight. */
    @Override
    boolean servesCodes(String module) {
        return !config.weightDecomposed() && removable();
    }

    @Override
    public void quantized(Projection projection, Tensor matrix) {
        start.quantized(projection, matrix);
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        if (needsCalibration()) {
            return Observed.NOTHING;
        }
        String key = PREFIX + projection.module() + ".lora_";
        Tensor a = down(scope, projection);
        Tensor b = up(scope, projection);
        if (fromFile()) {
            read(key + "A.weight", a);
            read(key + "B.weight", b);
        } else if (!start.fill(scope, projection, a, b)) {
            initialise(a, b);
        }
        LowRank low = lowRank(scope, projection, a, b);
        if (factorDropout > 0 && trained()) {
            return new DroppedFactors(scope, low, factorDropout);
        }
        return config.weightDecomposed() ? decomposition(scope, projection, low, key + "magnitude_vector") : low;
    }

    @Override
    boolean trainsBase(Parameter parameter) {
        return super.trainsBase(parameter)
                || (parameter.name().endsWith(".bias") && config.trainsBias(module(parameter)));
    }

    /** PEFT's name of the bias of a layer that carries an adapter is that of the layer inside the adapter's. */
    @Override
    public String key(Parameter parameter) {
        String module = module(parameter);
        return parameter.name().equals(module + ".bias") && config.targets(module)
                ? PREFIX + module + ".base_layer.bias"
                : super.key(parameter);
    }

    private Tensor down(Scope scope, Projection projection) {
        return wide(
                scope,
                projection,
                config.rank(projection.module()),
                projection.weight().k());
    }

    private Tensor up(Scope scope, Projection projection) {
        return wide(scope, projection, projection.weight().n(), config.rank(projection.module()));
    }

    private LowRank lowRank(Scope scope, Projection projection, Tensor a, Tensor b) {
        String module = projection.module();
        String key = PREFIX + module + ".lora_";
        Parameter down = new Parameter(key + "A.weight", a);
        if (frozenDown) {
            constant(down.name(), a);
        } else {
            train(scope, down);
        }
        Parameter up = train(scope, new Parameter(key + "B.weight", b)).withRateFactor(rateRatio);
        return new LowRank(down, up, config.scale(module), config.dropout(), mix(module.hashCode()));
    }

    @Override
    public boolean needsCalibration() {
        return start.kind().needsExamples() && !calibrated;
    }

    @Override
    public boolean needsGradients() {
        return start.kind() == LoraStart.GRADIENT;
    }

    /** Makes the factors: until it returns, sums of the square of each width of inputs, or of each weight's shape, exist. */
    @Override
    public void calibrate(int examples, IntConsumer pass) {
        if (!needsCalibration()) {
            throw new IllegalStateException("Lora.calibrate: " + start.kind() + " needs no examples, or has seen them");
        }
        List<Projection> all = projections();
        Scope model = all.get(0).weight().scope();
        try (Scope scope = model.context().scope()) {
            ExampleStart examined = new ExampleStart(start.kind(), scope);
            reattach(examined::observe);
            for (int i = 0; i < examples; i++) {
                pass.accept(i);
            }
            if (start.kind() == LoraStart.ACTIVATIONS) {
                startFromComponents(model, all, examined);
            } else {
                reattach(projection -> startFromBase(model, projection, examined));
            }
        }
        calibrated = true;
    }

    private void startFromComponents(Scope model, List<Projection> all, ExampleStart examined) {
        Map<String, Factors.Triplets> components = new HashMap<>();
        for (Projection projection : all) {
            String module = projection.module();
            components.put(module, examined.components(projection, largestRank(module), start.seed(module)));
        }
        config = config.redistributed(ExampleStart.shares(all, components, config));
        reattach(projection -> {
            if (!config.targets(projection.module())) {
                return null;
            }
            Tensor a = down(model, projection);
            ExampleStart.components(components.get(projection.module()), a);
            return lowRank(model, projection, a, up(model, projection));
        });
    }

    private Attachment startFromBase(Scope model, Projection projection, ExampleStart examined) {
        String module = projection.module();
        Tensor a = down(model, projection);
        Tensor b = up(model, projection);
        if (start.kind() == LoraStart.GRADIENT) {
            examined.gradient(projection, start.seed(module), a, b);
        } else {
            examined.covariance(projection, config.scale(module), start.seed(module), a, b);
        }
        start.giveUp(model, projection, a, b);
        return lowRank(model, projection, a, b);
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
        if (!start.movedBase() && merging == null || projections().isEmpty()) {
            write(directory, config, tensors());
            return;
        }
        try (Scope scope = projections().get(0).weight().scope().context().scope()) {
            if (merging != null) {
                write(directory, merging.whole(), merging.whole(scope, tensors()));
            } else {
                write(directory, config.doubled(), start.doubled(scope, tensors()));
            }
        }
    }

    private void initialise(Tensor a, Tensor b) {
        String kind = config.initialisation();
        switch (kind) {
            case "true" -> kaiming(a.size(1)).accept(a);
            case "false" -> {
                kaiming(a.size(1)).accept(a);
                kaiming(b.size(1)).accept(b);
            }
            case "gaussian" -> normal(a, 0, 1.0 / a.size(0));
            default ->
                throw new IllegalArgumentException(
                        "Lora: init_lora_weights '" + kind + "' is not supported for a new adapter");
        }
    }

    /** The mixer of SplitMix64: neighbouring keys give unrelated seeds. */
    static long mix(long value) {
        long z = value + 0x9E3779B97F4A7C15L;
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }
}
