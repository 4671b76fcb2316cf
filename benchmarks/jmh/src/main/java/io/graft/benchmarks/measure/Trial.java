package io.graft.benchmarks.measure;

import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Device;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Function;

/**
 * Contenders that take turns in one process: each round times each of them once, in an order that rotates, so that a
 * machine which changes its speed changes it for all. Ratios are those of the same round.
 *
 * <p>Before anything is timed each contender runs once. One that claims to compute what another does, and does not, is
 * reported and not timed.
 */
public final class Trial implements AutoCloseable {
    /** What methods of a layer are held against: the contender with this name. */
    public static final String FROZEN = "frozen";

    /** why: what ran right behind LibTorch's backward took half as long again, LoRA's frozen layer for one. */
    private static final long REST_NANOS = 250_000_000;

    static final double REST_SECONDS = REST_NANOS * 1e-9;

    /** why: medians and quartiles need a few values however slow the call is. */
    static final int FEWEST_ROUNDS = 3;

    /** CUDA's default stream, as {@code cudaStreamLegacy} names it. */
    private static final long LEGACY_STREAM = 1;

    private static Trial current;

    private final DType dtype;
    private final Device device;
    private final int threads;
    private final double budgetSeconds;
    private final boolean planning;
    private final boolean torch;
    private final List<Contender> contenders = new ArrayList<>();
    private final Set<Contender> unquiet = new HashSet<>();
    private int rounds;
    private Contender last;
    private long started;

    /**
     * @param dtype what contenders compute in
     * @param device that all run on
     * @param threads of each, 0 for all processors
     * @param budgetSeconds for the rounds; those that come later are empty
     */
    public Trial(DType dtype, Device device, int threads, double budgetSeconds) {
        this(dtype, device, threads, budgetSeconds, false, LibTorch.absence(device) == null);
        current = this;
    }

    private Trial(DType dtype, Device device, int threads, double budgetSeconds, boolean planning, boolean torch) {
        this.dtype = dtype;
        this.device = device;
        this.threads = threads;
        this.budgetSeconds = budgetSeconds;
        this.planning = planning;
        this.torch = torch;
    }

    /**
     * A trial that computes nothing and counts what its contenders need, on contexts that plan.
     *
     * @param torch whether the trial that is planned will have LibTorch
     */
    public static Trial planning(DType dtype, Device device, int threads, boolean torch) {
        return new Trial(dtype, device, threads, 0, true, torch);
    }

    /** The trial that this process is at, for profilers; null outside of one. */
    static Trial current() {
        return current;
    }

    /** Adds what Graft does. A failure is a failure of the benchmark, but on a GPU, which has not all ops. */
    public Trial graft(String name, Function<Inputs, Work> work) {
        Inputs inputs = open(name);
        try {
            Contender contender = Contender.timed(name, "", inputs, work.apply(inputs));
            call(contender);
            add(contender);
        } catch (RuntimeException | Error failure) {
            inputs.close();
            if ((planning || !device.isCpu()) && failure instanceof RuntimeException refusal) {
                return untimed(name, Contender.Status.REFUSED, firstLine(refusal));
            }
            throw new IllegalStateException(name + ": " + failure.getMessage(), failure);
        }
        return this;
    }

    /**
     * Adds what Graft does to the same model or layer as the contender {@code like}, which was added before. Where they start
     * apart, a remark says so.
     */
    public Trial variant(String name, String like, Function<Inputs, Work> work) {
        if (leftOut(like)) {
            return untimed(name, Contender.Status.REFUSED, "there is no " + like + " to hold it against");
        }
        Contender model = find(like);
        Inputs inputs = open(name);
        Contender contender;
        String fault;
        try {
            contender = Contender.timed(name, "", inputs, work.apply(inputs));
            call(contender);
            fault = planning ? null : contender.work().fault();
        } catch (RuntimeException failure) {
            inputs.close();
            return untimed(name, Contender.Status.REFUSED, firstLine(failure));
        }
        if (fault != null) {
            contender.close();
            return untimed(name, Contender.Status.DIFFERENT, fault);
        }
        String difference = planning ? null : Agreement.difference(model.results(), contender.results(), dtype);
        if (difference != null) {
            contender.remark("starts apart from " + like + ": " + difference);
        }
        add(contender);
        return this;
    }

    /** Adds one of Graft that is not run. */
    private Trial untimed(String name, Contender.Status status, String note) {
        add(Contender.untimed(name, "", status, note));
        return this;
    }

    /** Adds what somebody else does on the CPU instead of the contender {@code equalTo}, which was added before. */
    public Trial peer(String name, String equalTo, Function<Inputs, Work> work) {
        return device.isCpu()
                ? anywhere(name, equalTo, work)
                : absent(name, equalTo, "it runs on the CPU, this is " + device);
    }

