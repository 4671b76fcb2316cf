package io.graft.tensor;

import static io.graft.binding.Native.graft_tensor_download;
import static io.graft.binding.Native.graft_tensor_upload;

import io.graft.binding.Status;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.IntBuffer;
import org.bytedeco.javacpp.BytePointer;

/**
 * A small tensor whose elements Java writes or reads again and again: the tensor's own memory on the CPU, else memory
 * beside it, which is moved when the tensor is next asked for or its value read. Makes no garbage after it is made.
 */
public final class Mirror {
    private final Tensor tensor;
    private final ByteBuffer memory;
    private final IntBuffer ints;
    /** null where the memory is the tensor's own. */
    private final BytePointer beside;

    private boolean written;

    /** @param tensor without gaps, of less than 2 GB; it is not to be written by others while Java writes here */
    public Mirror(Tensor tensor) {
        this.tensor = tensor;
        if (tensor.scope().context().device().isCpu()) {
            memory = tensor.buffer();
            beside = null;
        } else {
            int bytes = Math.toIntExact(tensor.elements() * tensor.dtype().bytes());
            memory = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
            beside = new BytePointer(memory);
        }
        ints = memory.asIntBuffer();
    }

    /** The elements of an I32 tensor, to be written; what is written is there when {@link #tensor} is asked for. */
    public IntBuffer ints() {
        written = true;
        return ints;
    }

    /** The elements of any tensor, to be written likewise. */
    public ByteBuffer bytes() {
        written = true;
        return memory;
    }

    /** An element of an I32 tensor, as Java has written it. */
    public int get(int place) {
        return ints.get(place);
    }

    /** The tensor with all that Java has written. */
    public Tensor tensor() {
        if (written && beside != null && memory.capacity() > 0) {
            Context context = tensor.scope().context();
            synchronized (context) {
                Status.check(graft_tensor_upload(
                        context.pointer(), Tensor.pointer(context, tensor), beside, memory.capacity()));
            }
        }
        written = false;
        return tensor;
    }

    /** The element of a float tensor of one, when all work on it is done. */
    public double value() {
        Context context = tensor.scope().context();
        synchronized (context) {
            if (beside != null) {
                Status.check(graft_tensor_download(
                        context.pointer(), Tensor.pointer(context, tensor), beside, memory.capacity()));
            }
            return tensor.dtype() == DType.F64 ? memory.getDouble(0) : memory.getFloat(0);
        }
    }
}
