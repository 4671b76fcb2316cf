package io.graft.benchmarks.measure;

import com.sun.management.ThreadMXBean;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;

/** One of those that take turns in a {@link Trial}: its call, its times, its memory. */
public final class Contender {
    /** What became of a contender. */
    public enum Status {
        /** It was measured. */
        TIMED,
        /** It is not on the class path. */
        ABSENT,
        /** It cannot do this; {@link Contender#note} says why. */
        REFUSED,
        /** It gives other results than the contender that it claims to equal. */
        DIFFERENT,
        /** It takes so long that a run cannot wait for it. */
        SLOW
    }

    /** why: so short that rounds stay short, so long that the clock and the wake-up of threads do not count. */
    private static final double SAMPLE_SECONDS = 2e-3;

    private static final int MOST_CALLS = 1000;

    /** why: threads of the contender before may still spin; a long call does not notice, a short one is warmed up. */
    private static final double SHORT_CALL_SECONDS = 50e-3;

    private static final double SLOW_SECONDS = 2;

    /** why: some libraries have types that they multiply by plain loops, for half a minute each time. */
    private static final double TIMES_SLOWER = 20;

    /** why: a call of so many seconds has warmed up all that there is when it was made for the first time. */
    private static final double WARM_SECONDS = 1;

    /** why: PyTorch with PEFT has 0.8 GB before it has a model, and then half as much again as Graft, or twice with DoRA. */
    private static final long PROCESS_BYTES = 1L << 30;

    private static final double PROCESS_SHARE = 1.5;

    private static final long PAUSE_NANOS = 1_000_000;
    private static final long WAKE_NANOS = 30_000_000;
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    private final String name;
    private final String equals;
    private final Inputs inputs;
    private final Work work;
    private final Status status;
    private String note;
    private final List<Double> milliseconds = new ArrayList<>();
    private final List<Double> kernelMilliseconds = new ArrayList<>();
    private final Map<Memory, Long> peaks = new EnumMap<>(Memory.class);
    private Map<String, float[]> results;
    private long retained;
    private long peak;
    private long making;
    private long javaBytes;
    private int calls = 1;
    private double seconds;
    private boolean twin;

    private Contender(String name, String equals, Inputs inputs, Work work, Status status, String note) {
        this.name = name;
        this.equals = equals;
        this.inputs = inputs;
        this.work = work;
        this.status = status;
        this.note = note;
    }

    static Contender timed(String name, String equals, Inputs inputs, Work work) {
        return new Contender(name, equals, inputs, work, Status.TIMED, "");
    }

    static Contender untimed(String name, String equals, Status status, String note) {
        return new Contender(name, equals, null, null, status, note);
    }

    /** A peer that is not run: what is planned for it is what the other needs. */
    static Contender planned(String name, Contender model) {
        Contender peer = new Contender(name, model.name, null, model.work, Status.TIMED, "");
        peer.peak = model.peak;
        peer.retained = model.retained;
        peer.making = model.making;
        return peer;
    }

    /** The same for one in a process of its own, which keeps all that it ever had, its libraries too. */
    Contender asProcess() {
        peak = PROCESS_BYTES + (long) (PROCESS_SHARE * peak);
        making = peak;
        retained = peak;
        return this;
    }

    /** The only call of a context that plans: afterwards its memory is known. */
    void plan() {
        making = inputs.context().peakMemory();
        inputs.context().resetPeak();
        work.call().run();
        count(inputs.context());
    }

    /** The first call: afterwards results and memory are known, and how many calls make a sample. */
    void first() {
        Context context = inputs.context();
        context.resetPeak();
        // why: what a call of a whole model makes and drops is not there when its ops run again.
        boolean recorded = !peer() && work.tokens() == 0;
        if (recorded) {
            NativeLoop.record(context, true);
        }
        seconds = time(1);
        if (recorded) {
            NativeLoop.record(context, false);
        }
        count(context);
        results = new LinkedHashMap<>();
        work.results().forEach((key, values) -> results.put(key, values.get()));
        if (seconds < SLOW_SECONDS) {
            seconds = time(1);
        }
        twin = recorded && seconds < SHORT_CALL_SECONDS && NativeLoop.replays(context);
        calls = work.before() != null
                ? 1
                : (int) Math.max(1, Math.min(MOST_CALLS, Math.ceil(SAMPLE_SECONDS / Math.max(seconds, 1e-9))));
    }

    private void count(Context context) {
        for (Memory category : Memory.values()) {
            peaks.put(category, context.peakMemory(category));
        }
        peak = work.peak() == null ? context.peakMemory() : work.peak().getAsLong();
        retained = context.memory();
    }

