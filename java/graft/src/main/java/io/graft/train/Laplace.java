package io.graft.train;

import io.graft.io.SafetensorsFile;
import io.graft.io.SafetensorsWriter;
import io.graft.model.Batch;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.ops.Sparse;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.function.DoubleBinaryOperator;
import java.util.function.IntFunction;

/**
 * A Gaussian posterior over an adapter's numbers around what training found (Laplace-LoRA, arXiv 2308.13111), with a diagonal
 * precision {@code F + λ}: F sums the squared gradients of examples' log-likelihoods, and the prior's precision λ is the one
 * under which the examples are likeliest. The paper's precision is a Kronecker product, and its predictions are linearised;
 * here they are means over draws.
 */
public final class Laplace {
    /** The posterior's file in an adapter's folder. */
    public static final String FILE = "posterior.safetensors";

    /** why: the fixed point is reached to rounding long before. */
    private static final int ROUNDS = 200;

    private final Llama model;
    private final double prior;
    private final List<double[]> means = new ArrayList<>();
    private final List<double[]> deviations;

    private Laplace(Llama model, double prior, List<double[]> deviations) {
        this.model = model;
        this.prior = prior;
        this.deviations = deviations;
        model.adapter().parameters().forEach(one -> means.add(one.best().doubles()));
    }

    /**
     * The posterior of a trained adapter.
     *
     * @param examples how many are looked at
     * @param example one of them, by its number
     */
    public static Laplace fit(Llama model, int examples, IntFunction<Batch> example) {
        List<Parameter> parameters = model.trainable();
        List<double[]> information = new ArrayList<>();
        try (Scope scope = model.context().scope()) {
            List<Tensor> sums = new ArrayList<>();
            for (Parameter parameter : parameters) {
                Tensor gradient = parameter.gradient();
                sums.add(scope.tensor(Memory.WORKSPACE, gradient.dtype(), rows(gradient), columns(gradient)));
            }
            for (int i = 0; i < examples; i++) {
                model.zeroGradients();
                model.lossAndGradients(example.apply(i), 1, 0, 0);
                for (int p = 0; p < sums.size(); p++) {
                    Tensor gradient = parameters.get(p).gradient();
                    Sparse.addSquares(
                            model.context(), gradient.reshape(rows(gradient), columns(gradient)), sums.get(p));
                }
            }
            sums.forEach(sum -> information.add(sum.doubles()));
        }
        double prior = prior(parameters, information);
        for (double[] values : information) {
            for (int i = 0; i < values.length; i++) {
                values[i] = 1 / Math.sqrt(values[i] + prior);
            }
        }
        return new Laplace(model, prior, information);
    }

    private static long rows(Tensor gradient) {
        return gradient.rank() < 2 ? 1 : gradient.size(0);
    }

    private static long columns(Tensor gradient) {
        return gradient.elements() / rows(gradient);
    }

    /** λ = γ / ‖θ‖² with γ = Σ F / (F + λ), where the evidence has its maximum (MacKay 1992, equation 2.22). */
    private static double prior(List<Parameter> parameters, List<double[]> information) {
        double square = 0;
        for (Parameter parameter : parameters) {
            for (double value : parameter.master().doubles()) {
                square += value * value;
            }
        }
        if (!(square > 0)) {
            throw new IllegalArgumentException("Laplace: the adapter is zero; train it first");
        }
        double prior = 1;
        for (int round = 0; round < ROUNDS; round++) {
            double determined = 0;
            for (double[] values : information) {
                for (double value : values) {
                    determined += value / (value + prior);
                }
            }
            prior = determined / square;
        }
        if (!(prior > 0)) {
            throw new IllegalArgumentException("Laplace: no example has a gradient");
        }
        return prior;
    }

    /** The posterior beside an adapter that a model was loaded with. */
    public static Laplace read(Llama model, Path folder) {
        List<double[]> deviations = new ArrayList<>();
        try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(FILE));
                Scope scope = model.context().scope()) {
            for (Parameter parameter : model.adapter().parameters()) {
                Tensor value = parameter.best();
                Tensor deviation = scope.tensor(Memory.WORKSPACE, value.dtype(), value.shape());
                file.read(model.adapter().key(parameter), deviation);
                deviations.add(deviation.doubles());
            }
            return new Laplace(
                    model, Double.parseDouble(file.metadata().getOrDefault("prior_precision", "NaN")), deviations);
        }
    }

    /** Writes the posterior into an adapter's folder. */
    public void write(Path folder) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        try (Scope scope = model.context().scope()) {
            List<Parameter> parameters = model.adapter().parameters();
            for (int i = 0; i < parameters.size(); i++) {
                Tensor value = parameters.get(i).best();
                tensors.put(
                        model.adapter().key(parameters.get(i)),
                        scope.tensor(Memory.WORKSPACE, value.dtype(), value.shape())
                                .set(deviations.get(i)));
            }
            SafetensorsWriter.write(folder.resolve(FILE), tensors, Map.of("prior_precision", Double.toString(prior)));
        }
    }

    /** The precision of the prior. */
    public double prior() {
        return prior;
    }

    /** The mean of all deviations. */
    public double meanDeviation() {
        double sum = 0;
        long count = 0;
        for (double[] values : deviations) {
            for (double value : values) {
                sum += value;
            }
            count += values.length;
        }
        return sum / count;
    }

    /** Gives the adapter a draw from the posterior: the same one for the same number. */
    public void draw(long number) {
        Random normal = new Random(new SplittableRandom(number).nextLong());
        set((mean, deviation) -> mean + deviation * normal.nextGaussian());
    }

    /** Gives the adapter back what training found. */
    public void mean() {
        set((mean, deviation) -> mean);
    }

    private void set(DoubleBinaryOperator value) {
        List<Parameter> parameters = model.adapter().parameters();
        for (int p = 0; p < parameters.size(); p++) {
            double[] values = means.get(p).clone();
            double[] spread = deviations.get(p);
            for (int i = 0; i < values.length; i++) {
                values[i] = value.applyAsDouble(values[i], spread[i]);
            }
            parameters.get(p).best().set(values);
            parameters.get(p).refreshValue();
        }
        model.parametersChanged();
    }
}
