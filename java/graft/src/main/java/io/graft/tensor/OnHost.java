package io.graft.tensor;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;

/**
 * The elements of a tensor where Java reaches them, until it is closed: the tensor's own memory on the CPU, else a copy,
 * which goes back at the end where it was made for that.
 */
public final class OnHost implements AutoCloseable {
    private final Tensor tensor;
    private final boolean goesBack;
    private final Scope scope;
    private final Tensor values;

    private OnHost(Tensor tensor, boolean comes, boolean goesBack) {
        this.tensor = tensor;
        this.goesBack = goesBack;
        Context context = tensor.scope().context();
        if (context.device().isCpu()) {
            scope = null;
            values = tensor;
            return;
        }
        scope = context.host().scope();
        values = scope.tensor(Memory.WORKSPACE, tensor.dtype(), tensor.shape());
        if (comes) {
            tensor.download(values);
        }
    }

    /** To be read. */
    public static OnHost reading(Tensor tensor) {
        return new OnHost(tensor, true, false);
    }

    /** To be written, all of it: what the tensor holds does not come. */
    public static OnHost writing(Tensor tensor) {
        return new OnHost(tensor, false, true);
    }

    /** To be read and written. */
    public static OnHost updating(Tensor tensor) {
        return new OnHost(tensor, true, true);
    }

    /** The elements of a contiguous tensor; see {@link Tensor#buffer}. */
    public ByteBuffer buffer() {
        return values.buffer();
    }

    /** The same, of F32. */
    public FloatBuffer floats() {
        return buffer().asFloatBuffer();
    }

    @Override
    public void close() {
        if (scope != null) {
            if (goesBack) {
                tensor.upload(values);
            }
            scope.close();
        }
    }
}