    /** Adds a peer that computes on the device of the trial. */
    private Trial anywhere(String name, String equalTo, Function<Inputs, Work> work) {
        if (leftOut(equalTo)) {
            return absent(name, equalTo, "there is no " + equalTo + " to hold it against");
        }
        Contender model = find(equalTo);
        if (planning) {
            add(Contender.planned(name, model));
            return this;
        }
        Inputs inputs = beside(name);
        Contender contender = null;
        try {
            contender =
                    Contender.timed(name, equalTo, inputs, work.apply(inputs).costAs(model.work()));
            contender.first();
        } catch (RuntimeException failure) {
            if (contender == null) {
                inputs.close();
            } else {
                contender.close();
            }
            add(Contender.untimed(name, equalTo, Contender.Status.REFUSED, firstLine(failure)));
            return this;
        }
        String difference = Agreement.difference(model.results(), contender.results(), dtype);
        contender.forgetResults();
        String slowness = contender.slowness(model);
        if (difference == null && slowness == null) {
            add(contender);
            return this;
        }
        contender.close();
        add(
                difference == null
                        ? Contender.untimed(name, equalTo, Contender.Status.SLOW, slowness)
                        : Contender.untimed(name, equalTo, Contender.Status.DIFFERENT, difference));
        return this;
    }

    /** Adds plain products of matrices by the library of the device, if it is there. */
    public Trial plain(String name, String equalTo, Function<Inputs, Work> work) {
        String absence = planning ? null : PlainProduct.absence(device);
        return absence == null ? anywhere(name, equalTo, work) : absent(name, equalTo, absence);
    }

    /** Like {@link #peer}, with one whose threads take a while to rest. */
    public Trial unquietPeer(String name, String equalTo, Function<Inputs, Work> work) {
        peer(name, equalTo, work);
        unquiet.add(contenders.get(contenders.size() - 1));
        return this;
    }

    /** Like {@link #unquietPeer}, with one that is a process of its own. */
    public Trial process(String name, String equalTo, Function<Inputs, Work> work) {
        unquietPeer(name, equalTo, work);
        if (planning) {
            contenders.get(contenders.size() - 1).asProcess();
        }
        return this;
    }

    /** Adds a peer that is not there. */
    public Trial absent(String name, String equalTo, String why) {
        add(Contender.untimed(name, equalTo, Contender.Status.ABSENT, why));
        return this;
    }

    /** Adds what LibTorch does on the device of the trial, if it is there; on the CPU its threads take a while to rest. */
    public Trial torch(String name, String equalTo, Function<Inputs, Work> work) {
        if (!torch) {
            return absent(name, equalTo, LibTorch.absence(device));
        }
        if (device.isCpu() && !planning) {
            LibTorch.threads(threads);
        }
        return device.isCpu() ? unquietPeer(name, equalTo, work) : anywhere(name, equalTo, work);
    }

    private void add(Contender contender) {
        contenders.add(contender);
        if (!planning && contender.status() == Contender.Status.TIMED) {
            TrialProgress.ready(contender.name());
        }
    }

    private Inputs open(String contender) {
        if (planning) {
            return new Inputs(Context.planning(device, threads), dtype, true);
        }
        TrialProgress.making(contender);
        return new Inputs(device.isCpu() ? Context.cpu(threads) : Context.on(device), dtype, false);
    }

    /** why: other libraries work in the default stream; in it Graft waits for them, and they for the inputs that Graft makes. */
    private Inputs beside(String contender) {
        if (device.isCpu()) {
            return open(contender);
        }
        TrialProgress.making(contender);
        return new Inputs(Context.inStream(device, LEGACY_STREAM), dtype, false);
    }

    private void call(Contender contender) {
        if (planning) {
            contender.plan();
        } else {
            contender.first();
        }
    }

    private Contender find(String name) {
        return contenders.stream()
                .filter(contender -> contender.name().equals(name) && (planning || contender.results() != null))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("no contender is called " + name));
    }

    private boolean leftOut(String name) {
        return contenders.stream()
                .anyMatch(contender -> contender.name().equals(name) && contender.status() != Contender.Status.TIMED);
    }

    private static String firstLine(RuntimeException failure) {
        String text = failure.getMessage() == null ? failure.toString() : failure.getMessage();
        return text.lines().findFirst().orElse(failure.toString());
    }

    /** One round; {@code keep} its times, or let it only warm up. Empty once the time is up. */
    public void round(boolean keep) {
        if (rounds == 0) {
            contenders.forEach(Contender::forgetResults);
            started = System.nanoTime();
        }
        boolean enough = contenders.stream()
                .allMatch(contender -> contender.status() != Contender.Status.TIMED
                        || contender.milliseconds().size() >= FEWEST_ROUNDS);
        if (enough && (System.nanoTime() - started) * 1e-9 > budgetSeconds) {
            return;
        }
        int samples = 0;
        for (int i = 0; i < contenders.size(); i++) {
            Contender contender = contenders.get((i + rounds) % contenders.size());
            if (contender.status() == Contender.Status.TIMED && (keep || !contender.isWarm())) {
                if (unquiet.contains(last)) {
                    LockSupport.parkNanos(REST_NANOS);
                    contender.wake();
                    started += REST_NANOS;
                }
                contender.sample(keep);
                samples++;
                last = contender;
            }
        }
        rounds++;
        TrialProgress.round(rounds, samples);
    }

    /** What the trial takes that this one has planned. */
    public Forecast forecast() {
        return Forecast.of(contenders, dtype, unquiet::contains);
    }

    public List<Contender> contenders() {
        return contenders;
    }

    @Override
    public void close() {
        contenders.forEach(Contender::close);
        if (current == this) {
            current = null;
        }
    }
}
