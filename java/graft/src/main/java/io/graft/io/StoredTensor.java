package io.graft.io;

import io.graft.tensor.DType;
import io.graft.tensor.Tensor;
import java.util.Arrays;

/**
 * A tensor of a safetensors file before its numbers are there.
 *
 * @param name path of the parameter
 * @param type of an element in the file
 * @param shape sizes of the dimensions; empty for a scalar
 */
public record StoredTensor(String name, SafetensorsType type, long... shape) {
    public StoredTensor {
        if (name.equals("__metadata__")) {
            throw new IllegalArgumentException("a tensor cannot be called __metadata__");
        }
    }

    /** @param dtype of an element in the file */
    public StoredTensor(String name, DType dtype, long... shape) {
        this(name, SafetensorsType.of(dtype), shape);
    }

    /** The entry for a tensor in memory. */
    static StoredTensor of(String name, Tensor tensor) {
        return new StoredTensor(name, tensor.dtype(), tensor.shape());
    }

    /** The type of an element, null where Graft has none such. */
    public DType dtype() {
        return type.dtype();
    }

    /** How many numbers it has. */
    public long elements() {
        return Arrays.stream(shape).reduce(1, Math::multiplyExact);
    }

    /** How many bytes it takes in the file. */
    public long bytes() {
        return Math.multiplyExact(elements(), type.bits()) / Byte.SIZE;
    }
}
