package io.graft.tensor;

import java.lang.ref.Cleaner;

/**
 * Says so in the log when a context was collected without having been closed. It never frees anything: the order in
 * which a collector finds objects is no order in which native memory may be freed.
 */
final class LeakReport implements Runnable {
    private static final Cleaner CLEANER = Cleaner.create();
    private static final System.Logger LOGGER = System.getLogger(LeakReport.class.getName());

    private final String what;
    private final StackTraceElement creator;
    private volatile boolean closed;

    private LeakReport(String what, StackTraceElement creator) {
        this.what = what;
        this.creator = creator;
    }

    static LeakReport watch(Object owner, String what) {
        StackTraceElement creator = StackWalker.getInstance()
                .walk(frames -> frames.map(StackWalker.StackFrame::toStackTraceElement)
                        .filter(frame -> !frame.getClassName().startsWith(LeakReport.class.getPackageName() + "."))
                        .findFirst())
                .orElse(null);
        LeakReport report = new LeakReport(what, creator);
        CLEANER.register(owner, report);
        return report;
    }

    void closed() {
        closed = true;
    }

    @Override
    public void run() {
        if (!closed) {
            LOGGER.log(System.Logger.Level.WARNING, "{0} was never closed; made at {1}", what, creator);
        }
    }
}
