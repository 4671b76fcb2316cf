package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.Emulated;
import io.graft.adapter.Adapter;
import io.graft.adapter.Bottleneck;
import io.graft.adapter.Oft;
import io.graft.io.PeftBottleneckConfig;
import io.graft.io.PeftOftConfig;
import io.graft.tensor.Context;
import io.graft.tensor.Device;
import io.graft.tensor.Scope;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Passes that are kept as graphs while other passes use what their adapter shares: the bits of passes without graphs. */
@Emulated
class KeptPassTest {
    static Stream<Supplier<Adapter>> adapters() {
        return Stream.of(
                () -> Bottleneck.create(PeftBottleneckConfig.of("base", List.of("down_proj"), 5, false), 2),
                () -> Oft.create(PeftOftConfig.of("base", List.of("q_proj", "down_proj"), 6, false), 5));
    }

    private static Batch batch(int rows) {
        int[] ids = new int[rows * 7];
        for (int i = 0; i < ids.length; i++) {
            ids[i] = 3 + (17 * i + rows) % 190;
        }
        return Batch.of(rows, 7, ids, null);
    }

    /** Losses and gradients of three passes, an evaluation of more rows, three passes, one of as many, two passes. */
    private static List<Object> passes(Adapter adapter, boolean graphs, List<Boolean> kept) {
        List<Object> all = new ArrayList<>();
        try (Context context = Context.on(Device.cuda(0));
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_gqa", Llama.Options.training(adapter))) {
            Passes passes = new Passes(model, model.modules(), false);
            passes.keep(graphs);
            for (int i = 0; i < 8; i++) {
                if (i == 3) {
                    all.add(passes.loss(batch(4)));
                }
                if (i == 6) {
                    all.add(passes.loss(batch(2)));
                }
                model.zeroGradients();
                all.add(passes.lossAndGradients(batch(2), 0, 0, 0));
                kept.add(passes.kept());
                model.trainable().forEach(p -> all.add(p.gradient().floats()));
            }
            passes.release();
        }
        return all;
    }

    @ParameterizedTest
    @MethodSource("adapters")
    void anEvaluationOfOtherRowsMakesTheGraphAnew(Supplier<Adapter> adapter) {
        List<Boolean> kept = new ArrayList<>();
        List<Object> expected = passes(adapter.get(), false, new ArrayList<>());
        assertThat(passes(adapter.get(), true, kept)).usingRecursiveComparison().isEqualTo(expected);
        assertThat(kept).containsExactly(false, true, true, false, true, true, true, true);
    }
}
