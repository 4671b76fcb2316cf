package io.graft.ops;

import io.graft.binding.graft_adamw_parameter;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.nio.ByteBuffer;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;

/**
 * The table of parameters that {@link AdamWStep#steps} moves at once: filled anew before each step, in memory of its own, so
 * that no step makes garbage.
 */
public final class AdamWParameters {
    /**
     * Columns of a weight that a parameter goes into: {@code W[:, indices] = original + scale · p} (PaCA).
     *
     * @param weight dense, [n, k]
     * @param indices [r], different from each other
     * @param original [n, r], of the weight's dtype
     */
    public record Columns(Weight weight, Tensor indices, Tensor original, double scale) {}

    /** What the entries point to, checked before each call: it may be closed meanwhile. */
    private static final int TENSORS = 9;

    /** why kept: the table is an address in it. */
    private final ByteBuffer memory;

    private final graft_adamw_parameter table;
    private final Tensor[] tensors;
    private final Weight[] weights;
    private int size;

    /** @param capacity the most parameters that it is asked to hold */
    public AdamWParameters(int capacity) {
        int bytes = Math.max(1, capacity) * new graft_adamw_parameter((Pointer) null).sizeof();
        memory = ByteBuffer.allocateDirect(bytes);
        table = new graft_adamw_parameter(new BytePointer(memory));
        tensors = new Tensor[capacity * TENSORS];
        weights = new Weight[capacity];
    }

    /** Parameters that it holds. */
    public int size() {
        return size;
    }

    public void clear() {
        size = 0;
    }

    /**
     * Appends a parameter; tensors as for {@link AdamWStep#step}, or {@link AdamWStep#step8bit} where the scales are not null.
     *
     * @param seed read where p is bf16: another one for each parameter and step
     * @param mScale null: moments in 32 bits
     * @param vScale null: moments in 32 bits
     * @param output null: none
     * @param columns what p is written into besides, with output null; null: nothing
     */
    public void add(
            Tensor g,
            double learningRate,
            double weightDecay,
            long seed,
            Tensor p,
            Tensor m,
            Tensor mScale,
            Tensor v,
            Tensor vScale,
            Tensor output,
            Columns columns) {
        int at = size * TENSORS;
        tensors[at] = g;
        tensors[at + 1] = p;
        tensors[at + 2] = m;
        tensors[at + 3] = mScale;
        tensors[at + 4] = v;
        tensors[at + 5] = vScale;
        tensors[at + 6] = output;
        tensors[at + 7] = columns == null ? null : columns.original();
        tensors[at + 8] = columns == null ? null : columns.indices();
        weights[size] = columns == null ? null : columns.weight();
        table.position(size)
                .lr(learningRate)
                .weight_decay(weightDecay)
                .seed(seed)
                .scale(columns == null ? 0 : columns.scale());
        size++;
    }

    /** The C table for a call on this context, null for null; for the ops, which hold the context's monitor. */
    static graft_adamw_parameter pointer(Context context, AdamWParameters parameters) {
        return parameters == null ? null : parameters.pointer(context);
    }

    /** Its entries; of null one, so that the library misses the table. */
    static long count(AdamWParameters parameters) {
        return parameters == null ? 1 : parameters.size;
    }

    private graft_adamw_parameter pointer(Context context) {
        for (int i = 0, at = 0; i < size; i++, at += TENSORS) {
            table.position(i)
                    .g(Tensor.pointer(context, tensors[at]))
                    .p(Tensor.pointer(context, tensors[at + 1]))
                    .m(Tensor.pointer(context, tensors[at + 2]))
                    .m_scale(Tensor.pointer(context, tensors[at + 3]))
                    .v(Tensor.pointer(context, tensors[at + 4]))
                    .v_scale(Tensor.pointer(context, tensors[at + 5]))
                    .p_out(Tensor.pointer(context, tensors[at + 6]))
                    .original(Tensor.pointer(context, tensors[at + 7]))
                    .indices(Tensor.pointer(context, tensors[at + 8]))
                    .w(Weight.pointer(context, weights[i]));
        }
        return table.position(0);
    }
}
