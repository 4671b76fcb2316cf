package io.graft.tensor;

import java.util.LinkedHashSet;

/** What a context or scope has to close, oldest first. A child that is closed early leaves in constant time. */
final class Children {
    private final LinkedHashSet<AutoCloseable> open = new LinkedHashSet<>();

    void add(AutoCloseable child) {
        open.add(child);
    }

    void remove(AutoCloseable child) {
        open.remove(child);
    }

    /** Closes all, newest first; goes on after a failure and throws the first one, the others suppressed. */
    void close() {
        RuntimeException failure = null;
        AutoCloseable[] oldestFirst = open.toArray(AutoCloseable[]::new);
        for (int i = oldestFirst.length - 1; i >= 0; i--) {
            try {
                oldestFirst[i].close();
            } catch (Exception e) {
                RuntimeException one = e instanceof RuntimeException r ? r : new IllegalStateException(e);
                if (failure == null) {
                    failure = one;
                } else {
                    failure.addSuppressed(one);
                }
            }
        }
        open.clear();
        if (failure != null) {
            throw failure;
        }
    }
}
