package io.graft.benchmarks.measure;

import io.graft.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/** One call of a contender: what to run, what it gives, and what it has to move and to calculate at least. */
public final class Work {
    /** why: results of a large layer do not fit a small Java heap; a contender that is wrong is wrong there too. */
    private static final long COMPARED = 1 << 20;

    private final Runnable call;
    private final Map<String, Supplier<float[]>> results = new LinkedHashMap<>();
    private double flops;
    private double bytes;
    private int tokens;
    private Supplier<String> fault = () -> null;
    private LongSupplier peak;
    private Runnable end = () -> {};
    private Runnable before;

    public Work(Runnable call) {
        this.call = call;
    }

    /** Names a result, by which contenders that compute the same are held against each other. */
    public Work gives(String name, Tensor tensor) {
        long perRow = tensor.elements() / Math.max(1, tensor.size(0));
        long rows = leading(tensor.size(0), perRow);
        return gives(name, () -> tensor.rows(0, rows).floats());
    }

    /** Names a result of a peer; see {@link #leading}. */
    public Work gives(String name, Supplier<float[]> values) {
        results.put(name, values);
        return this;
    }

    /** How many rows of a result are compared. */
    public static long leading(long rows, long perRow) {
        return Math.min(rows, Math.max(1, COMPARED / Math.max(1, perRow)));
    }

    /**
     * Arithmetic and traffic of one call: the floor, in which each operand is read or written once for each pass over it.
     */
    public Work cost(double floatingPointOperations, double bytesMoved) {
        this.flops = floatingPointOperations;
        this.bytes = bytesMoved;
        return this;
    }

    /** How many tokens a call trains on, or makes. */
    public Work tokens(int count) {
        this.tokens = count;
        return this;
    }

    /** What is asked after the first call: why its result is not what it should be, or null. */
    public Work unless(Supplier<String> reason) {
        this.fault = reason;
        return this;
    }

    /** The most memory of a peer that knows it. */
    public Work peak(LongSupplier bytes) {
        this.peak = bytes;
        return this;
    }

    /** What ends with the contender. */
    public Work ending(Runnable last) {
        this.end = last;
        return this;
    }

    /** What is done before each call, which then is a sample of its own; it is not timed. */
    public Work before(Runnable preparation) {
        this.before = preparation;
        return this;
    }

    /** What computes the same has the same floor, however much more it does. */
    Work costAs(Work other) {
        return cost(other.flops, other.bytes);
    }

    Runnable call() {
        return call;
    }

    Map<String, Supplier<float[]>> results() {
        return results;
    }

    double flops() {
        return flops;
    }

    double bytes() {
        return bytes;
    }

    int tokens() {
        return tokens;
    }

    String fault() {
        return fault.get();
    }

    /** Null where nothing is done before a call. */
    Runnable before() {
        return before;
    }

    /** Null where the counters of the context tell it. */
    LongSupplier peak() {
        return peak;
    }

    void end() {
        end.run();
    }
}
