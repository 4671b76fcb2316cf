package io.graft.model;

import io.graft.adapter.Adapter;
import io.graft.io.Checkpoint;
import io.graft.io.LlamaConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.AttentionBlock;
import io.graft.nn.BlockShape;
import io.graft.nn.BlockStack;
import io.graft.nn.KvCache;
import io.graft.nn.Parameter;
import io.graft.nn.Prefix;
import io.graft.nn.Projection;
import io.graft.nn.Prompt;
import io.graft.nn.SideNetwork;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.IntFunction;

/**
 * A decoder as its configuration describes it, a Llama or one of the other architectures: token embedding, blocks, norm,
 * head. The loss never makes the logits of a whole batch; backward is explicit and goes down only as far as something is
 * trained. All buffers belong to the current (batch, length): a batch of another shape closes the old ones and makes new
 * ones.
 *
 * <p>Not for use by two threads at once.
 */
public final class Llama implements Adaptable, AutoCloseable {
    /**
     * How a model is set up.
     *
     * @param adapter what is trained and how; null: nothing, the model is for inference
     * @param gradientCheckpointing keep only each block's input for backward and run its forward once more
     * @param base how dense linear layers of a checkpoint are kept: NF4 (with LoRA: QLoRA, arXiv 2305.14314) are frozen;
     *     layers that a checkpoint has as codes stay so
     * @param filling who is told how many tensors have their numbers
     */
    public record Options(Adapter adapter, boolean gradientCheckpointing, Weight.Kind base, FillListener filling) {
        public static Options inference() {
            return training(null);
        }

        public static Options training(Adapter adapter) {
            return new Options(adapter, false, Weight.Kind.DENSE, (tensors, all) -> {});
        }

        public Options withGradientCheckpointing(boolean on) {
            return new Options(adapter, on, base, filling);
        }

        public Options withBase(Weight.Kind kind) {
            return new Options(adapter, gradientCheckpointing, kind, filling);
        }

        public Options withFilling(FillListener listener) {
            return new Options(adapter, gradientCheckpointing, base, listener);
        }
    }

    private final Scope scope;
    private final LlamaConfig config;
    private final DType dtype;
    private final Options options;
    private final LlamaLayers layers;
    private List<Parameter> trainable;
    private boolean calibrating;
    private final Prompt prompt;
    private final Prefix prefix;
    private final SideNetwork side;
    private final Passes passes;

    private Llama(Scope scope, LlamaConfig config, DType dtype, Options options, LlamaLayers layers) {
        this.scope = scope;
        this.config = config;
        this.dtype = dtype;
        this.options = options;
        this.layers = layers;
        this.passes = new Passes(this, layers, options.gradientCheckpointing());
        Adapter adapter = options.adapter();
        if (adapter != null) {
            adapter.attach(this);
        }
        prompt = adapter == null ? null : adapter.prompt();
        prefix = adapter == null ? null : adapter.prefix();
        side = adapter == null ? null : adapter.side();
        if (side != null && prefix != null) {
            throw new IllegalArgumentException("Llama: a side network and a prefix do not go together");
        }
        trainable = adapter != null && adapter.trained() ? adapter.parameters() : List.of();
    }

    /** A model from a Hugging Face checkpoint, its weights converted to the compute dtype. */
    public static Llama load(Scope parent, Checkpoint checkpoint, LlamaConfig config, DType compute, Options options) {
        return build(parent, config, compute, options, checkpoint, layers -> layers.load(checkpoint));
    }

    /** A model from random numbers: weights N(0, 0.02²), norms 1. */
    public static Llama create(Scope parent, LlamaConfig config, DType compute, long seed, Options options) {
        return build(parent, config, compute, options, null, layers -> layers.initialise(seed));
    }

    private static Llama build(
            Scope parent,
            LlamaConfig config,
            DType compute,
            Options options,
            Checkpoint stored,
            Consumer<LlamaLayers> fill) {
        Scope scope = parent.scope();
        try {
            LlamaLayers layers = new LlamaLayers(scope, config, compute, options, stored);
            fill.accept(layers);
            return new Llama(scope, config, compute, options, layers);
        } catch (RuntimeException | Error e) {
            scope.close();
            throw e;
        }
    }

