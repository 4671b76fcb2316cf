package io.graft.benchmarks.bench;

import io.graft.benchmarks.measure.TrialProgress;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** Reads now and then how far a measuring process is, and tells it. */
final class Watch implements AutoCloseable {
    private static final long SECONDS = 2;

    private final ScheduledExecutorService clock = Executors.newSingleThreadScheduledExecutor(task -> {
        Thread thread = new Thread(task, "graft bench watch");
        thread.setDaemon(true);
        return thread;
    });

    Watch(Path file, Consumer<TrialProgress> listener) {
        clock.scheduleWithFixedDelay(() -> tell(file, listener), SECONDS, SECONDS, TimeUnit.SECONDS);
    }

    private static void tell(Path file, Consumer<TrialProgress> listener) {
        try {
            listener.accept(TrialProgress.read(file));
        } catch (IOException gone) {
            // why: then the process has ended, and what it measured says so.
        }
    }

    /** When this returns, nothing is told any more. */
    @Override
    public void close() {
        clock.shutdownNow();
        try {
            clock.awaitTermination(1, TimeUnit.MINUTES);
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
    }
}
