package io.graft.tensor;

import static io.graft.binding.Native.GRAFT_DEVICE_CPU;
import static io.graft.binding.Native.GRAFT_MEMORY_CATEGORIES;
import static io.graft.binding.Native.graft_context_create;
import static io.graft.binding.Native.graft_context_create_cuda;
import static io.graft.binding.Native.graft_context_create_planning;
import static io.graft.binding.Native.graft_context_destroy;
import static io.graft.binding.Native.graft_context_last_dispatch;
import static io.graft.binding.Native.graft_context_memory;
import static io.graft.binding.Native.graft_context_prefer;
import static io.graft.binding.Native.graft_context_reset_peak;
import static io.graft.binding.Native.graft_context_step_values;
import static io.graft.binding.Native.graft_context_synchronize;
import static io.graft.binding.Native.graft_context_threads;
import static io.graft.binding.Native.graft_live_handles;

import io.graft.binding.Status;
import io.graft.binding.graft_context;
import org.bytedeco.javacpp.Pointer;

/**
 * A device with its threads, scratch memory and byte counters; the root of everything that Graft owns. The tree of
 * ownership is {@code Context → Scope → Tensor, Weight}: closing a node closes what hangs below it, newest first.
 *
 * <p>One context serves one call at a time: its monitor guards every native call on it, so that closing waits for an op
 * that runs on another thread. For parallel work make several contexts.
 */
public final class Context implements AutoCloseable {
    static {
        Settings.apply();
    }

    /** {@code cudaStreamLegacy}. why not 0: the C interface takes NULL for a stream of the context's own. */
    private static final long LEGACY_STREAM = 1;

    private final graft_context handle;
    private final Device device;
    private final Children children = new Children();
    private final LeakReport leakReport;
    private final int threads;
    private final boolean planning;
    private Context host;
    private String preferred;
    private boolean keeping;
    private boolean closed;

    private Context(graft_context handle, Device device, int threads, boolean planning) {
        this.planning = planning;
        this.handle = handle;
        this.device = device;
        this.threads = threads;
        this.leakReport = LeakReport.watch(this, "Context");
    }

    /**
     * A context of a device.
     *
     * @throws io.graft.binding.GraftDeviceException if it cannot be used, with the reason
     */
    public static Context on(Device device) {
        return device.isCpu() ? cpu() : on(device, null);
    }

    /**
     * A context of a GPU whose work goes into somebody else's stream, behind what is there already.
     *
     * <p>A context in the legacy default stream keeps no {@link Graph}: CUDA does not capture that stream.
     *
     * @param stream a {@code cudaStream_t} that outlives the context; 0 and 1 are CUDA's legacy default stream, in which many
     *     libraries work
     * @throws io.graft.binding.GraftDeviceException if the device cannot be used, with the reason
     */
    public static Context inStream(Device device, long stream) {
        if (device.isCpu()) {
            throw new IllegalArgumentException("inStream: the CPU has no streams");
        }
        return on(device, new Stream(handle(stream)));
    }

    /** The handle by which the C interface knows a stream. */
    static long handle(long stream) {
        return stream == 0 ? LEGACY_STREAM : stream;
    }

    private static Context on(Device gpu, Pointer stream) {
        graft_context handle = new graft_context();
        Status.check(graft_context_create_cuda(gpu.ordinal(), stream, handle));
        return of(handle, gpu, false);
    }

    /** A stream by its address. */
    private static final class Stream extends Pointer {
        Stream(long address) {
            this.address = address;
        }
    }

    /** A context of the CPU with one thread for each processor that the process may use. */
    public static Context cpu() {
        return cpu(0);
    }

    /** A context of the CPU with so many threads; 0 takes all processors that the process may use. */
    public static Context cpu(int threads) {
        graft_context handle = new graft_context();
        Status.check(graft_context_create(GRAFT_DEVICE_CPU, threads, handle));
        return of(handle, Device.CPU, false);
    }

    /**
     * A context of the CPU that plans memory: ops check their arguments and compute nothing, memory is counted and not held.
     * What runs on it as on another context has all its values zero, and learns what its bytes will be.
     *
     * @param threads that are planned for; 0: all processors that the process may use
     */
    public static Context planning(int threads) {
        return planning(Device.CPU, threads);
    }

    /**
     * The same for any kind of device, which need not be there. Scratch of a GPU is counted at its most.
     *
     * @throws io.graft.binding.GraftDeviceException if the library is built without that kind
     */
    public static Context planning(Device device, int threads) {
        graft_context handle = new graft_context();
        Status.check(graft_context_create_planning(device.kind().ordinal(), threads, handle));
        return of(handle, device, true);
    }

