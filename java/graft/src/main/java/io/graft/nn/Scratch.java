package io.graft.nn;

import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;

/**
 * Buffers that all blocks share in turn: nothing in them outlives one block. A block whose projections need their inputs
 * in backward has its own h and act in its tape.
 */
final class Scratch {
    /** Output of a norm [T, hidden], input of the projections behind it. */
    final Tensor h;
    /** silu(gate) · up [T, intermediate], input of the down-projection. */
    final Tensor act;

    /** Gradient of h. */
    final Tensor dh;
    /** Gradient of act. */
    final Tensor dact;
    /** Gradient of the attention output, [T, heads · headDim] and as heads. */
    final Tensor dout;

    final Tensor doutHeads;
    final Tensor dq;
    final Tensor dqHeads;
    final Tensor dk;
    final Tensor dkHeads;
    final Tensor dv;
    final Tensor dvHeads;
    /** Output of the projection that makes q, k and v, its gradient, and where they go; null where there are three. */
    final Tensor fused;

    final Tensor dfused;
    final FusedHeads dfusedHeads;
    /** Numbers of a row of the residual stream. */
    final int hidden;

    private final int border;
    private final boolean training;
    private Tensor normed;
    private Tensor dnormed;
    private Tensor[] dqParts;
    private Tensor[] dkParts;

    /** @param fusedGroups of a projection that makes q, k and v; 0 where there are three */
    Scratch(
            Scope scope,
            DType dtype,
            BlockShape shape,
            int batch,
            int length,
            int border,
            boolean training,
            int fusedGroups) {
        hidden = shape.hidden();
        this.border = border;
        this.training = training;
        long rows = (long) batch * length;
        h = Precision.activation(scope, dtype, rows, shape.hidden(), border);
        act = Precision.activation(scope, dtype, rows, shape.intermediate(), border);
        long width = shape.queryWidth() + 2L * shape.keyWidth();
        fused = fusedGroups > 0 ? Precision.activation(scope, dtype, rows, width, 0) : null;
        dfused = fusedGroups > 0 && training ? Precision.activation(scope, dtype, rows, width, border) : null;
        if (training) {
            dh = Precision.activation(scope, dtype, rows, shape.hidden(), 0);
            dact = Precision.activation(scope, dtype, rows, shape.intermediate(), 0);
            dout = Precision.activation(scope, dtype, rows, shape.queryWidth(), 0);
            doutHeads = heads(dout, batch, length, shape.heads(), shape.headDim());
            dq = Precision.activation(scope, dtype, rows, shape.queryWidth(), border);
            dqHeads = heads(dq, batch, length, shape.heads(), shape.headDim());
            dk = Precision.activation(scope, dtype, rows, shape.keyWidth(), border);
            dkHeads = heads(dk, batch, length, shape.kvHeads(), shape.headDim());
            dv = Precision.activation(scope, dtype, rows, shape.keyWidth(), border);
            dvHeads = heads(dv, batch, length, shape.kvHeads(), shape.headDim());
        } else {
            dh = dact = dout = doutHeads = dq = dqHeads = dk = dkHeads = dv = dvHeads = null;
        }
        dfusedHeads = dfused == null ? null : new FusedHeads(dfused, dq, dk, dv, fusedGroups);
    }

    /** What a norm behind a half makes, and in training its gradient: made when first asked for. */
    Tensor normed(Scope scope, DType dtype) {
        if (normed == null) {
            normed = Precision.activation(scope, dtype, h.size(0), hidden, 0);
            dnormed = training ? Precision.activation(scope, dtype, h.size(0), hidden, border) : null;
        }
        return normed;
    }

    /** The gradient of what goes into a norm behind a half. */
    Tensor dnormed() {
        return dnormed;
    }

    /** dq head by head, made when first asked for. */
    Tensor[] dqParts(HeadNorm norm) {
        dqParts = dqParts == null ? norm.parts(dq) : dqParts;
        return dqParts;
    }

    /** dk likewise. */
    Tensor[] dkParts(HeadNorm norm) {
        dkParts = dkParts == null ? norm.parts(dk) : dkParts;
        return dkParts;
    }

    /** The view [B, T, H, D] of rows [B·T, H·D]. */
    static Tensor heads(Tensor rows, int batch, int length, int heads, int headDim) {
        long pitch = rows.stride(0);
        return rows.view(0, new long[] {batch, length, heads, headDim}, new long[] {length * pitch, pitch, headDim, 1});
    }

    /** Statistics in the accumulator's dtype. */
    static Tensor statistics(Scope scope, DType dtype, long... dims) {
        return scope.tensor(Memory.ACTIVATION, Precision.accumulator(dtype), dims);
    }

    /** What an attachment's forward keeps for its backward; null where there is none. */
    static Tensor kept(Scope scope, DType dtype, Projection projection, long rows) {
        Attachment part = projection.attachment();
        return part == null || part.kept() == 0 ? null : scope.tensor(Memory.ACTIVATION, dtype, rows, part.kept());
    }
}
