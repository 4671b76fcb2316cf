package io.graft.binding;

import java.nio.Buffer;
import org.bytedeco.javacpp.Pointer;

/** A bare address as a pointer. It owns nothing, and nothing is freed when it is collected. */
public final class Address extends Pointer {
    /** Points at {@code address}; 0 is NULL. */
    public Address(long address) {
        super((Pointer) null);
        this.address = address;
    }

    /** Where element 0 of a direct buffer lies, whatever its position. */
    public static long ofElement0(Buffer direct) {
        return getDirectBufferAddress(direct);
    }
}
