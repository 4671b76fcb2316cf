package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the steps of a generation leave to the garbage collector. */
class GenerationMemoryTest {
    private static final int TOKENS = 40;

    /** A page's worth of tokens and the beginning of the next one lie before what is measured, within one page. */
    @ParameterizedTest
    @ValueSource(strings = {"llama_gqa", "gemma3", "phi3", "gpt_bigcode"})
    void tokensAfterTheFirstMakeNextToNoGarbage(String name) {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, name, DType.F32, Llama.Options.inference());
                Generator generator = new Generator(model);
                TokenStream tokens = generator.stream(new int[] {1, 7, 3}, 10 + TOKENS, Sampling.greedy())) {
            for (int i = 0; i < 10; i++) {
                tokens.nextInt();
            }
            long before = threads.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < TOKENS; i++) {
                tokens.nextInt();
            }
            assertThat(threads.getCurrentThreadAllocatedBytes() - before).isLessThan(TOKENS * 1024L);
        }
    }
}