    private static Context of(graft_context handle, Device device, boolean planning) {
        int[] count = new int[1];
        Status.check(graft_context_threads(handle, count));
        return new Context(handle, device, count[0], planning);
    }

    /** A new scope, which closes with this context at the latest. */
    public synchronized Scope scope() {
        pointer();
        return new Scope(this, children);
    }

    /** Where it computes, and where its tensors are. */
    public Device device() {
        return device;
    }

    /** The context of the CPU in which values for this one's device are made and read: itself on the CPU. */
    public synchronized Context host() {
        pointer();
        if (device.isCpu()) {
            return this;
        }
        if (host == null) {
            host = planning ? planning(0) : cpu();
        }
        return host;
    }

    /** Number of threads that the context computes with. */
    public int threads() {
        return threads;
    }

    /** Waits until all work given to the context is done. */
    public synchronized void synchronize() {
        Status.check(graft_context_synchronize(pointer()));
    }

    /** Bytes now held for one purpose. */
    public long memory(Memory category) {
        return bytes(category.ordinal(), false);
    }

    /** Bytes now held, all together. */
    public long memory() {
        return bytes(GRAFT_MEMORY_CATEGORIES, false);
    }

    /** The most bytes ever held for one purpose since the last {@link #resetPeak()}. */
    public long peakMemory(Memory category) {
        return bytes(category.ordinal(), true);
    }

    /** The most bytes ever held at once since the last {@link #resetPeak()}. */
    public long peakMemory() {
        return bytes(GRAFT_MEMORY_CATEGORIES, true);
    }

    /** Sets every peak back to what is held now. */
    public synchronized void resetPeak() {
        Status.check(graft_context_reset_peak(pointer()));
    }

    /** The implementation that ran the last op, such as {@code lora_forward:cpu/bordered}; empty before the first. */
    public synchronized String lastDispatch() {
        return graft_context_last_dispatch(pointer()).getString();
    }

    /**
     * Considers only implementations of this name ({@code reference}, {@code fast}, …) from now on, so that checks can hold
     * one against the other; null considers all again.
     */
    public synchronized void prefer(String implementation) {
        Status.check(graft_context_prefer(pointer(), implementation));
        preferred = implementation;
    }

    /** What {@link #prefer} was given last; null where all implementations are considered. */
    public synchronized String preferred() {
        return preferred;
    }

    /** Whether it counts memory and computes nothing, see {@link #planning(int)}. */
    public boolean isPlanning() {
        return planning;
    }

    /**
     * From now on AdamW's steps multiply their rate by {@code rate} [1] F64 and take {@code counters[0]} for their number, and
     * every dropout adds {@code counters[1]} to its offset, counters [2] I64: read when the work is done, in each launch of a
     * {@link Graph} anew. Null and null: numbers are as called again.
     */
    public synchronized void stepValues(Tensor rate, Tensor counters) {
        Status.check(graft_context_step_values(pointer(), Tensor.pointer(this, rate), Tensor.pointer(this, counters)));
    }

    /** Contexts, tensors, weights and graphs that live in the whole process. */
    public static long liveHandles() {
        return graft_live_handles();
    }

    /** Whether calls become a {@link Graph} now instead of being done: nothing may be done then that a launch would not. */
    public synchronized boolean isKeeping() {
        return keeping;
    }

    void keeping(boolean now) {
        keeping = now;
    }

    /** The C handle, for the packages above. Throws {@link IllegalStateException} after close. */
    public graft_context pointer() {
        if (closed) {
            throw new IllegalStateException("Context is closed");
        }
        return handle;
    }

    /** Closes all scopes of the context, then the context. Closing twice is allowed. */
    @Override
    public synchronized void close() {
        if (closed) {
            return;
        }
        children.close();
        // why: should the library refuse because handles live that no scope knows, the context must stay open, its host
        // too.
        Status.check(graft_context_destroy(handle));
        closed = true;
        leakReport.closed();
        if (host != null) {
            host.close();
        }
    }

    @Override
    public String toString() {
        return "Context " + device + (device.isCpu() ? ", " + threads + " threads" : "") + (closed ? ", closed" : "");
    }

    private synchronized long bytes(int category, boolean peak) {
        long[] current = new long[1];
        long[] highest = new long[1];
        Status.check(graft_context_memory(pointer(), category, current, highest));
        return peak ? highest[0] : current[0];
    }
}
