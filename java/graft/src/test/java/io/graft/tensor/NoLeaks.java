package io.graft.tensor;

import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Fails a test that leaves native handles behind. Registered for all tests of the module; what a class makes for all its
 * tests must be closed by the end of the class.
 */
public final class NoLeaks implements BeforeAllCallback, AfterAllCallback, BeforeEachCallback, AfterEachCallback {
    private static final ExtensionContext.Namespace NAMESPACE = ExtensionContext.Namespace.create(NoLeaks.class);

    @Override
    public void beforeAll(ExtensionContext context) {
        remember(context);
    }

    @Override
    public void beforeEach(ExtensionContext context) {
        remember(context);
    }

    @Override
    public void afterEach(ExtensionContext context) {
        check(context);
    }

    @Override
    public void afterAll(ExtensionContext context) {
        check(context);
    }

    private static void remember(ExtensionContext context) {
        context.getStore(NAMESPACE).put(context.getUniqueId(), Context.liveHandles());
    }

    private static void check(ExtensionContext context) {
        long before = context.getStore(NAMESPACE).get(context.getUniqueId(), Long.class);
        long after = Context.liveHandles();
        // why: fewer than before is fine: a test may close what its instance made before the count was taken.
        if (after > before) {
            throw new AssertionError(
                    context.getDisplayName() + " leaves " + (after - before) + " contexts, tensors or weights open");
        }
    }
}
