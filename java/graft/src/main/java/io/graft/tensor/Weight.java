package io.graft.tensor;

import static io.graft.binding.Native.graft_weight_destroy;

import io.graft.binding.Status;
import io.graft.binding.graft_tensor;
import io.graft.binding.graft_weight;
import java.util.Arrays;

/**
 * The weight W [n, k] (out, in) of a linear layer. A border of R leaves room behind the columns and below the rows, where
 * an adapter of rank up to R is packed, so that layer and adapter are one matrix product.
 */
public final class Weight extends Handle {
    /** How a weight is stored. */
    public enum Kind {
        /** A matrix, with or without a border. */
        DENSE,
        /** 4-bit codes and scales ({@link io.graft.ops.Nf4}): frozen, without a border. */
        NF4,
        /** Codes into a trained table ({@link io.graft.ops.Sketch}), without a border. */
        SKETCH
    }

    private final graft_weight handle;
    private final Kind kind;
    private final DType dtype;
    private final long n;
    private final long k;
    private final int border;
    private Tensor matrix;

    Weight(Scope scope, graft_weight handle, Owner root) {
        super(scope, root);
        this.handle = handle;
        this.kind = Kind.values()[handle.kind()];
        this.dtype = DType.of(handle.storage().dtype());
        this.n = handle.n();
        this.k = handle.k();
        this.border = handle.border();
        scope.children().add(this);
    }

    /** How W is stored. */
    public Kind kind() {
        return kind;
    }

    /** The type of W's elements in memory, of a code where it is not dense. */
    public DType dtype() {
        return dtype;
    }

    /** Out features. */
    public long n() {
        return n;
    }

    /** In features. */
    public long k() {
        return k;
    }

    /** The highest rank that the border has room for. */
    public int border() {
        return border;
    }

    /** W itself [n, k], without the border: one view, made on first use, which closes with the weight. Dense only. */
    public Tensor matrix() {
        synchronized (scope().context()) {
            checkOpen();
            if (kind != Kind.DENSE) {
                throw new IllegalStateException("Weight.matrix: W is " + kind + ", not a matrix in memory");
            }
            if (matrix == null) {
                graft_tensor storage = handle.storage();
                matrix = scope().view(storage, owner(), 0, new long[] {n, k}, new long[] {storage.stride(0), 1});
            }
            return matrix;
        }
    }

    /** The C handle for a call on this context, null for null: the library refuses a null in its own words. */
    public static graft_weight pointer(Context context, Weight weight) {
        if (weight == null) {
            return null;
        }
        weight.checkUsable(context);
        return weight.handle;
    }

    @Override
    void destroy() {
        if (matrix != null) {
            matrix.close();
        }
        Status.check(graft_weight_destroy(scope().context().pointer(), handle));
    }

    @Override
    public String toString() {
        return "Weight " + Arrays.toString(new long[] {n, k}) + " " + (kind == Kind.DENSE ? dtype : kind);
    }
}
