package io.graft.cli;

import java.io.PrintStream;
import java.time.Duration;
import java.util.Locale;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/**
 * How far a long job is: a moving bar on a terminal, otherwise a line now and then (a log file wants no bar).
 *
 * <p>It writes to stderr, so that a redirected stdout holds results only.
 */
public final class Progress implements AutoCloseable {
    private static final Duration QUIET = Duration.ofSeconds(10);

    private final Output out;
    private final String task;
    private final long total;
    private final ProgressBar bar;
    private final long started = System.nanoTime();
    private long first = -1;
    private long lastLine = started;

    public Progress(Output out, String task, long total) {
        this.out = out;
        this.task = task;
        this.total = total;
        // why: System.console() is null as soon as stdin or stdout is redirected, the usual sign of a script
        boolean terminal = !out.json() && System.console() != null;
        this.bar = terminal ? bar(task, total) : null;
    }

    private static ProgressBar bar(String task, long total) {
        return new ProgressBarBuilder()
                .setTaskName(task)
                .setInitialMax(total)
                .setStyle(ProgressBarStyle.ASCII)
                .setUpdateIntervalMillis(250)
                .setConsumer(new ConsoleProgressBarConsumer(new PrintStream(System.err, true)))
                .build();
    }

    /** The job has done {@code done} of its steps; the other values are those of the last one. */
    public void update(long done, double loss, double tokensPerSecond, long memory) {
        update(
                done,
                String.format(
                        Locale.ROOT, "loss %.4f, %,.0f tokens/s, %s", loss, tokensPerSecond, Units.bytes(memory)));
    }

    /** The job has done {@code done} of its steps; the facts are those of the last one. */
    public void update(long done, String facts) {
        if (first < 0) {
            first = done - 1;
        }
        long now = System.nanoTime();
        update(done, facts, (now - started) * 1e-9 / Math.max(1, done - first) * (total - done));
    }

    /** The same of a job whose steps are unlike each other, and who knows how long the rest of it takes; NaN: nobody does. */
    public void update(long done, String facts, double secondsLeft) {
        if (bar != null) {
            bar.setExtraMessage(" " + facts);
            bar.stepTo(done);
            return;
        }
        long now = System.nanoTime();
        if (now - lastLine >= QUIET.toNanos()) {
            lastLine = now;
            String time = Double.isNaN(secondsLeft)
                    ? Units.duration((now - started) * 1e-9) + " so far"
                    : Units.duration(secondsLeft) + " left";
            out.note("%s: step %d of %d, %s, %s", task, done, total, facts, time);
        }
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
        }
    }
}
