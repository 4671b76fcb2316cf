package io.graft.tensor;

import static io.graft.binding.Native.graft_tensor_copy;

import io.graft.binding.Status;
import java.util.Arrays;
import org.bytedeco.javacpp.DoublePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;

/**
 * Moves elements between Java arrays and tensors. Where type or layout differ, a contiguous tensor of the array's type
 * stands between them and the library's own copy converts. For tests, inputs and reports, not for the inner loop.
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
        requireFloat(tensor, "floats");
        float[] values = new float[length(tensor)];
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
            if (tensor.dtype() == arrayType && tensor.isContiguous()) {
                move.run(Tensor.pointer(context, tensor).data());
                return;
            }
            try (Tensor staging = staging(tensor, arrayType)) {
                move.run(Tensor.pointer(context, staging).data());
                copy(context, staging, tensor);
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
            if (tensor.dtype() == arrayType && tensor.isContiguous()) {
                move.run(Tensor.pointer(context, tensor).data());
                return;
            }
            try (Tensor staging = staging(tensor, arrayType)) {
                copy(context, tensor, staging);
                move.run(Tensor.pointer(context, staging).data());
            }
        }
    }

    private static Tensor staging(Tensor tensor, DType arrayType) {
        return tensor.scope().tensor(Memory.WORKSPACE, arrayType, tensor.shape());
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
