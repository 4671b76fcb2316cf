package io.graft.nn;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import org.junit.jupiter.api.Test;

class PrecisionTest {
    @Test
    void rowsHaveRoomForTheBorderAndStartOnACacheLine() {
        assertThat(Precision.pitch(48, 0)).isEqualTo(64);
        assertThat(Precision.pitch(64, 0)).isEqualTo(64);
        assertThat(Precision.pitch(64, 1)).isEqualTo(96);
        assertThat(Precision.pitch(60, 16)).isEqualTo(96);
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            Tensor activation = Precision.activation(scope, DType.BF16, 3, 60, 16);
            assertThat(activation.shape()).containsExactly(3, 60);
            assertThat(activation.rows(1, 2).address() % 64).isZero();
        }
    }

    @Test
    void sumsAreWiderThanNarrowTypes() {
        assertThat(Precision.accumulator(DType.BF16)).isEqualTo(DType.F32);
        assertThat(Precision.accumulator(DType.F32)).isEqualTo(DType.F32);
        assertThat(Precision.accumulator(DType.F64)).isEqualTo(DType.F64);
    }
}
