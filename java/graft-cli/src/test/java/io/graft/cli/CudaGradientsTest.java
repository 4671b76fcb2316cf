package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Device;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Loss and gradients of every method on a CUDA device: as near to float64 as those of plain loops in fp32 on the CPU. Not the
 * parameters after a step, since AdamW's first step is the sign of a gradient, and that of a gradient that is zero its
 * rounding's.
 */
@Tag("emulated")
@EnabledIf(value = "io.graft.cli.CudaTest#emulated", disabledReason = "only a part of the native side was built")
class CudaGradientsTest {
    private static final double ROUNDOFF = 0x1p-24;

    @TempDir
    Path folder;

    /** What a run gave, the loss first, and the parameters that it was given at. */
    private record Run(List<String> names, List<double[]> values, List<double[]> parameters) {}

    /** why not these: they choose by scores in fp32; their losses after a step are compared in {@link CudaTest}. */
    private static final Set<String> WITHOUT_FLOAT64 = Set.of("propetl", "spt");

    /** Starts from singular vectors, whose signs are a device's own, and so are those of its gradients. */
    private static final String SIGNLESS = "loraga";

    static Stream<String> methods() {
        return SmallMethods.names().filter(name -> !WITHOUT_FLOAT64.contains(name));
    }

    @ParameterizedTest
    @MethodSource("methods")
    void gradientsAreAsNearToFloat64AsThoseOfPlainLoops(String name) throws Exception {
        Method method = Method.named(name);
        MethodOptions options = SmallMethods.options(name, folder);
        Run plain;
        try (Context context = Context.cpu(1)) {
            context.prefer("reference");
            plain = run(context, DType.F32, method, options, null);
        }
        try (Context cpu = Context.cpu(1);
                Context cuda = Context.on(Device.cuda(0))) {
            Run exact = run(cpu, DType.F64, method, options, plain.parameters());
            Run actual = run(cuda, DType.F32, method, options, plain.parameters());
            assertThat(cuda.lastDispatch()).contains(":cuda/");
            assertThat(actual.names()).isEqualTo(exact.names()).isEqualTo(plain.names());
            // why by itself: one number may be exact in plain loops by chance.
            double loss = exact.values().get(0)[0];
            assertThat(actual.values().get(0)[0]).isCloseTo(loss, Offset.offset(4 * ROUNDOFF * loss));
            double largest = exact.values().stream()
                    .skip(1)
                    .mapToDouble(v -> norm(v))
                    .max()
                    .orElseThrow();
            double[] errors = errors(actual, exact, largest);
            int worst = IntStream.range(0, errors.length)
                    .reduce((a, b) -> errors[a] < errors[b] ? b : a)
                    .orElseThrow();
            assertThat(norm(errors))
                    .as("most in %s: %s", exact.names().get(worst + 1), errors[worst])
                    .isLessThanOrEqualTo(2 * norm(errors(plain, exact, largest)));
        }
    }

    /**
     * Of each gradient, by its own norm or a thousandth of the largest. why they are held together: those of few numbers have
     * hardly any error in plain loops by chance.
     */
    private static double[] errors(Run run, Run exact, double largest) {
        return IntStream.range(1, exact.values().size())
                .mapToDouble(i -> {
                    double[] truth = exact.values().get(i);
                    return distance(run.values().get(i), truth) / Math.max(norm(truth), 1e-3 * largest);
                })
                .toArray();
    }

    private static double norm(double[] values) {
        return distance(values, new double[values.length]);
    }

    /** parameters: null for those that the method starts from, moved away from zeros and from one another. */
    private Run run(Context context, DType dtype, Method method, MethodOptions options, List<double[]> parameters)
            throws Exception {
        try (OpenModel opened = OpenModel.open(
                context, SmallMethods.model(method.name(), folder), dtype, SmallMethods.training(method, options))) {
            Llama llama = opened.llama();
            llama.calibrate(SmallMethods.EXAMPLES, SmallMethods::batch);
            llama.adapter().starting(SmallMethods.STEPS);
            Random random = new Random(SmallMethods.SEED);
            Run run = new Run(new ArrayList<>(), new ArrayList<>(), new ArrayList<>());
            boolean starts = method.name().equals(SIGNLESS);
            for (Parameter parameter : llama.trainable()) {
                double[] started = parameter.master().doubles();
                double[] moved = starts ? started : SmallMethods.moved(started, random);
                parameter
                        .master()
                        .set(
                                parameters == null || starts
                                        ? moved
                                        : parameters.get(run.parameters().size()));
                run.parameters().add(parameter.master().doubles());
            }
            llama.parametersChanged();
            llama.zeroGradients();
            double loss =
                    llama.lossAndGradients(SmallMethods.batch(SmallMethods.EXAMPLES), 0, SmallMethods.SEED, 1L << 40);
            run.names().add("loss");
            run.values().add(new double[] {loss + llama.adapter().regularise()});
            for (Parameter parameter : llama.trainable()) {
                run.names().add(parameter.name());
                DoubleStream gradient = DoubleStream.of(parameter.gradient().doubles());
                run.values().add((starts ? gradient.map(Math::abs) : gradient).toArray());
            }
            return run;
        }
    }

    private static double distance(double[] values, double[] others) {
        assertThat(values).hasSameSizeAs(others);
        double sum = 0;
        for (int i = 0; i < values.length; i++) {
            sum += (values[i] - others[i]) * (values[i] - others[i]);
        }
        return Math.sqrt(sum);
    }
}
