package io.graft.binding;

/** The status codes of the C functions, in the order of {@code graft_status}. */
public enum Status {
    OK,
    INVALID_ARGUMENT,
    SHAPE_MISMATCH,
    UNSUPPORTED,
    OUT_OF_MEMORY,
    DEVICE_UNAVAILABLE,
    DEVICE_ERROR,
    INTERNAL;

    private static final Status[] VALUES = values();

    /** The status of a C code; a code this library does not know is a defect and reads as {@link #INTERNAL}. */
    static Status of(int code) {
        return code >= 0 && code < VALUES.length ? VALUES[code] : INTERNAL;
    }

    /** Does nothing for {@code GRAFT_OK}, else throws the exception of the status with the library's own text. */
    public static void check(int code) {
        if (code != 0) {
            // why: the text is kept per thread by the library, so it must be read before any other call.
            throw GraftException.of(of(code), Native.graft_last_error().getString());
        }
    }
}
