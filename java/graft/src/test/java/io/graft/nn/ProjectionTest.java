package io.graft.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.ops.Random;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

class ProjectionTest {
    private static final int TOKENS = 5;
    private static final int OUT = 24;
    private static final int IN = 40;
    private static final int RANK = 3;
    private static final Offset<Float> NEAR = Offset.offset(1e-5f);

    private static Projection adapted(Scope scope, double scale) {
        Projection projection = new Projection(scope, "layer", DType.F32, OUT, IN, RANK);
        Random.normal(scope.context(), 1, 0, 0, 0.1, projection.parameter().value());
        projection.attach(new LowRank(
                parameter(scope, "a", 2, RANK, IN).train(scope),
                parameter(scope, "b", 3, OUT, RANK).train(scope),
                scale,
                0,
                7));
        return projection;
    }

    private static Parameter parameter(Scope scope, String name, long seed, long rows, long columns) {
        Tensor value = scope.tensor(Memory.ADAPTER, DType.F32, rows, columns);
        Random.normal(scope.context(), seed, 0, 0, 0.1, value);
        return new Parameter(name, value);
    }

    private static Tensor activation(Scope scope, long seed, int width) {
        Tensor value = Precision.activation(scope, DType.F32, TOKENS, width, RANK);
        Random.normal(scope.context(), seed, 0, 0, 1, value);
        return value;
    }

    private static Pass pass(Scope scope) {
        return new Pass(scope, 1, TOKENS, new RotaryEmbedding(scope.tensor(Memory.ACTIVATION, DType.F32, 1), 1));
    }

    @Test
    void layerAndAdapterAreOneProduct() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            Projection projection = adapted(scope, 2);
            Pass pass = pass(scope);
            Tensor x = activation(scope, 4, IN);
            Tensor y = activation(scope, 5, OUT);
            Tensor s = scope.tensor(Memory.ACTIVATION, DType.F32, TOKENS, RANK);
            projection.forward(pass, x, false, y, s);
            assertThat(context.lastDispatch()).isEqualTo("lora_forward:cpu/bordered");
            projection.backward(pass, y, x, s, false, activation(scope, 6, IN));
            assertThat(context.lastDispatch()).isEqualTo("lora_backward:cpu/bordered");
        }
    }

    @Test
    void aChangedAdapterCountsOncePacked() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            Projection projection = adapted(scope, 2);
            Pass pass = pass(scope);
            Tensor x = activation(scope, 4, IN);
            Tensor y = activation(scope, 5, OUT);
            Parameter b = ((LowRank) projection.attachment()).b();
            b.value().set(new float[OUT * RANK]);
            projection.write();
            projection.forward(pass, x, false, y, null);
            float[] withZeroB = y.floats();
            projection.merge();
            projection.forward(pass, x, false, y, null);
            assertNear(withZeroB, y.floats());
        }
    }

    @Test
    void mergingChangesNoOutput() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            Projection projection = adapted(scope, 0.5);
            Pass pass = pass(scope);
            Tensor x = activation(scope, 4, IN);
            Tensor y = activation(scope, 5, OUT);
            projection.forward(pass, x, false, y, null);
            float[] before = y.floats();
            projection.merge();
            assertThat(projection.attachment()).isNull();
            projection.forward(pass, x, false, y, null);
            assertNear(y.floats(), before);
        }
    }

    @Test
    void aSecondAdapterIsRefused() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            Projection projection = adapted(scope, 1);
            assertThatThrownBy(() -> projection.attach(projection.attachment()))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("layer");
        }
    }

    private static void assertNear(float[] actual, float[] expected) {
        for (int i = 0; i < expected.length; i++) {
            assertThat(actual[i]).isCloseTo(expected[i], NEAR);
        }
    }
}
