package io.graft.tensor;

import static io.graft.binding.Native.graft_tensor_destroy;

import io.graft.binding.Status;
import io.graft.binding.graft_tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.bytedeco.javacpp.BytePointer;

/**
 * A strided view of native memory. Shape and strides count elements and never change; the last stride is 1. Views share
 * memory with what they were made from and are refused once that is closed.
 */
public final class Tensor extends Handle {
    private final graft_tensor handle;
    private final DType dtype;
    private final long[] shape;
    private final long[] strides;
    // why unread: the collector leaves alone what an open tensor refers to.
    private final Object holder;

    /** root: what holds the memory of a view, null for a tensor that holds its own. */
    Tensor(Scope scope, graft_tensor handle, Owner root) {
        this(scope, handle, root, null);
    }

    /** holder: the Java object that the memory of others belongs to, or null. */
    Tensor(Scope scope, graft_tensor handle, Owner root, Object holder) {
        super(scope, root);
        this.holder = holder;
        this.handle = handle;
        this.dtype = DType.of(handle.dtype());
        int rank = handle.rank();
        this.shape = new long[rank];
        this.strides = new long[rank];
        for (int i = 0; i < rank; i++) {
            shape[i] = handle.shape(i);
            strides[i] = handle.stride(i);
        }
        scope.children().add(this);
    }

    /** How an element is stored. */
    public DType dtype() {
        return dtype;
    }

    /** Number of dimensions. */
    public int rank() {
        return shape.length;
    }

    /** Elements along one dimension. */
    public long size(int dimension) {
        return shape[dimension];
    }

    /** Elements from one index of a dimension to the next. */
    public long stride(int dimension) {
        return strides[dimension];
    }

    /** A copy of the shape. */
    public long[] shape() {
        return shape.clone();
    }

    /** A copy of the strides. */
    public long[] strides() {
        return strides.clone();
    }

    /** Number of elements. */
    public long elements() {
        return Shapes.elements(shape);
    }

    /** Whether the elements lie row-major without gaps. */
    public boolean isContiguous() {
        return Shapes.isContiguous(shape, strides);
    }

    /** A part of this tensor, which starts {@code offset} elements in; it closes with the scope of this tensor. */
    public Tensor view(long offset, long[] viewShape, long[] viewStrides) {
        return scope().view(this, offset, viewShape, viewStrides);
    }

    /** Indices from (inclusive) to (exclusive) of the first dimension. */
    public Tensor rows(long from, long to) {
        return range(0, from, to);
    }

    /** Indices from (inclusive) to (exclusive) of the last dimension. */
    public Tensor columns(long from, long to) {
        return range(rank() - 1, from, to);
    }

    /** The same elements in another shape, without a copy; refused where the strides do not allow that. */
    public Tensor reshape(long... newShape) {
        long[] newStrides = Shapes.reshape(shape, strides, newShape);
        if (newStrides == null) {
            throw new IllegalArgumentException("reshape: " + this + " with strides " + Arrays.toString(strides)
                    + " cannot be seen as " + Arrays.toString(newShape) + " without a copy");
        }
        return view(0, newShape, newStrides);
    }

    /** Address of the first element, which Java can reach. */
    public long address() {
        synchronized (scope().context()) {
            requireCpu("address");
            return pointer(scope().context(), this).data().address();
        }
    }

    private void requireCpu(String method) {
        Device device = scope().context().device();
        if (!device.isCpu()) {
            throw new UnsupportedOperationException(
                    method + ": " + this + " is on " + device + ", out of Java's reach");
        }
    }

    /** The memory of a contiguous tensor of the CPU in the machine's byte order. Not to be used after the tensor is closed. */
    public ByteBuffer buffer() {
        synchronized (scope().context()) {
            graft_tensor open = pointer(scope().context(), this);
            requireCpu("buffer");
            long bytes = elements() * dtype.bytes();
            if (!isContiguous() || bytes > Integer.MAX_VALUE) {
                throw new IllegalArgumentException("buffer: " + this
                        + (isContiguous() ? " is larger than a ByteBuffer can be" : " is not contiguous"));
            }
            if (bytes == 0) {
                return ByteBuffer.allocateDirect(0).order(ByteOrder.nativeOrder());
            }
            return new BytePointer(open.data()).capacity(bytes).asByteBuffer().order(ByteOrder.nativeOrder());
        }
    }

    /**
     * Takes the elements of a tensor of the same shape that lives in the {@linkplain Context#host() host} of this one's
     * context, converted to this one's type; waits for that.
     */
    public void upload(Tensor from) {
        Transfer.upload(from, this);
    }

    /** Gives its elements to a tensor of the same shape in the host of its context; see {@link #upload}. */
    public void download(Tensor into) {
        Transfer.download(this, into);
    }

    /** Sets all elements, row-major, rounding to the tensor's type. Returns this. */
    public Tensor set(float... values) {
        Transfer.write(this, values);
        return this;
    }

    /** Sets all elements, row-major, rounding to the tensor's type. Returns this. */
    public Tensor set(double[] values) {
        Transfer.write(this, values);
        return this;
    }

    /** Sets all elements, row-major. Returns this. */
    public Tensor set(int[] values) {
        Transfer.write(this, values);
        return this;
    }

    /** Sets all elements, row-major. Returns this. */
    public Tensor set(long[] values) {
        Transfer.write(this, values);
        return this;
    }

    /** All elements of a float tensor, row-major. */
    public float[] floats() {
        return Transfer.floats(this);
    }

    /** The same into an array of as many elements; returns it. */
    public float[] floats(float[] into) {
        return Transfer.floats(this, into);
    }

    /** All elements of a float tensor, row-major. */
    public double[] doubles() {
        return Transfer.doubles(this);
    }

    /** All elements of an integer tensor, row-major. */
    public int[] ints() {
        return Transfer.ints(this);
    }

    /** All elements of an integer tensor, row-major. */
    public long[] longs() {
        return Transfer.longs(this);
    }

    /** The value of a tensor of one element. */
    public float item() {
        if (elements() != 1) {
            throw new IllegalArgumentException("item: " + this + " does not have one element");
        }
        return dtype.isFloat() ? floats()[0] : longs()[0];
    }

    /**
     * The C handle for a call on this context, null for null: the library refuses a null in its own words. For the
     * packages above, which hold the context's monitor while they use it.
     */
    public static graft_tensor pointer(Context context, Tensor tensor) {
        if (tensor == null) {
            return null;
        }
        tensor.checkUsable(context);
        return tensor.handle;
    }

    @Override
    void destroy() {
        Status.check(graft_tensor_destroy(scope().context().pointer(), handle));
    }

    @Override
    public String toString() {
        return "Tensor " + Arrays.toString(shape) + " " + dtype;
    }

    private Tensor range(int dimension, long from, long to) {
        if (dimension < 0 || from < 0 || from > to || to > shape[dimension]) {
            throw new IllegalArgumentException(
                    "range " + from + ".." + to + " is outside dimension " + dimension + " of " + this);
        }
        long[] part = shape.clone();
        part[dimension] = to - from;
        return view(from * strides[dimension], part, strides);
    }
}
