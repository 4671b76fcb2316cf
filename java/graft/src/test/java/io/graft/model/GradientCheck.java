package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.adapter.Adapter;
import io.graft.io.LlamaConfig;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.List;
import java.util.SplittableRandom;

/** The whole model in float64: each gradient against the loss's difference quotient, with padding and dropout. */
final class GradientCheck {
    private static final double STEP = 1e-5;
    private static final int PROBES = 3;

    private GradientCheck() {}

    static LlamaConfig config(boolean tied) {
        return LlamaConfig.llama(23, 12, 20, 2, 4, 2, 6, 64, 1e-5, tied);
    }

    /** A fresh adapter on a model of random numbers; the adapter's own part of the loss counts. */
    static void check(Adapter adapter, boolean tied, boolean checkpointing) {
        check(adapter, tied, checkpointing, 0);
    }

    /** As above, after each number of the adapter has been moved by chance, at most so far. */
    static void check(Adapter adapter, boolean tied, boolean checkpointing, double moved) {
        check(config(tied), adapter, checkpointing, moved);
    }

    static void check(LlamaConfig config, Adapter adapter, boolean checkpointing, double moved) {
        Llama.Options options = Llama.Options.training(adapter).withGradientCheckpointing(checkpointing);
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama model = Llama.create(scope, config, DType.F64, 4, options)) {
            SplittableRandom random = new SplittableRandom(1);
            enlarge(model, random);
            for (Parameter parameter : moved > 0 ? model.trainable() : List.<Parameter>of()) {
                double[] values = parameter.value().doubles();
                for (int i = 0; i < values.length; i++) {
                    values[i] += random.nextDouble(-moved, moved);
                }
                parameter.value().set(values);
            }
            model.parametersChanged();
            Batch batch = batch(random, adapter.names());
            loss(model, batch);
            for (Parameter parameter : model.trainable()) {
                double[] gradient = parameter.gradient().doubles();
                for (int i = 0; i < PROBES; i++) {
                    check(model, batch, parameter, gradient, random.nextInt(gradient.length));
                }
            }
        }
    }

    /** why: with the small fresh weights most gradients vanish beside the rounding of the difference quotient. */
    private static void enlarge(Llama model, SplittableRandom random) {
        for (Parameter parameter : model.parameters()) {
            double[] values = parameter.value().doubles();
            for (int i = 0; i < values.length; i++) {
                values[i] = parameter.value().rank() == 1 ? 0.5 + random.nextDouble() : random.nextDouble() - 0.5;
            }
            parameter.value().set(values);
        }
        for (Projection projection : model.projections()) {
            if (projection.table() != null) {
                Tensor table = projection.table();
                table.set(random.doubles(table.elements(), -0.5, 0.5).toArray());
            }
        }
        for (Parameter parameter : model.trainable()) {
            if (parameter.name().endsWith("adaption_gate")) {
                parameter.value().set(new double[] {0.7});
            } else if (parameter.name().equals("embedding_A")) {
                parameter
                        .value()
                        .set(random.doubles(parameter.value().elements(), -0.5, 0.5)
                                .toArray());
            }
        }
        model.parametersChanged();
    }

    private static Batch batch(SplittableRandom random, List<String> names) {
        Batch batch = new Batch();
        batch.resize(2, 5);
        for (int i = 0; i < 10; i++) {
            batch.ids()[i] = random.nextInt(23);
            batch.labels()[i] = i == 9 ? Batch.IGNORED : batch.ids()[i];
        }
        batch.lengths()[1] = 4;
        for (int row = 0; row < 2 && !names.isEmpty(); row++) {
            batch.adapter(row, names.get(row % names.size()));
        }
        return batch;
    }

    private static double loss(Llama model, Batch batch) {
        model.zeroGradients();
        model.lossAndGradients(batch, 0, 77, 1L << 40);
        return model.lastLoss() + model.adapter().regularise();
    }

    private static void check(Llama model, Batch batch, Parameter parameter, double[] gradient, int index) {
        double[] values = parameter.value().doubles();
        double original = values[index];
        double above = moved(model, batch, parameter, values, index, original + STEP);
        double below = moved(model, batch, parameter, values, index, original - STEP);
        moved(model, batch, parameter, values, index, original);
        double slope = (above - below) / (2 * STEP);
        assertThat(Math.abs(gradient[index] - slope))
                .as("%s[%d]: gradient %s, difference quotient %s", parameter.name(), index, gradient[index], slope)
                .isLessThan(1e-8 + 1e-6 * Math.abs(slope));
    }

    private static double moved(
            Llama model, Batch batch, Parameter parameter, double[] values, int index, double value) {
        values[index] = value;
        parameter.value().set(values);
        model.parametersChanged();
        return loss(model, batch);
    }
}
