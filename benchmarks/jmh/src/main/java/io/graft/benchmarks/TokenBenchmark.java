package io.graft.benchmarks;

import org.openjdk.jmh.annotations.Param;

/** An op on the activations of so many tokens. A few tokens are decoding, which has no backward. */
public abstract class TokenBenchmark extends OpBenchmark {
    private static final int DECODED_AT_MOST = 8;

    @Param({"512", "1", "8", "128", "2048"})
    public int tokens;

    /** Whether a call is forward and backward, and not forward alone. */
    protected final boolean training() {
        return tokens > DECODED_AT_MOST;
    }
}
