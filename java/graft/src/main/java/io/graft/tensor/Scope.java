package io.graft.tensor;

import static io.graft.binding.Native.graft_graph_begin;
import static io.graft.binding.Native.graft_graph_end;
import static io.graft.binding.Native.graft_tensor_create;
import static io.graft.binding.Native.graft_tensor_view;
import static io.graft.binding.Native.graft_tensor_wrap;
import static io.graft.binding.Native.graft_weight_create_dense;
import static io.graft.binding.Native.graft_weight_create_nf4;
import static io.graft.binding.Native.graft_weight_create_sketch;
import static io.graft.binding.Native.graft_weight_wrap_dense;

import io.graft.binding.Address;
import io.graft.binding.Status;
import io.graft.binding.graft_graph;
import io.graft.binding.graft_tensor;
import io.graft.binding.graft_weight;
import java.nio.Buffer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;

/**
 * A stretch of life: what is made in a scope closes with it, newest first. Take one scope for a model, a child scope for
 * each training step.
 */
public final class Scope implements AutoCloseable {
    private final Context context;
    private final Children siblings;
    private final Children children = new Children();
    private boolean closed;

    Scope(Context context, Children siblings) {
        this.context = context;
        this.siblings = siblings;
        siblings.add(this);
    }

    /** The context that the scope belongs to. */
    public Context context() {
        return context;
    }

    /** A child, which closes with this scope at the latest. */
    public Scope scope() {
        synchronized (context) {
            checkOpen();
            return new Scope(context, children);
        }
    }

    /** A scope of the {@linkplain Context#host() host} that closes with this one; on the CPU this one itself. */
    public Scope host() {
        synchronized (context) {
            checkOpen();
            return context.device().isCpu() ? this : new Scope(context.host(), children);
        }
    }

    /** A zeroed row-major tensor. */
    public Tensor tensor(Memory memory, DType dtype, long... shape) {
        return create(memory, dtype, shape, null);
    }

    /** A zeroed matrix whose rows start {@code pitch >= columns} elements apart. */
    public Tensor matrix(Memory memory, DType dtype, long rows, long columns, long pitch) {
        if (pitch < columns) {
            throw new IllegalArgumentException("matrix: pitch " + pitch + " is less than its " + columns + " columns");
        }
        return create(memory, dtype, new long[] {rows, columns}, new long[] {pitch, 1});
    }

    /** A row-major tensor over the caller's memory, which is never freed here and must outlive the tensor. */
    public Tensor wrap(long address, DType dtype, long... shape) {
        return wrap(address, null, dtype, shape);
    }

    /**
     * The same, and keeps {@code holder} reachable until the tensor is closed: the object whose collection would free the
     * memory, such as another framework's tensor, a pointer of JavaCPP or a memory segment; null for none.
     */
    public Tensor wrap(long address, Object holder, DType dtype, long... shape) {
        synchronized (context) {
            checkOpen();
            graft_tensor handle = new graft_tensor((Pointer) null);
            Status.check(graft_tensor_wrap(
                    context.pointer(), new Address(address), dtype.code(), shape.length, shape, null, handle));
            return new Tensor(this, handle, null, holder);
        }
    }

    /**
     * A row-major tensor over a buffer's memory from its position to its limit, which is exactly that of the shape; the
     * buffer stays reachable until the tensor is closed, and its position may move. For contexts of the CPU.
     *
     * @param buffer direct, writable, in the machine's byte order, on a multiple of an element's size; of bytes, or of
     *     the tensor's elements: {@code ShortBuffer} for F16 and BF16, {@code FloatBuffer} for F32, and so on
     * @throws IllegalArgumentException if it is another buffer, and says why
     */
    public Tensor wrap(Buffer buffer, DType dtype, long... shape) {
        if (!context.device().isCpu()) {
            throw new UnsupportedOperationException(
                    "wrap: a buffer is memory of the CPU, and the context is on " + context.device());
        }
        return wrap(DirectMemory.address(buffer, dtype, shape), buffer, dtype, shape);
    }

    /** A part of a tensor that lives in any scope of this context; the view itself lives in this scope. */
    public Tensor view(Tensor parent, long offset, long[] shape, long[] strides) {
        synchronized (context) {
            return view(Tensor.pointer(context, parent), parent.owner(), offset, shape, strides);
        }
    }