    /** Mean loss over the targets of a batch, without gradients and without dropout. */
    public float loss(Batch batch) {
        return passes.loss(batch);
    }

    /** {@link #lossAndGradients(Batch, double, long, long)} for a batch on its own: the mean over its targets. */
    public float lossAndGradients(Batch batch) {
        return lossAndGradients(batch, 0, 0, 0);
    }

    /**
     * Loss of a batch; adds its gradients to those of the trained parameters.
     *
     * @param normalizer what the summed loss is divided by: 0 for the number of targets of this batch, or, where
     *     gradients of several batches accumulate, the number of targets of all of them
     * @param dropoutSeed with dropoutOffset the counter of dropout masks: take another offset for each batch
     */
    public float lossAndGradients(Batch batch, double normalizer, long dropoutSeed, long dropoutOffset) {
        if (trainable.isEmpty() && !calibrating) {
            boolean early = options.adapter() != null && options.adapter().needsCalibration();
            throw new IllegalStateException("lossAndGradients: nothing is trained; "
                    + (early ? "Llama.calibrate comes first" : "load the model with an adapter"));
        }
        return passes.lossAndGradients(batch, normalizer, dropoutSeed, dropoutOffset);
    }

    /** Whether from now on the second pass with gradients over batches of a shape is a graph; see {@link Adapter#repeats}. */
    public void keepPasses(boolean on) {
        passes.keep(on);
    }

    /** Why the passes are called op by op nevertheless; null where they are a graph, or may become one. */
    public String unkeptPass() {
        return passes.unkept();
    }

    /** From now on backward shows each block's own parameters when their gradients are complete; null: to nobody. */
    public void duringBackward(Consumer<List<Parameter>> finished) {
        passes.duringBackward(finished);
    }

    /** The loss of the last {@link #lossAndGradients(Batch)}, not rounded to float. */
    double lastLoss() {
        return passes.lastLoss();
    }

    /** Number of predictions of a batch that count in the loss: with virtual tokens also those of the rows' first. */
    public long targets(Batch batch) {
        return batch.targets(prompt == null ? 0 : prompt.length());
    }

    /** Logits [batch, virtual tokens + length, vocabulary] of a batch, row-major. */
    public float[] logits(Batch batch) {
        return logitsTensor(batch).floats();
    }

    /** Logits [batch · (virtual tokens + length), vocabulary]: a buffer of the model, good until its next use. */
    public Tensor logitsTensor(Batch batch) {
        return passes.logits(batch);
    }

    /**
     * Shows every stage of a forward pass: {@code model.embed_tokens}, {@code model.layers.0} …, {@code model.norm},
     * {@code lm_head}, each a matrix [batch · length, width] that is good only inside the call.
     */
    public void trace(Batch batch, BiConsumer<String, Tensor> stage) {
        passes.trace(batch, stage);
    }

    /** Runs new tokens [rows, n] behind what each row's cache holds; the logits [rows, vocabulary] of the last ones. */
    Tensor decode(Workspace work, int[] ids, List<KvCache> caches) {
        return work.decode(layers, ids, caches, prompt, virtualTokens());
    }

    /** Where the keys and values of generations are. */
    Caches caches() {
        return new Caches(this, prefix, side, virtualTokens());
    }

    private int virtualTokens() {
        return (prompt == null ? 0 : prompt.length()) + (prefix == null ? 0 : prefix.length());
    }

    Workspace workspace(int batch, int length, BlockStack.Mode mode) {
        return new Workspace(this, batch, length, mode, prompt, prefix);
    }

    /** For the first tokens of a generation. */
    Workspace beginning(int tokens) {
        return new Workspace(this, 1, tokens, BlockStack.Mode.INFERENCE, prompt, null);
    }

    /** For each token after them. */
    Workspace continuation(int rows) {
        return new Workspace(this, rows, 1, BlockStack.Mode.INFERENCE, null, null);
    }

    /** Frees all activations; the next pass makes them again. */
    public void release() {
        passes.release();
    }