    /** Why a run cannot wait for this contender, which does what the other does; null where it can. */
    String slowness(Contender other) {
        return seconds < SLOW_SECONDS || seconds < TIMES_SLOWER * other.seconds
                ? null
                : String.format(
                        Locale.ROOT,
                        "a call took %.1f s, %.0f times as long as that of %s",
                        seconds,
                        seconds / other.seconds,
                        other.name);
    }

    Work work() {
        return work;
    }

    Map<String, float[]> results() {
        return results;
    }

    void forgetResults() {
        results = null;
    }

    /** Calls that count for nothing. why: after a rest, threads sleep and clocks are low. */
    void wake() {
        long end = System.nanoTime() + WAKE_NANOS;
        do {
            work.call().run();
        } while (System.nanoTime() < end);
    }

    /** Whether its rounds need no warm-up. */
    boolean isWarm() {
        return isWarm(seconds);
    }

    static boolean isWarm(double call) {
        return call >= WARM_SECONDS;
    }

    /** About how long {@link #sample} takes where a call takes so long. */
    static double sampleSeconds(double call) {
        boolean brief = call < SHORT_CALL_SECONDS;
        double sample = Math.max(call, Math.min(SAMPLE_SECONDS, MOST_CALLS * call));
        // why: a short call is warmed up, and is run again from C.
        return brief ? PAUSE_NANOS * 1e-9 + call + 2 * sample : sample;
    }

    /** One sample: the mean of so many calls that the clock does not matter. */
    void sample(boolean keep) {
        if (seconds < SHORT_CALL_SECONDS) {
            LockSupport.parkNanos(PAUSE_NANOS);
            work.call().run();
        }
        long before = THREADS.getCurrentThreadAllocatedBytes();
        double sample = time(calls);
        javaBytes = (THREADS.getCurrentThreadAllocatedBytes() - before) / calls;
        if (keep) {
            milliseconds.add(sample * 1e3);
            if (twin) {
                kernelMilliseconds.add(kernel(calls) * 1e3);
            }
        }
    }

    private double time(int count) {
        if (work.before() != null) {
            work.before().run();
        }
        // why: on a GPU calls return before their work is done, that of an earlier call too.
        inputs.context().synchronize();
        long start = System.nanoTime();
        for (int i = 0; i < count; i++) {
            work.call().run();
        }
        inputs.context().synchronize();
        return (System.nanoTime() - start) * 1e-9 / count;
    }

    /** The native twin: the same ops, checks included, from a loop in C. */
    private double kernel(int count) {
        inputs.context().synchronize();
        long start = System.nanoTime();
        NativeLoop.replay(inputs.context(), count);
        inputs.context().synchronize();
        return (System.nanoTime() - start) * 1e-9 / count;
    }

    void remark(String text) {
        note = text;
    }

    void close() {
        if (inputs != null) {
            work.end();
            inputs.close();
        }
    }

    public String name() {
        return name;
    }

    /** The contender whose results these must be; empty for one that others are held against. */
    public String equalTo() {
        return equals;
    }

    public Status status() {
        return status;
    }

    /** Why it was not measured, or what is odd about it, for people. */
    public String note() {
        return note;
    }

    /** Milliseconds of a call, one value for each measured round. */
    public List<Double> milliseconds() {
        return milliseconds;
    }

    /** The same without Java: the ops of a call run again from C; empty for peers, whole models and long calls. */
    public List<Double> kernelMilliseconds() {
        return kernelMilliseconds;
    }

    /** Whether its memory is known: of Graft's by the native library's counters, of others where they tell it. */
    public boolean knowsPeak() {
        return status == Status.TIMED && (!peer() || work.peak() != null);
    }

    /** Whether the native library's counters saw its memory; they do not see a peer's. */
    public boolean countsMemory() {
        return status == Status.TIMED && !peer();
    }

    /** Whether both give results of one name, so that the ratio of their times says something. */
    boolean isLike(Contender other) {
        return work != null
                && other.work != null
                && !Collections.disjoint(
                        work.results().keySet(), other.work.results().keySet());
    }

    boolean peer() {
        return !equals.isEmpty();
    }

    /** The most bytes of a category during a call. */
    public long peak(Memory category) {
        return peaks.getOrDefault(category, 0L);
    }

    /** The most bytes at once during a call. */
    public long peak() {
        return peak;
    }

    /** The most bytes before the first call, where that was planned. */
    long making() {
        return making;
    }

    /** Bytes that stay after a call. */
    public long retained() {
        return retained;
    }

    /** Bytes that a call allocates on the Java heap. */
    public long javaBytes() {
        return javaBytes;
    }

    public double flops() {
        return work == null ? 0 : work.flops();
    }

    public double bytes() {
        return work == null ? 0 : work.bytes();
    }

    /** Tokens that a call trains on, or makes; 0 of an op. */
    public int tokens() {
        return work == null ? 0 : work.tokens();
    }
}
