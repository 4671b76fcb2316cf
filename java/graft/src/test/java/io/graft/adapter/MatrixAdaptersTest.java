package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.io.PeftBoftConfig;
import io.graft.io.PeftC3aConfig;
import io.graft.io.PeftCapaBoostConfig;
import io.graft.io.PeftCompacterConfig;
import io.graft.io.PeftFourierConfig;
import io.graft.io.PeftGloraConfig;
import io.graft.io.PeftHiraConfig;
import io.graft.io.PeftHiwiConfig;
import io.graft.io.PeftKAdaptationConfig;
import io.graft.io.PeftLohaConfig;
import io.graft.io.PeftLokrConfig;
import io.graft.io.PeftOftConfig;
import io.graft.io.PeftQaLoraConfig;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Weight;
import io.graft.train.AdamW;
import io.graft.train.Example;
import io.graft.train.ExampleBatches;
import io.graft.train.Schedule;
import io.graft.train.Trainer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** In a whole model, what adapters whose change of a weight has a form of its own have in common. */
class MatrixAdaptersTest {
    private static final List<String> ALL =
            List.of("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj");

    /**
     * One of the adapters.
     *
     * @param codes whether it trains over NF4
     */
    private record Kind(Supplier<Adapter> fresh, Function<Path, Adapter> load, boolean codes) {}

    private static final Map<String, Kind> KINDS = Map.ofEntries(
            Map.entry("loha", new Kind(() -> Loha.create(PeftLohaConfig.of("", ALL, 2, 4), 5), Loha::load, true)),
            Map.entry("oft", new Kind(() -> Oft.create(PeftOftConfig.of("", ALL, 6, false), 5), Oft::load, true)),
            Map.entry("oft_exact", new Kind(() -> Oft.create(PeftOftConfig.of("", ALL, 8, true), 5), Oft::load, true)),
            Map.entry(
                    "lokr",
                    new Kind(() -> Lokr.create(PeftLokrConfig.of("", ALL, 2, 4, -1, false), 5), Lokr::load, true)),
            Map.entry(
                    "lokr_both",
                    new Kind(() -> Lokr.create(PeftLokrConfig.of("", ALL, 2, 4, -1, true), 5), Lokr::load, true)),
            Map.entry(
                    "krona",
                    new Kind(() -> Lokr.create(PeftLokrConfig.of("", ALL, 99, 99, 4, false), 5), Lokr::load, true)),
            Map.entry(
                    "qalora",
                    new Kind(() -> QaLora.create(PeftQaLoraConfig.of("", ALL, 3, 6, 4), 5), QaLora::load, true)),
            Map.entry("hira", new Kind(() -> Hira.create(PeftHiraConfig.of("", ALL, 3), 5), Hira::load, true)),
            Map.entry("glora", new Kind(() -> Glora.create(PeftGloraConfig.of("", ALL, 3), 5), Glora::load, true)),
            Map.entry("hiwi", new Kind(() -> Hiwi.create(PeftHiwiConfig.of("", ALL, 3), 5), Hiwi::load, true)),
            Map.entry("c3a", new Kind(() -> C3a.create(PeftC3aConfig.of("", ALL, 8), 5), C3a::load, true)),
            Map.entry(
                    "fourierft",
                    new Kind(
                            () -> FourierFt.create(PeftFourierConfig.of("", ALL, 40, 100, 7), 5),
                            FourierFt::load,
                            true)),
            Map.entry(
                    "kadaptation",
                    new Kind(
                            () -> KAdaptation.create(PeftKAdaptationConfig.of("", ALL, 2), 5),
                            KAdaptation::load,
                            true)),
            Map.entry(
                    "capaboost",
                    new Kind(
                            () -> CapaBoost.create(PeftCapaBoostConfig.of("", ALL, 3, 6, 0.1, 2, 0.5, 7), 5),
                            CapaBoost::load,
                            true)),
            Map.entry("boft", new Kind(() -> Boft.create(PeftBoftConfig.of("", ALL, 2, 2), 5), Boft::load, false)),
            Map.entry(
                    "compacter",
                    new Kind(
                            () -> Compacter.create(PeftCompacterConfig.of("", List.of("o_proj", "down_proj"), 8), 5),
                            Compacter::load,
                            true)));

    static Stream<String> kinds() {
        return KINDS.keySet().stream().sorted();
    }

    static Stream<Arguments> inEachType() {
        return kinds().flatMap(kind -> Stream.of(DType.F32, DType.BF16).map(dtype -> Arguments.of(kind, dtype)));
    }

