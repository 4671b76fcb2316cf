package io.graft.tensor;

/** What a scope made and closes: its life, which ends early when the memory that it looks at is gone. */
abstract class Handle implements AutoCloseable, Owner {
    private final Scope scope;
    private final Owner root;
    private boolean closed;

    /** root: what holds the memory that this one looks at, null where it holds its own. */
    Handle(Scope scope, Owner root) {
        this.scope = scope;
        this.root = root;
    }

    /** Frees the native side; called once, with the context's monitor held. */
    abstract void destroy();

    /** Where it lives. */
    public final Scope scope() {
        return scope;
    }

    @Override
    public final void checkOpen() {
        if (closed) {
            throw new IllegalStateException(this + " is closed");
        }
        if (root != null) {
            root.checkOpen();
        }
    }

    /** Whether it, or what holds its memory, is closed. */
    public final boolean isClosed() {
        synchronized (scope.context()) {
            try {
                checkOpen();
                return false;
            } catch (IllegalStateException e) {
                return true;
            }
        }
    }

    @Override
    public final void close() {
        synchronized (scope.context()) {
            if (closed) {
                return;
            }
            closed = true;
            scope.children().remove(this);
            destroy();
        }
    }

    /** Refuses what is closed or belongs elsewhere, before its pointer goes to a call on this context. */
    final void checkUsable(Context context) {
        checkOpen();
        if (scope.context() != context) {
            throw new IllegalArgumentException(this + " belongs to another context");
        }
    }

    /** What holds the memory. */
    final Owner owner() {
        return root == null ? this : root;
    }
}
