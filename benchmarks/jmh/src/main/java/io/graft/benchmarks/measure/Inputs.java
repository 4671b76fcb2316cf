package io.graft.benchmarks.measure;

import io.graft.nn.Precision;
import io.graft.ops.Nf4;
import io.graft.ops.Random;
import io.graft.ops.Sketch;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.function.BiConsumer;
import java.util.function.Function;

/**
 * The tensors of one contender, in a context of its own, so that the counters of the context are its memory. Random
 * values depend on the seed and the shape alone: contenders that name the same seeds get the same inputs.
 */
public final class Inputs implements AutoCloseable {
    private static final long FROZEN = 90;

    private final Context context;
    private final Scope scope;
    private final DType dtype;
    private final boolean planned;

    /** @param planned whether the context is one that plans */
    Inputs(Context context, DType dtype, boolean planned) {
        this.context = context;
        this.scope = context.scope();
        this.dtype = dtype;
        this.planned = planned;
    }

    public Context context() {
        return context;
    }

    public Scope scope() {
        return scope;
    }

    /** The type that the contender computes in. */
    public DType dtype() {
        return dtype;
    }

    /** Whether nothing is computed and all values are zero. */
    public boolean planned() {
        return planned;
    }

    /** An activation with values in [-1, 1). */
    public Tensor random(long seed, long... shape) {
        return fill(seed, 1, scope.tensor(Memory.ACTIVATION, dtype, shape));
    }

    /** Like {@link #random}, with {@code border} unused elements behind each row. */
    public Tensor bordered(long seed, long rows, long columns, int border) {
        return fill(seed, 1, scope.matrix(Memory.ACTIVATION, dtype, rows, columns, columns + border));
    }

    /** A zeroed activation [rows, columns] whose rows lie as the model layer lays them. */
    public Tensor activation(long rows, long columns) {
        return Precision.activation(scope, dtype, rows, columns, 0);
    }

    /** A zeroed activation: what a call writes or keeps. */
    public Tensor output(long... shape) {
        return scope.tensor(Memory.ACTIVATION, dtype, shape);
    }

    /** A zeroed activation of some type. */
    public Tensor output(DType type, long... shape) {
        return scope.tensor(Memory.ACTIVATION, type, shape);
    }

    /** A trained parameter: f32, values in [-bound, bound). */
    public Tensor parameter(long seed, double bound, long... shape) {
        return fill(seed, bound, scope.tensor(Memory.ADAPTER, DType.F32, shape));
    }

    /** A zeroed gradient: f32. */
    public Tensor gradient(long... shape) {
        return scope.tensor(Memory.GRADIENT, DType.F32, shape);
    }

    /** Places below {@code limit}, ascending and evenly spread. */
    public Tensor indices(int count, long limit) {
        int[] values = new int[count];
        for (int i = 0; i < count; i++) {
            values[i] = Math.toIntExact(i * limit / count);
        }
        return scope.tensor(Memory.ADAPTER, DType.I32, count).set(values);
    }

    /** Token ids or labels below {@code limit}. */
    public Tensor ids(int count, long limit) {
        return scope.tensor(Memory.ACTIVATION, DType.I32, count)
                .set(new java.util.Random(1)
                        .ints(count, 0, Math.toIntExact(limit))
                        .toArray());
    }

    /** A frozen dense weight with a border for so many ranks, scaled so that products stay near 1. */
    public Weight frozen(long n, long k, int ranks) {
        Weight w = scope.weight(Memory.BASE, dtype, n, k, Precision.border(dtype, ranks));
        fill(FROZEN, Math.sqrt(3.0 / k), w.matrix());
        return w;
    }

    /** The same weight in NF4, double quantised. */
    public Weight nf4(long n, long k) {
        return coded(
                scope.nf4(Memory.BASE, n, k, true), making -> making.nf4(Memory.WORKSPACE, n, k, true), (making, w) -> {
                    Tensor matrix = making.tensor(Memory.WORKSPACE, dtype, n, k);
                    double bound = Math.sqrt(3.0 / k);
                    Random.uniform(context.host(), FROZEN, 0, -bound, bound, matrix);
                    Nf4.quantize(context.host(), matrix, w);
                });
    }

    /** A sketch of 4 bits and 4 groups with random codes and table. */
    public Weight sketch(Tensor table, long k) {
        Weight sketch = scope.sketch(Memory.BASE, table, k);
        if (planned) {
            return sketch;
        }
        return coded(sketch, making -> host(making, table, k), (making, w) -> {
            byte[] random = new byte[Math.toIntExact(table.size(0) * k)];
            new java.util.Random(1).nextBytes(random);
            for (int i = 0; i < random.length; i++) {
                random[i] &= (byte) (table.size(2) - 1);
            }
            Tensor codes = making.tensor(Memory.WORKSPACE, DType.U8, table.size(0), k);
            codes.buffer().put(random);
            Sketch.pack(context.host(), codes, w);
        });
    }

    private static Weight host(Scope making, Tensor table, long k) {
        return making.sketch(Memory.WORKSPACE, making.tensor(Memory.WORKSPACE, DType.F32, table.shape()), k);
    }

    /** Fills a weight of codes, which the CPU makes: on a GPU they are made in one of the same form, and go there. */
    private Weight coded(Weight w, Function<Scope, Weight> like, BiConsumer<Scope, Weight> fill) {
        try (Scope making = context.host().scope()) {
            boolean here = context.device().isCpu();
            Weight made = here ? w : like.apply(making);
            fill.accept(making, made);
            if (!here) {
                w.upload(made);
            }
        }
        return w;
    }

    private Tensor fill(long seed, double bound, Tensor tensor) {
        Random.uniform(context, seed, 0, -bound, bound, tensor);
        return tensor;
    }

    @Override
    public void close() {
        context.close();
    }
}
