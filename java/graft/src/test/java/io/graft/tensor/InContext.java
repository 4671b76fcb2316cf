package io.graft.tensor;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/** A context of two threads around each test, and a scope in it. */
public abstract class InContext {
    protected Context context;
    protected Scope scope;

    @BeforeEach
    protected final void open() {
        context = Context.cpu(2);
        scope = context.scope();
    }

    @AfterEach
    protected final void close() {
        context.close();
    }
}
