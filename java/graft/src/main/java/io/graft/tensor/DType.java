package io.graft.tensor;

/** Element types, in the order of {@code graft_dtype}. {@code F64} is served by the reference implementations only. */
public enum DType {
    F32(4, true),
    BF16(2, true),
    F16(2, true),
    F64(8, true),
    I32(4, false),
    I64(8, false),
    U8(1, false);

    private static final DType[] VALUES = values();

    private final int bytes;
    private final boolean isFloat;

    DType(int bytes, boolean isFloat) {
        this.bytes = bytes;
        this.isFloat = isFloat;
    }

    /** Bytes of one element. */
    public int bytes() {
        return bytes;
    }

    /** Whether this is a floating-point type. */
    public boolean isFloat() {
        return isFloat;
    }

    static DType of(int code) {
        return VALUES[code];
    }

    int code() {
        return ordinal();
    }
}
