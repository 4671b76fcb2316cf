package io.graft.io;

import io.graft.tensor.DType;

/**
 * The element types of the safetensors format, in its own order, and what Graft makes of them.
 *
 * <p>All types are known to the header's checks, so that a file may hold tensors that Graft cannot compute with; only
 * reading such a tensor is refused. The order counts: writers sort by it, widest first.
 */
public enum SafetensorsType {
    BOOL(8, DType.U8),
    F4(4, null),
    F6_E2M3(6, null),
    F6_E3M2(6, null),
    U8(8, DType.U8),
    I8(8, null),
    F8_E5M2(8, null),
    F8_E4M3(8, null),
    F8_E8M0(8, null),
    F8_E4M3FNUZ(8, null),
    F8_E5M2FNUZ(8, null),
    I16(16, null),
    U16(16, null),
    F16(16, DType.F16),
    BF16(16, DType.BF16),
    I32(32, DType.I32),
    U32(32, null),
    F32(32, DType.F32),
    C64(64, null),
    F64(64, DType.F64),
    I64(64, DType.I64),
    U64(64, null);

    private final int bits;
    private final DType dtype;

    SafetensorsType(int bits, DType dtype) {
        this.bits = bits;
        this.dtype = dtype;
    }

    int bits() {
        return bits;
    }

    /** The same type in Graft, or null where it has none. */
    DType dtype() {
        return dtype;
    }

    static SafetensorsType of(DType dtype) {
        // why: a U8 tensor is bytes, not truth values, so it may not become BOOL, the first with that dtype.
        return valueOf(dtype.name());
    }

    /** The type called {@code name}, or null. */
    static SafetensorsType named(String name) {
        for (SafetensorsType type : values()) {
            if (type.name().equals(name)) {
                return type;
            }
        }
        return null;
    }
}
