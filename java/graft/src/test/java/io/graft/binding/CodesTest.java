package io.graft.binding;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The Java enums stand in the order of the C ones, and every status has its exception. */
class CodesTest {
    @ParameterizedTest
    @EnumSource(Status.class)
    void statusHasTheNameAndCodeOfTheLibrary(Status status) {
        assertThat(Native.graft_status_name(status.ordinal()).getString()).isEqualTo("GRAFT_" + status);
        assertThat(Status.of(status.ordinal())).isEqualTo(status);
    }

    @Test
    void unknownCodesAreDefects() {
        assertThat(Status.of(99)).isEqualTo(Status.INTERNAL);
        assertThat(Status.of(-1)).isEqualTo(Status.INTERNAL);
    }

    @ParameterizedTest
    @EnumSource(value = Status.class, mode = EnumSource.Mode.EXCLUDE, names = "OK")
    void everyFailureIsAnExceptionOfItsStatus(Status status) {
        GraftException exception = GraftException.of(status, "graft_some_function: text");
        assertThat(exception.status()).isEqualTo(status);
        assertThat(exception).hasMessage("graft_some_function: text");
    }

    @Test
    void exceptionsAreTyped() {
        assertThat(GraftException.of(Status.INVALID_ARGUMENT, "")).isInstanceOf(GraftArgumentException.class);
        assertThat(GraftException.of(Status.SHAPE_MISMATCH, "")).isInstanceOf(GraftShapeException.class);
        assertThat(GraftException.of(Status.UNSUPPORTED, "")).isInstanceOf(GraftUnsupportedException.class);
        assertThat(GraftException.of(Status.OUT_OF_MEMORY, "")).isInstanceOf(GraftOutOfMemoryException.class);
        assertThat(GraftException.of(Status.DEVICE_UNAVAILABLE, "")).isInstanceOf(GraftDeviceException.class);
        assertThat(GraftException.of(Status.DEVICE_ERROR, "")).isInstanceOf(GraftDeviceException.class);
        assertThat(GraftException.of(Status.INTERNAL, "")).isInstanceOf(GraftInternalException.class);
    }

    @Test
    void okPassesAndFailuresCarryTheTextOfTheLibrary() {
        assertThatCode(() -> Status.check(Native.GRAFT_OK)).doesNotThrowAnyException();
        int code = Native.graft_context_create(Native.GRAFT_DEVICE_CPU, -1, new graft_context());
        assertThatThrownBy(() -> Status.check(code))
                .isInstanceOf(GraftArgumentException.class)
                .hasMessageStartingWith("graft_context_create: ")
                .hasMessageContaining("-1");
    }
}
