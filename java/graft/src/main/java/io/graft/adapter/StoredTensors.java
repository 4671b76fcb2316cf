package io.graft.adapter;

import io.graft.io.SafetensorsFile;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/** The tensors of an adapter's file as arrays, for sums of adapters that no model has loaded. */
final class StoredTensors {
    /**
     * @param dtype what they are written as
     * @param floats the values, row-major; null for integers
     * @param integers the values, row-major; null for floats
     */
    record Values(DType dtype, long[] shape, float[] floats, long[] integers) {
        static Values of(float[] floats, long... shape) {
            return new Values(DType.F32, shape, floats, null);
        }

        boolean sameShape(Values other) {
            return Arrays.equals(shape, other.shape) && (floats == null) == (other.floats == null);
        }
    }

    private StoredTensors() {}

    /** All tensors of an adapter's folder, floats as fp32. */
    static Map<String, Values> read(Context context, Path folder) {
        Map<String, Values> all = new LinkedHashMap<>();
        try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(PeftAdapter.FILE))) {
            for (String name : file.names()) {
                long[] shape = file.shape(name);
                long[] held = shape.length == 0 ? new long[] {1} : shape;
                boolean isFloat = file.dtype(name).isFloat();
                DType dtype = isFloat ? DType.F32 : file.dtype(name);
                try (Scope scope = context.scope()) {
                    Tensor tensor = scope.tensor(Memory.WORKSPACE, isFloat ? dtype : DType.I64, held);
                    file.read(name, tensor);
                    float[] floats = isFloat ? tensor.floats() : null;
                    all.put(name, new Values(dtype, held, floats, isFloat ? null : tensor.longs()));
                }
            }
        }
        return all;
    }

    /** The arrays as tensors of a scope, to be written. */
    static Map<String, Tensor> tensors(Scope scope, Map<String, Values> all) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        all.forEach((name, values) -> {
            Tensor tensor = scope.tensor(Memory.WORKSPACE, values.dtype(), values.shape());
            tensors.put(name, values.floats() != null ? tensor.set(values.floats()) : tensor.set(values.integers()));
        });
        return tensors;
    }
}
