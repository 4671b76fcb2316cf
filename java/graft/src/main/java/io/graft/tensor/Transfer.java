package io.graft.tensor;

import static io.graft.binding.Native.graft_tensor_copy;
import static io.graft.binding.Native.graft_tensor_download;
import static io.graft.binding.Native.graft_tensor_upload;

import io.graft.binding.Status;
import java.util.Arrays;
import org.bytedeco.javacpp.DoublePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;

/**
 * Moves elements between Java arrays and tensors, and between tensors of a device and of its host. Where type, layout or
 * device differ, a contiguous tensor of the array's type stands between them and the library's own copy converts. For
 * tests, inputs, files and reports, not for the inner loop.
 */
final class Transfer {
    private Transfer() {}

    private interface Move {
        void run(Pointer memory);
    }

    static void write(Tensor tensor, float[] values) {
        requireFloat(tensor, "set");
        write(tensor, DType.F32, values.length, memory -> new FloatPointer(memory).put(values));
    }

    static void write(Tensor tensor, double[] values) {
        requireFloat(tensor, "set");
        write(tensor, DType.F64, values.length, memory -> new DoublePointer(memory).put(values));
    }

    static void write(Tensor tensor, int[] values) {
        if (tensor.dtype().isFloat()) {
            write(tensor, Arrays.stream(values).asDoubleStream().toArray());
        } else {
            write(tensor, DType.I32, values.length, memory -> new IntPointer(memory).put(values));
        }
    }

    static void write(Tensor tensor, long[] values) {
        if (tensor.dtype().isFloat()) {
            write(tensor, Arrays.stream(values).asDoubleStream().toArray());
        } else {
            write(tensor, DType.I64, values.length, memory -> new LongPointer(memory).put(values));
        }
    }

    static float[] floats(Tensor tensor) {
        return floats(tensor, new float[length(tensor)]);
    }

    static float[] floats(Tensor tensor, float[] values) {
        requireFloat(tensor, "floats");
        if (values.length != tensor.elements()) {
            throw new IllegalArgumentException("floats: an array of " + values.length + " for the " + tensor.elements()
                    + " elements of " + tensor);
        }
        read(tensor, DType.F32, memory -> new FloatPointer(memory).get(values));
        return values;
    }

    static double[] doubles(Tensor tensor) {
        requireFloat(tensor, "doubles");
        double[] values = new double[length(tensor)];
        read(tensor, DType.F64, memory -> new DoublePointer(memory).get(values));
        return values;
    }

    static int[] ints(Tensor tensor) {
        requireInteger(tensor, "ints");
        int[] values = new int[length(tensor)];
        read(tensor, DType.I32, memory -> new IntPointer(memory).get(values));
        return values;
    }

    static long[] longs(Tensor tensor) {
        requireInteger(tensor, "longs");
        long[] values = new long[length(tensor)];
        read(tensor, DType.I64, memory -> new LongPointer(memory).get(values));
        return values;
    }

    private static void write(Tensor tensor, DType arrayType, int length, Move move) {
        Context context = tensor.scope().context();
        synchronized (context) {
            Tensor.pointer(context, tensor);
            if (length != tensor.elements()) {
                throw new IllegalArgumentException(
                        "set: " + length + " values given for the " + tensor.elements() + " elements of " + tensor);
            }
            if (length == 0) {
                return;
            }
            if (holdsArray(tensor, arrayType)) {
                move.run(memory(tensor));
                return;
            }
            try (Scope staging = context.host().scope()) {
                Tensor values = like(tensor, arrayType, staging);
                move.run(memory(values));
                upload(values, tensor);
            }
        }
    }

    private static void read(Tensor tensor, DType arrayType, Move move) {
        Context context = tensor.scope().context();
        synchronized (context) {
            Tensor.pointer(context, tensor);
            context.synchronize();
            if (tensor.elements() == 0) {
                return;
            }
            if (holdsArray(tensor, arrayType)) {
                move.run(memory(tensor));
                return;
            }
            try (Scope staging = context.host().scope()) {
                Tensor values = like(tensor, arrayType, staging);
                download(tensor, values);
                move.run(memory(values));
            }
        }
    }

    private static boolean holdsArray(Tensor tensor, DType arrayType) {
        return tensor.dtype() == arrayType
                && tensor.isContiguous()
                && tensor.scope().context().device().isCpu();
    }

    /** See {@link Tensor#upload}: the host converts, and the device gets its own type without gaps. */
    static void upload(Tensor from, Tensor to) {
        Context context = to.scope().context();
        synchronized (context) {
            if (context.device().isCpu()) {
                copy(context, from, to);
                return;
            }
            requireSameShape("upload", from, to);
            try (Scope scope = context.host().scope();
                    Scope deviceScope = context.scope()) {
                Tensor values = from;
                if (from.dtype() != to.dtype() || !from.isContiguous()) {
                    values = like(to, to.dtype(), scope);
                    copy(context.host(), from, values);
                }
                Tensor dense = to.isContiguous() ? to : like(to, to.dtype(), deviceScope);
                Status.check(graft_tensor_upload(
                        context.pointer(), Tensor.pointer(context, dense), hostMemory(context, values), bytes(dense)));
                if (dense != to) {
                    copy(context, dense, to);
                }
            }
        }
    }

    /** See {@link Tensor#download}. */
    static void download(Tensor from, Tensor to) {
        Context context = from.scope().context();
        synchronized (context) {
            if (context.device().isCpu()) {
                copy(context, from, to);
                return;
            }
            requireSameShape("download", from, to);
            try (Scope scope = context.host().scope();
                    Scope deviceScope = context.scope()) {
                Tensor dense = from;
                if (!from.isContiguous()) {
                    dense = like(from, from.dtype(), deviceScope);
                    copy(context, from, dense);
                }
                boolean direct = from.dtype() == to.dtype() && to.isContiguous();
                Tensor values = direct ? to : like(from, from.dtype(), scope);
                Status.check(graft_tensor_download(
                        context.pointer(), Tensor.pointer(context, dense), hostMemory(context, values), bytes(dense)));
                if (!direct) {
                    copy(context.host(), values, to);
                }
            }
        }
    }

    private static void requireSameShape(String method, Tensor from, Tensor to) {
        if (!Arrays.equals(from.shape(), to.shape())) {
            throw new IllegalArgumentException(method + ": " + from + " and " + to + " are of different shapes");
        }
    }

    private static Pointer memory(Tensor tensor) {
        return Tensor.pointer(tensor.scope().context(), tensor).data();
    }

    private static Pointer hostMemory(Context context, Tensor values) {
        return Tensor.pointer(context.host(), values).data();
    }

    private static long bytes(Tensor tensor) {
        return tensor.elements() * tensor.dtype().bytes();
    }

    private static Tensor like(Tensor tensor, DType dtype, Scope scope) {
        return scope.tensor(Memory.WORKSPACE, dtype, tensor.shape());
    }

    private static void copy(Context context, Tensor from, Tensor to) {
        Status.check(graft_tensor_copy(context.pointer(), Tensor.pointer(context, from), Tensor.pointer(context, to)));
    }

    private static int length(Tensor tensor) {
        return Math.toIntExact(tensor.elements());
    }

    private static void requireFloat(Tensor tensor, String method) {
        if (!tensor.dtype().isFloat()) {
            throw new IllegalArgumentException(method + ": " + tensor + " holds integers");
        }
    }

    private static void requireInteger(Tensor tensor, String method) {
        if (tensor.dtype().isFloat()) {
            throw new IllegalArgumentException(method + ": " + tensor + " holds floats");
        }
    }
}
