package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.tensor.Context;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/** Fails a test that leaves native objects behind. */
public final class NoLeaks implements BeforeEachCallback, AfterEachCallback {
    private long before;

    @Override
    public void beforeEach(ExtensionContext test) {
        before = Context.liveHandles();
    }

    @Override
    public void afterEach(ExtensionContext test) {
        assertThat(Context.liveHandles()).as("live native handles").isEqualTo(before);
    }
}
