package io.graft.ops;

import static io.graft.binding.Native.graft_tensor_add;
import static io.graft.binding.Native.graft_tensor_copy;
import static io.graft.binding.Native.graft_tensor_fill;
import static io.graft.binding.Native.graft_tensor_transpose;

import io.graft.binding.Status;
import io.graft.tensor.Context;
import io.graft.tensor.Tensor;

/** Copy with conversion, fill, add and transpose. */
public final class TensorOps {
    private TensorOps() {}

    /**
     * y = x in the type of y, round to nearest even: one shape, any strides; floats to floats, integers to integers.
     */
    public static void copy(Context context, Tensor x, Tensor y) {
        synchronized (context) {
            Status.check(graft_tensor_copy(context.pointer(), Tensor.pointer(context, x), Tensor.pointer(context, y)));
        }
    }

    /** Every element of y = value. */
    public static void fill(Context context, double value, Tensor y) {
        synchronized (context) {
            Status.check(graft_tensor_fill(context.pointer(), value, Tensor.pointer(context, y)));
        }
    }

    /** y += x: floats of one shape, any strides. */
    public static void add(Context context, Tensor x, Tensor y) {
        synchronized (context) {
            Status.check(graft_tensor_add(context.pointer(), Tensor.pointer(context, x), Tensor.pointer(context, y)));
        }
    }

    /** y [C, R] = xᵀ of x [R, C], floats of one type. */
    public static void transpose(Context context, Tensor x, Tensor y) {
        synchronized (context) {
            Status.check(
                    graft_tensor_transpose(context.pointer(), Tensor.pointer(context, x), Tensor.pointer(context, y)));
        }
    }
}
