package io.graft.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.binding.Native;
import java.lang.reflect.Field;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The Java enums stand in the order of the C ones. */
class CodesTest {
    @ParameterizedTest
    @EnumSource(DType.class)
    void dtypeHasTheCodeAndSizeOfTheLibrary(DType dtype) throws ReflectiveOperationException {
        Field code = Native.class.getField("GRAFT_DTYPE_" + dtype);
        assertThat(dtype.code()).isEqualTo(code.getInt(null));
        assertThat(DType.of(dtype.code())).isEqualTo(dtype);
        assertThat((long) dtype.bytes()).isEqualTo(Native.graft_dtype_bytes(dtype.code()));
    }

    @ParameterizedTest
    @EnumSource(Memory.class)
    void memoryHasTheCodeOfTheLibrary(Memory memory) throws ReflectiveOperationException {
        Field code = Native.class.getField("GRAFT_MEMORY_" + memory);
        assertThat(memory.ordinal()).isEqualTo(code.getInt(null));
    }

    @Test
    void noCategoryIsMissing() {
        assertThat(Memory.values()).hasSize(Native.GRAFT_MEMORY_CATEGORIES);
    }
}
