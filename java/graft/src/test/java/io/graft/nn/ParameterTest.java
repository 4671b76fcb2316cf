package io.graft.nn;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.ops.AdamWParameters;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ParameterTest {
    @Test
    void aNarrowParameterGetsAMasterWhenItIsTrained() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            Parameter parameter =
                    new Parameter("w", scope.tensor(Memory.BASE, DType.BF16, 2).set(1, 2));
            assertThat(parameter.trainable()).isFalse();
            assertThat(parameter.best()).isSameAs(parameter.value());
            parameter.train(scope);
            assertThat(parameter.master().dtype()).isEqualTo(DType.F32);
            assertThat(parameter.master().floats()).containsExactly(1, 2);
            assertThat(parameter.computeCopy()).isSameAs(parameter.value());
            parameter.master().set(3, 4);
            parameter.refreshValue();
            assertThat(parameter.value().floats()).containsExactly(3, 4);
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "BF16"})
    void columnsAreOldAfterARefresh(DType dtype) {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            Tensor original = scope.tensor(Memory.BASE, dtype, 2, 1);
            Parameter parameter = new Parameter("d", scope.tensor(Memory.BASE, dtype, 2, 1))
                    .train(scope)
                    .withColumns(new AdamWParameters.Columns(
                            scope.weight(scope.tensor(Memory.BASE, dtype, 2, 3)),
                            scope.tensor(Memory.BASE, DType.I64, 1),
                            original,
                            1));
            parameter.movedIntoColumns();
            assertThat(parameter.takeInColumns()).isTrue();
            for (Runnable refresh : new Runnable[] {parameter::refreshValue, parameter::refreshMaster}) {
                parameter.movedIntoColumns();
                refresh.run();
                assertThat(parameter.takeInColumns()).isFalse();
            }
        }
    }

    @Test
    void anFp32ParameterIsItsOwnMaster() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            Parameter parameter = new Parameter("w", scope.tensor(Memory.BASE, DType.F32, 2)).train(scope);
            assertThat(parameter.master()).isSameAs(parameter.value());
            assertThat(parameter.computeCopy()).isNull();
            parameter.gradient().set(5, 6);
            parameter.zeroGradient();
            assertThat(parameter.gradient().floats()).containsExactly(0, 0);
        }
    }
}
