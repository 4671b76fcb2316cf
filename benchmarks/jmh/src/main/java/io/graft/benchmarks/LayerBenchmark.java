package io.graft.benchmarks;

import io.graft.benchmarks.measure.Inputs;
import io.graft.benchmarks.measure.ModelShape;
import io.graft.benchmarks.measure.PlainProduct;
import io.graft.benchmarks.measure.Trial;
import io.graft.benchmarks.measure.Work;
import io.graft.benchmarks.peers.TorchLayers;
import io.graft.ops.Linear;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import org.openjdk.jmh.annotations.Param;

/**
 * A method at one linear layer of a model, beside the frozen layer: by Graft, and as plain products of oneDNN (on a GPU
 * cuBLASLt) and of LibTorch. Training is forward and backward with the method's gradients and dx.
 */
public abstract class LayerBenchmark extends TokenBenchmark {
    /** Room behind the rows for ranks up to it. */
    private static final int BORDER = 64;

    /** Of the adapter's part, as alpha / r is. */
    protected static final double SCALE = 2;

    private static final long X = 1;
    private static final long DY = 2;
    private static final long A = 3;
    private static final long B = 4;
    private static final long M = 5;
    private static final long L = 6;

    @Param({"q_proj", "k_proj", "gate_proj", "down_proj"})
    public String layer;

    @Param("16")
    public int rank;

    /** Adds the method, after the frozen layer. */
    protected abstract void methods(Trial trial);

    @Override
    protected final void contenders(Trial trial) {
        trial.graft(Trial.FROZEN, inputs -> linear(inputs, inputs.frozen(n(), k(), 0)));
        trial.plain(PlainProduct.library(device()) + " frozen", Trial.FROZEN, this::plain);
        trial.torch("libtorch frozen", Trial.FROZEN, inputs -> TorchLayers.frozen(inputs, this));
        methods(trial);
    }

    protected final ModelShape.Layer layer() {
        return shape().layer(layer);
    }

    public final long n() {
        return layer().n();
    }

    public final long k() {
        return layer().k();
    }

    /** Tokens. */
    public final int t() {
        return tokens;
    }

    public final int r() {
        return rank;
    }

    public final double scale() {
        return SCALE;
    }

    public final boolean trains() {
        return training();
    }

    public final Tensor x(Inputs inputs) {
        return inputs.bordered(X, tokens, k(), BORDER);
    }

    public final Tensor dy(Inputs inputs) {
        return inputs.bordered(DY, tokens, n(), BORDER);
    }

    /** The values of {@link #x} without room behind the rows. */
    public final Tensor plainX(Inputs inputs) {
        return inputs.random(X, tokens, k());
    }

    /** The values of {@link #dy} without room behind the rows. */
    public final Tensor plainDy(Inputs inputs) {
        return inputs.random(DY, tokens, n());
    }

    public final Tensor y(Inputs inputs) {
        return inputs.activation(tokens, n());
    }

    public final Tensor dx(Inputs inputs) {
        return inputs.activation(tokens, k());
    }

    /** A [r, K]. */
    public final Tensor a(Inputs inputs) {
        return inputs.parameter(A, 1 / Math.sqrt(k()), rank, k());
    }

    /** B [N, r]. */
    public final Tensor b(Inputs inputs) {
        return inputs.parameter(B, 0.1, n(), rank);
    }

    /** DoRA's m [N]. */
    public final Tensor magnitude(Inputs inputs) {
        return inputs.parameter(M, 1, n());
    }

    /** The vector l of (IA)³: [K] at the inputs, [N] at the outputs. */
    public final Tensor scales(Inputs inputs, boolean atInputs) {
        return inputs.parameter(L, 1, atInputs ? k() : n());
    }

    /** The floor of a layer whose weight takes so many bytes: each pass reads W once, and x and y, or dy and dx. */
    protected final Work cost(Work work, double weightBytes, double extraFlops, double extraBytes) {
        int passes = training() ? 2 : 1;
        double activations = (double) tokens * (n() + k()) * type().bytes();
        return work.cost(
                passes * (2.0 * tokens * n() * k() + extraFlops), passes * (weightBytes + activations + extraBytes));
    }

    /** The floor of a layer with factors A and B. */
    protected final Work lowRankCost(Work work, Weight w) {
        double adapter = (double) rank * (n() + k());
        return cost(work, w.bytes(), 2 * tokens * adapter * (training() ? 1.5 : 1), 4 * adapter);
    }

    /** What a layer reads and writes; dy and dx are null where nothing is trained. */
    protected record Activations(Tensor x, Tensor dy, Tensor y, Tensor dx) {}

    protected final Activations activations(Inputs inputs) {
        return training()
                ? new Activations(x(inputs), dy(inputs), y(inputs), dx(inputs))
                : new Activations(x(inputs), null, y(inputs), null);
    }

    /** A call of forward, and in training of backward after it. */
    protected final Work passes(Activations tensors, Runnable forward, Runnable backward) {
        if (!training()) {
            return new Work(forward).gives("y", tensors.y());
        }
        return new Work(() -> {
                    forward.run();
                    backward.run();
                })
                .gives("y", tensors.y())
                .gives("dx", tensors.dx());
    }

    /** The frozen layer by Graft's plain linear op, and after each of its passes what a method adds to y and to dx. */
    protected final Work beside(Inputs inputs, Weight w, Activations tensors, Runnable forward, Runnable backward) {
        return passes(
                tensors,
                () -> {
                    Linear.forward(inputs.context(), tensors.x(), w, null, false, tensors.y());
                    forward.run();
                },
                () -> {
                    Linear.backward(inputs.context(), tensors.dy(), null, w, false, tensors.dx(), null, null);
                    backward.run();
                });
    }

    /** The layer alone. */
    protected final Work linear(Inputs inputs, Weight w) {
        return cost(beside(inputs, w, activations(inputs), () -> {}, () -> {}), w.bytes(), 0, 0);
    }

    private Work plain(Inputs inputs) {
        Tensor w = inputs.frozen(n(), k(), 0).matrix();
        Activations tensors = activations(inputs);
        Runnable forward = PlainProduct.forward(inputs, tensors.x(), w, tensors.y())::run;
        return passes(
                tensors,
                forward,
                training() ? PlainProduct.backward(inputs, tensors.dy(), w, tensors.dx())::run : () -> {});
    }
}