    Tensor view(graft_tensor parent, Owner owner, long offset, long[] shape, long[] strides) {
        checkOpen();
        if (strides.length != shape.length) {
            throw new IllegalArgumentException("view: " + shape.length + " sizes but " + strides.length + " strides");
        }
        graft_tensor handle = new graft_tensor((Pointer) null);
        Status.check(graft_tensor_view(context.pointer(), parent, offset, shape.length, shape, strides, handle));
        return new Tensor(this, handle, owner);
    }

    /** A zeroed dense weight [n, k] with room for adapters of rank up to {@code border}. */
    public Weight weight(Memory memory, DType dtype, long n, long k, int border) {
        synchronized (context) {
            checkOpen();
            graft_weight handle = new graft_weight((Pointer) null);
            Status.check(
                    graft_weight_create_dense(context.pointer(), memory.ordinal(), dtype.code(), n, k, border, handle));
            return new Weight(this, handle, null);
        }
    }

    /** A weight over a matrix [n, k] without a border; the matrix must outlive it. */
    public Weight weight(Tensor matrix) {
        synchronized (context) {
            checkOpen();
            graft_weight handle = new graft_weight((Pointer) null);
            Status.check(graft_weight_wrap_dense(context.pointer(), Tensor.pointer(context, matrix), handle));
            return new Weight(this, handle, matrix.owner());
        }
    }

    /** An NF4 weight [n, k] of zeros, for {@link io.graft.ops.Nf4#quantize} to fill; its scales may be quantised too. */
    public Weight nf4(Memory memory, long n, long k, boolean doubleQuantized) {
        synchronized (context) {
            checkOpen();
            graft_weight handle = new graft_weight((Pointer) null);
            Status.check(graft_weight_create_nf4(
                    context.pointer(), memory.ordinal(), n, k, doubleQuantized ? 1 : 0, handle));
            return new Weight(this, handle, null);
        }
    }

    /**
     * A sketch [n, k] over a table [n, groups, 16, 8 or 4], which must outlive it and may be trained; its codes are zero,
     * for {@link io.graft.ops.Sketch#pack} to fill.
     */
    public Weight sketch(Memory memory, Tensor table, long k) {
        synchronized (context) {
            checkOpen();
            graft_weight handle = new graft_weight((Pointer) null);
            Status.check(graft_weight_create_sketch(
                    context.pointer(), memory.ordinal(), Tensor.pointer(context, table), k, handle));
            return new Weight(this, handle, table.owner());
        }
    }

    /**
     * Keeps the work of these calls of ops, on a CUDA device, instead of doing it; see {@link Graph}. Make the same calls once
     * before, so that algorithms are chosen and scratch has its size.
     *
     * @throws io.graft.binding.GraftUnsupportedException if the device keeps no work, or a call has a number that no two
     *     steps share; nothing is kept then, as after anything that the calls throw
     */
    public Graph graph(Runnable calls) {
        synchronized (context) {
            checkOpen();
            Status.check(graft_graph_begin(context.pointer()));
            context.keeping(true);
            try {
                calls.run();
            } catch (RuntimeException | Error failure) {
                graft_graph_end(context.pointer(), (PointerPointer<?>) null);
                throw failure;
            } finally {
                context.keeping(false);
            }
            graft_graph handle = new graft_graph();
            Status.check(graft_graph_end(context.pointer(), handle));
            return new Graph(this, handle);
        }
    }

    /** Closes all that was made here, newest first. Closing twice is allowed. */
    @Override
    public void close() {
        synchronized (context) {
            if (closed) {
                return;
            }
            closed = true;
            siblings.remove(this);
            children.close();
        }
    }

    Children children() {
        return children;
    }

    private Tensor create(Memory memory, DType dtype, long[] shape, long[] strides) {
        synchronized (context) {
            checkOpen();
            graft_tensor handle = new graft_tensor((Pointer) null);
            Status.check(graft_tensor_create(
                    context.pointer(), memory.ordinal(), dtype.code(), shape.length, shape, strides, handle));
            return new Tensor(this, handle, null);
        }
    }

    private void checkOpen() {
        if (closed) {
            throw new IllegalStateException("Scope is closed");
        }
    }
}