    static Stream<Arguments> overEachBase() {
        return kinds().flatMap(kind -> Stream.of(Weight.Kind.DENSE, Weight.Kind.NF4)
                .filter(base -> base == Weight.Kind.DENSE || KINDS.get(kind).codes())
                .map(base -> Arguments.of(kind, base)));
    }

    private static Llama model(Scope scope, Adapter adapter, DType dtype, Weight.Kind base) {
        return Golden.load(
                scope, "llama_gqa", dtype, Llama.Options.training(adapter).withBase(base));
    }

    private static Batch batch() {
        return Batch.of(1, 7, new int[] {1, 7, 3, 9, 4, 30, 11}, null);
    }

    @ParameterizedTest
    @MethodSource("inEachType")
    void startsAtTheBase(String kind, DType dtype) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama base = model(scope, null, dtype, Weight.Kind.DENSE);
                Llama tuned = model(scope, KINDS.get(kind).fresh().get(), dtype, Weight.Kind.DENSE)) {
            // A network behind a projection, and kept outputs, round the layer's output before it joins the residual
            // stream.
            boolean rounds = kind.equals("compacter") || kind.equals("boft");
            double within = rounds && dtype == DType.BF16 ? 0.02 : 0;
            Golden.assertClose("logits", tuned.logits(batch()), base.logits(batch()), within);
            assertThat(tuned.trainable()).isNotEmpty();
        }
    }

    @ParameterizedTest
    @MethodSource("overEachBase")
    void trainsAndComesBack(String kind, Weight.Kind base, @TempDir Path folder) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama tuned = model(scope, KINDS.get(kind).fresh().get(), DType.F32, base);
                AdamW optimiser = new AdamW(scope, tuned.trainable(), AdamW.Settings.defaults())) {
            float before = tuned.loss(batch());
            for (int i = 0; i < 10; i++) {
                tuned.zeroGradients();
                tuned.lossAndGradients(batch());
                optimiser.step(0.02);
                tuned.parametersChanged();
            }
            float after = tuned.loss(batch());
            assertThat(after).isLessThan(before - 0.1f);
            tuned.adapter().save(folder);
            try (Llama loaded = model(scope, KINDS.get(kind).load().apply(folder), DType.F32, base)) {
                assertThat(loaded.loss(batch())).isEqualTo(after);
                if (base == Weight.Kind.DENSE && loaded.adapter().mergeable()) {
                    loaded.merge();
                    assertThat(loaded.loss(batch())).isCloseTo(after, Offset.offset(2e-5f));
                }
            }
        }
    }

    /** Losses and final masters of a run. */
    private record Result(List<Float> losses, List<float[]> masters) {
        void hasTheBitsOf(Result other) {
            assertThat(losses).isEqualTo(other.losses);
            for (int i = 0; i < masters.size(); i++) {
                assertThat(masters.get(i)).isEqualTo(other.masters.get(i));
            }
        }
    }

    @ParameterizedTest
    @MethodSource("inEachType")
    void threadsCheckpointingAndResumingChangeNoBit(String kind, DType dtype, @TempDir Path folder) {
        Path file = folder.resolve("run.safetensors");
        Result whole = run(kind, dtype, 1, false, 4, null, null);
        run(kind, dtype, 4, true, 4, null, null).hasTheBitsOf(whole);
        Result first = run(kind, dtype, 2, false, 2, null, file);
        Result rest = run(kind, dtype, 2, false, 4, file, null);
        List<Float> losses = new ArrayList<>(first.losses());
        losses.addAll(rest.losses());
        new Result(losses, rest.masters()).hasTheBitsOf(whole);
    }

    private static Result run(
            String kind, DType dtype, int threads, boolean checkpointing, long steps, Path from, Path to) {
        List<Example> examples = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            examples.add(Example.of(new int[] {3 * i + 1, 7, 3 + i, 9, 4, 30, 11, 2 * i}));
        }
        Llama.Options options =
                Llama.Options.training(KINDS.get(kind).fresh().get()).withGradientCheckpointing(checkpointing);
        try (Context context = Context.cpu(threads);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_gqa", dtype, options);
                Trainer trainer = new Trainer(
                        model,
                        Trainer.Options.of(steps, 0.01).withSchedule(Schedule.cosine(0.01, 20)),
                        new ExampleBatches(examples, 3, 16, 8, 11))) {
            List<Float> losses = new ArrayList<>();
            if (from != null) {
                trainer.resume(from);
            }
            trainer.onStep((step, loss, rate, norm, speed) -> losses.add(loss)).run();
            if (to != null) {
                trainer.save(to);
            }
            return new Result(
                    losses,
                    model.trainable().stream().map(p -> p.master().floats()).toList());
        }
    }
}
