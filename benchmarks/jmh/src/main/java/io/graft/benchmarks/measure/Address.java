package io.graft.benchmarks.measure;

import io.graft.tensor.Tensor;
import org.bytedeco.javacpp.Pointer;

/** Where a tensor is, on whatever device: for other libraries, which take it as theirs. */
public final class Address extends Pointer {
    private Address(long address) {
        this.address = address;
    }

    /** The first element of a tensor, which must stay open. */
    public static Address of(Tensor tensor) {
        return new Address(
                Tensor.pointer(tensor.scope().context(), tensor).data().address());
    }
}
