package io.graft.cli;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Ctrl-C (or SIGTERM) as a polite request: a running training loop asks {@link #requested()} after each step, saves
 * and returns; the JVM waits for it before it ends.
 *
 * <p>A shutdown hook is the only portable place to learn of the signal. It may delay the exit, and so it waits until
 * the command has finished, but never longer than a minute; a second signal (SIGKILL apart) does not shorten that.
 */
public final class Interruption {
    /** Exit status of a command that was asked to end and did. */
    public static final int STATUS = 130;

    private static final long PATIENCE_SECONDS = 60;
    private static final AtomicBoolean INSTALLED = new AtomicBoolean();
    private static final CountDownLatch FINISHED = new CountDownLatch(1);
    private static volatile boolean enabled;
    private static volatile boolean requested;

    private Interruption() {}

    /** Called by the program's start: only there does the exit of the process belong to the command. */
    static void enable() {
        enabled = true;
    }

    /** From now on the signal sets {@link #requested()} and the exit waits for {@link #finished()}. */
    public static void install() {
        if (enabled && INSTALLED.compareAndSet(false, true)) {
            Runtime.getRuntime().addShutdownHook(new Thread(Interruption::await, "graft-interruption"));
        }
    }

    public static boolean requested() {
        return requested;
    }

    /** Called once, when the command has written all that it wants to write. */
    static void finished() {
        FINISHED.countDown();
    }

    private static void await() {
        if (FINISHED.getCount() == 0) {
            return;
        }
        requested = true;
        try {
            if (!FINISHED.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                System.err.println("graft: gave up waiting for the current step after " + PATIENCE_SECONDS + " s");
            }
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
    }
}