    /**
     * Lets the adapter look at examples before training, where it needs that; {@link #trainable} may be another list then.
     *
     * @param examples how many it sees
     * @param example makes one of them, by its number
     */
    public void calibrate(int examples, IntFunction<Batch> example) {
        Adapter adapter = options.adapter();
        if (adapter == null || !adapter.needsCalibration()) {
            return;
        }
        Consumer<Batch> pass = adapter.needsGradients() ? this::lossAndGradients : this::loss;
        calibrating = true;
        try {
            release();
            adapter.calibrate(examples, i -> pass.accept(example.apply(i)));
            trainable = adapter.trained() ? adapter.parameters() : List.of();
        } finally {
            calibrating = false;
            release();
        }
    }

    /**
     * Lets all passes run the lowest blocks without what is attached to their projections (AdapterDrop, arXiv 2010.11918); 0
     * for no block. Virtual tokens, norms and whole parameters stay.
     *
     * @throws IllegalStateException if a weight holds what its adapter does; the blocks below it are left out then
     */
    public void leaveOutAdapters(int lowest) {
        if (lowest > 0 && adapter() != null && !adapter().removable()) {
            throw new IllegalStateException("leaveOutAdapters: the weights have given up what "
                    + adapter().getClass().getSimpleName() + " started from, or taken it in");
        }
        layers.leaveOutAdapters(lowest);
    }

    /** Sets the gradients of all trained parameters to zero. */
    public void zeroGradients() {
        for (int i = 0; i < trainable.size(); i++) {
            trainable.get(i).zeroGradient();
        }
    }

    /** To be called after trained parameters changed: packs adapters into the weights' borders again. */
    public void parametersChanged() {
        if (options.adapter() != null) {
            options.adapter().changed();
        }
    }

    /**
     * Folds the adapter into the weights: the model then is a plain one, of which nothing is trained any more. Not into a
     * quantised base, whose codes cannot hold the sum: load the adapter over the dense base for that.
     */
    public void merge() {
        if (options.adapter() != null) {
            if (!options.adapter().mergesIntoCodes()) {
                layers.expectDense("merge");
            }
            release();
            options.adapter().merge();
            trainable = List.of();
        }
    }

    /** Writes a checkpoint in the compute dtype, without the adapter; what is not computed, as a vision tower, is copied. */
    public void save(Path directory) {
        layers.expectDense("save");
        layers.save(directory, config.withDtype(dtype));
    }

    BlockStack stack(Scope where, int batch, int length, BlockStack.Mode mode, Prefix front, Prompt virtual) {
        boolean input = layers.tablesTrained() || (prompt != null && prompt.trainable());
        return new BlockStack(where, dtype, shape(), layers.blocks(), batch, length, mode, input, front, virtual);
    }

    LlamaLayers modules() {
        return layers;
    }

    /** What runs beside the blocks, or null. */
    SideNetwork side() {
        return side;
    }

    @Override
    public List<String> unused() {
        return layers.unused();
    }

    @Override
    public Tensor inverseFrequencies() {
        return layers.inverseFrequencies();
    }

    @Override
    public Scope scope() {
        return scope;
    }

    public Context context() {
        return scope.context();
    }

    public LlamaConfig config() {
        return config;
    }

    @Override
    public DType dtype() {
        return dtype;
    }

    @Override
    public BlockShape shape() {
        return layers.shape();
    }

    @Override
    public int layers() {
        return config.layers();
    }

    @Override
    public Parameter embedding() {
        return layers.embedding().table();
    }

    /** The adapter that the model was loaded with, or null. */
    public Adapter adapter() {
        return options.adapter();
    }

    @Override
    public List<Projection> projections() {
        return layers.projections();
    }

    @Override
    public AttentionBlock attention(int layer) {
        return layers.blocks()[layer].attention();
    }

    /** The base model's parameters, without the projections where they are quantised. */
    @Override
    public List<Parameter> parameters() {
        return layers.parameters();
    }

    /** How many numbers the base model has, however they are stored. */
    public long size() {
        return layers.size();
    }

    /** The parameters that are trained, in a fixed order. */
    public List<Parameter> trainable() {
        return trainable;
    }

    /** A parameter of the base model by its name in the checkpoint. */
    public Parameter parameter(String name) {
        return parameters().stream()
                .filter(parameter -> parameter.name().equals(name))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("the model has no parameter " + name));
    }

    @Override
    public void close() {
        scope.close();
    }
}
