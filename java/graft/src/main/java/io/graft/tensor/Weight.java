package io.graft.tensor;

import static io.graft.binding.Native.graft_weight_destroy;

import io.graft.binding.Status;
import io.graft.binding.graft_tensor;
import io.graft.binding.graft_weight;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;

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
    private final Map<String, Tensor> views = new LinkedHashMap<>();

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
        if (kind != Kind.DENSE) {
            throw new IllegalStateException("Weight.matrix: W is " + kind + ", not a matrix in memory");
        }
        return view("matrix", graft_weight::storage);
    }

    /** The codes of NF4 [n · k / 2] or of a sketch [n, groups, blocks of 64 columns, bytes], as graft/weight.h has them. */
    public Tensor codes() {
        if (kind == Kind.DENSE) {
            throw new IllegalStateException("Weight.codes: W is dense");
        }
        return view("codes", graft_weight::storage);
    }

    /** NF4: the scale of each 64 elements, F32, or U8 codes where {@link #nested}. */
    public Tensor absmax() {
        return nf4View("absmax", graft_weight::absmax);
    }

    /** NF4: whether the scales are quantised once more. */
    public boolean nested() {
        return kind == Kind.NF4 && handle.nested_absmax().rank() > 0;
    }

    /** NF4, double quantised: the scale of each 256 scales. */
    public Tensor nestedAbsmax() {
        return nf4View("nestedAbsmax", graft_weight::nested_absmax);
    }

    /** NF4, double quantised: what is added to all scales [1]. */
    public Tensor nestedOffset() {
        return nf4View("nestedOffset", graft_weight::nested_offset);
    }

    /**
     * Takes the codes, and NF4's scales, of a weight of the same form that lives in the {@linkplain Context#host() host} of
     * this one's context; a sketch's table is its owner's.
     */
    public void upload(Weight from) {
        codes().upload(from.codes());
        if (kind == Kind.NF4) {
            absmax().upload(from.absmax());
            if (nested()) {
                nestedAbsmax().upload(from.nestedAbsmax());
                nestedOffset().upload(from.nestedOffset());
            }
        }
    }

    /** Bytes that a product reads of W: the matrix without its border, or codes and scales. A sketch's table is its owner's. */
    public long bytes() {
        if (kind == Kind.DENSE) {
            return n * k * dtype().bytes();
        }
        long bytes = codes().elements();
        if (kind == Kind.NF4) {
            bytes += absmax().elements() * absmax().dtype().bytes();
            if (nested()) {
                bytes += nestedAbsmax().elements() * nestedAbsmax().dtype().bytes();
            }
        }
        return bytes;
    }

    private Tensor nf4View(String name, Function<graft_weight, graft_tensor> part) {
        if (kind != Kind.NF4 || part.apply(handle).rank() == 0) {
            throw new IllegalStateException("Weight." + name + ": " + this + " has none");
        }
        return view(name, part);
    }

    /** One view of each part, which closes with the weight; of a dense one without the border. */
    private Tensor view(String name, Function<graft_weight, graft_tensor> part) {
        synchronized (scope().context()) {
            checkOpen();
            Tensor view = views.get(name);
            if (view == null) {
                graft_tensor tensor = part.apply(handle);
                long[] shape = kind == Kind.DENSE ? new long[] {n, k} : new long[tensor.rank()];
                long[] strides = new long[shape.length];
                for (int i = 0; i < shape.length; i++) {
                    shape[i] = kind == Kind.DENSE ? shape[i] : tensor.shape(i);
                    strides[i] = tensor.stride(i);
                }
                view = scope().view(tensor, owner(), 0, shape, strides);
                views.put(name, view);
            }
            return view;
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
        views.values().forEach(Tensor::close);
        Status.check(graft_weight_destroy(scope().context().pointer(), handle));
    }

    @Override
    public String toString() {
        return "Weight " + Arrays.toString(new long[] {n, k}) + " " + (kind == Kind.DENSE ? dtype : kind);
    }
}
