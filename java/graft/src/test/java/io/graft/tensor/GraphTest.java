package io.graft.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.Emulated;
import io.graft.binding.GraftArgumentException;
import io.graft.binding.GraftUnsupportedException;
import io.graft.ops.AdamWStep;
import io.graft.ops.Random;
import io.graft.ops.TensorOps;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Work that a CUDA device keeps: it is launched with new values in the same memory, or refused in words. */
@Emulated
class GraphTest {
    @AfterEach
    void nothingStaysOpen() {
        assertThat(Context.liveHandles()).isZero();
    }

    @Test
    void aLaunchReadsWhatTheMemoryHoldsThen() {
        try (Context context = Context.on(Device.cuda(0));
                Scope scope = context.scope()) {
            Tensor x = scope.tensor(Memory.BASE, DType.F32, 3).set(1, 2, 3);
            Tensor y = scope.tensor(Memory.BASE, DType.F32, 3);
            Graph graph = scope.graph(() -> {
                assertThat(context.isKeeping()).isTrue();
                TensorOps.add(context, x, y);
            });
            assertThat(context.isKeeping()).isFalse();
            assertThat(y.floats()).containsExactly(0, 0, 0);
            graph.launch();
            x.set(10, 20, 30);
            graph.launch();
            assertThat(y.floats()).containsExactly(11, 22, 33);
            graph.close();
            assertThatThrownBy(graph::launch).hasMessageContaining("is closed");
        }
    }

    @Test
    void numbersOfAStepAreReadAtEachLaunch() {
        try (Context context = Context.on(Device.cuda(0));
                Scope scope = context.scope()) {
            Tensor g = scope.tensor(Memory.GRADIENT, DType.F32, 2).set(1, -2);
            Tensor[] called = parameter(scope);
            Tensor[] launched = parameter(scope);
            Repeated repeated = new Repeated(scope, (rate, step, offset) -> step(context, g, rate, step, launched));
            for (int step = 1; step <= 4; step++) {
                step(context, g, 0.5 / step, step, called);
                repeated.run(0.5 / step, step, 0);
                assertThat(repeated.kept()).isEqualTo(step > 1);
                assertThat(launched[0].floats()).isEqualTo(called[0].floats()).doesNotContain(0);
                if (step == 3) {
                    repeated.forget();
                    assertThat(repeated.kept()).isFalse();
                    repeated.run(0, 1, 0);
                    repeated.run(0, 1, 0);
                    for (int i = 0; i < 3; i++) {
                        launched[i].set(called[i].floats());
                    }
                }
            }
            assertThat(repeated.refusal()).isNull();
        }
    }

    /** p, m and v. */
    private static Tensor[] parameter(Scope scope) {
        return new Tensor[] {
            scope.tensor(Memory.ADAPTER, DType.F32, 2),
            scope.tensor(Memory.OPTIMIZER, DType.F32, 2),
            scope.tensor(Memory.OPTIMIZER, DType.F32, 2)
        };
    }

    private static void step(Context context, Tensor g, double rate, long step, Tensor[] p) {
        AdamWStep.step(context, g, rate, 0.9, 0.99, 1e-8, 0.1, step, 0, null, 0, p[0], p[1], p[2], null);
    }

    @Test
    void whatWouldStayAsItWasIsRefused() {
        try (Context context = Context.on(Device.cuda(0));
                Scope scope = context.scope()) {
            Tensor x = scope.tensor(Memory.BASE, DType.F32, 4);
            Tensor y = scope.tensor(Memory.BASE, DType.F32, 4);
            assertThatThrownBy(() -> scope.graph(() -> Random.normal(context, 1, 0, 0, 1, x)))
                    .isInstanceOf(GraftUnsupportedException.class)
                    .hasMessageContaining("offset would stay as called in all launches");
            assertThatThrownBy(() -> scope.graph(() -> step(context, parameter(scope)[0], 1, 1, parameter(scope))))
                    .isInstanceOf(GraftUnsupportedException.class)
                    .hasMessageContaining("lr and step");
            for (Runnable waits : new Runnable[] {() -> x.set(1, 2, 3, 4), x::floats, context::synchronize}) {
                assertThatThrownBy(() -> scope.graph(waits))
                        .isInstanceOf(GraftArgumentException.class)
                        .hasMessageContaining("waits for the device, whose work is being kept");
            }
            assertThatThrownBy(() -> scope.graph(() -> scope.graph(() -> {})))
                    .hasMessageContaining("being kept already");
            Repeated random = new Repeated(scope, (rate, step, offset) -> Random.normal(context, 1, offset, 0, 1, x));
            random.run(0, 1, 0);
            random.run(0, 1, 4);
            float[] second = x.floats();
            Random.normal(context, 1, 4, 0, 1, y);
            assertThat(second).isEqualTo(y.floats());
            assertThat(random.kept()).isFalse();
            assertThat(random.refusal()).contains("graft_random_normal");
        }
    }

    @Test
    void callsWhoseGraphHasNoMemoryAreMadeEachTime() {
        try (Context context = Context.on(Device.cuda(0));
                Scope scope = context.scope()) {
            Tensor x = scope.tensor(Memory.BASE, DType.F32, 1).set(1);
            Tensor y = scope.tensor(Memory.BASE, DType.F32, 1);
            Repeated repeated = new Repeated(scope, (rate, step, offset) -> {
                TensorOps.add(context, x, y);
                if (context.isKeeping()) {
                    scope.tensor(Memory.WORKSPACE, DType.U8, 1L << 60);
                }
            });
            for (int i = 0; i < 3; i++) {
                repeated.run(0, 1, 0);
            }
            assertThat(y.floats()).containsExactly(3);
            assertThat(repeated.kept()).isFalse();
            assertThat(repeated.refusal()).contains("graft_tensor_create");
        }
    }

    @Test
    void theCpuKeepsNoWork() {
        try (Context context = Context.cpu(1);
                Context plan = Context.planning(Device.cuda(0), 1)) {
            assertThatThrownBy(() -> context.scope().graph(() -> {}))
                    .isInstanceOf(GraftUnsupportedException.class)
                    .hasMessageContaining("the CPU keeps no work");
            assertThatThrownBy(() -> plan.scope().graph(() -> {})).hasMessageContaining("plans");
        }
    }
}
