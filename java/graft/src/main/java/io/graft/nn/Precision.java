package io.graft.nn;

import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;

/** Which dtype goes where, and how wide a row of an activation is laid out. */
public final class Precision {
    /** why: 32 elements are 64 bytes in bf16, so that each row of every dtype starts on a cache line. */
    private static final long ALIGNMENT = 32;

    private static final long CROWDED = 1024;

    private Precision() {}

    /** The dtype of gradients, statistics and losses: fp64 for fp64, else fp32. */
    public static DType accumulator(DType compute) {
        return compute == DType.F64 ? DType.F64 : DType.F32;
    }

    /** The border for adapters of so many ranks: with 16-bit types whole tiles, which some processors multiply at once. */
    public static int border(DType dtype, int ranks) {
        return dtype.bytes() == 2 ? (int) pitch(ranks, 0) : ranks;
    }

    /** The number of elements from one row to the next, for rows of this width with a border behind them. */
    public static long pitch(long width, int border) {
        return (width + border + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    /** An activation [rows, width] whose rows have room for a border, as the bordered LoRA path wants. */
    public static Tensor activation(Scope scope, DType dtype, long rows, long width, int border) {
        long pitch = pitch(width, border);
        // why: bf16 rows a large power of two apart share few sets of the cache, which costs a product up to a fifth.
        long apart = dtype.bytes() == 2 && pitch * 2 % CROWDED == 0 ? ALIGNMENT : 0;
        return scope.matrix(Memory.ACTIVATION, dtype, rows, width, pitch + apart);
    }
}
