package io.graft.io;

import io.graft.tensor.DType;
import io.graft.tensor.Tensor;
import java.util.Map;
import java.util.Set;

/** Named tensors on disk: one {@link SafetensorsFile} or the many of a {@link Checkpoint}. */
public interface TensorSource extends AutoCloseable {
    /** The names of all tensors, in the order of their place on disk. */
    Set<String> names();

    /** Whether there is a tensor of that name. */
    default boolean contains(String name) {
        return names().contains(name);
    }

    /**
     * The element type on disk.
     *
     * @throws SafetensorsException if there is no such tensor, or its type is none of Graft's
     */
    DType dtype(String name);

    /**
     * The shape on disk; empty for a scalar.
     *
     * @throws SafetensorsException if there is no such tensor
     */
    long[] shape(String name);

    /** The free text that came with the tensors; for many files that of the first which has it. */
    Map<String, String> metadata();

    /**
     * Fills {@code into} with a tensor from disk, converted to its dtype (floats to floats, integers to integers) and
     * laid out by its strides. The shape must be the same; a scalar also fits the shape [1]. At most a few MiB are held
     * besides {@code into}.
     *
     * @throws SafetensorsException if there is no such tensor, its type is none of Graft's, the shapes differ, or the
     *     file has been cut short since it was opened; {@code into} is then undefined
     */
    void read(String name, Tensor into);

    /** Closes the files; idempotent. */
    @Override
    void close();
}
