package io.graft.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.ThreadMXBean;
import io.graft.adapter.Adapter;
import io.graft.adapter.EntrySelection;
import io.graft.adapter.Full;
import io.graft.adapter.Lora;
import io.graft.adapter.Miss;
import io.graft.adapter.Paca;
import io.graft.adapter.Shira;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.io.PeftMissConfig;
import io.graft.io.PeftPacaConfig;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Supplier;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The loop: it learns, and threads, checkpointing, accumulation and interruption do not change what it learns. */
class TrainerTest {
    static final Supplier<Adapter> LORA = () -> Lora.create(
            PeftLoraConfig.builder()
                    .rank(4)
                    .alpha(8)
                    .dropout(0.1)
                    .targets("q_proj", "v_proj", "o_proj", "up_proj", "down_proj")
                    .build(),
            3);

    private static final Supplier<Adapter> PACA = () -> Paca.create(PeftPacaConfig.builder()
            .rank(4)
            .alpha(8)
            .targetPattern("all-linear")
            .randomSeed(5)
            .build());

    private static final Supplier<Adapter> MISS = () ->
            Miss.create(PeftMissConfig.of("base", List.of("q_proj", "o_proj", "up_proj", "down_proj"), 3, 0.1), 3);
    private static final Supplier<Adapter> SHIRA =
            () -> Shira.create("base", LlamaConfig.PROJECTIONS, 3, EntrySelection.magnitude(), 0);

    /** Losses and final masters of a run. */
    private record Result(List<Float> losses, List<float[]> masters) {}

    private static List<Example> examples() {
        SplittableRandom random = new SplittableRandom(5);
        List<Example> examples = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            int[] ids = new int[6 + random.nextInt(9)];
            for (int j = 0; j < ids.length; j++) {
                ids[j] = random.nextInt(200);
            }
            examples.add(Example.of(ids));
        }
        return examples;
    }

    static ExampleBatches source(int batchSize) {
        return new ExampleBatches(examples(), batchSize, 16, 8, 11);
    }

    static Trainer.Options options(long steps) {
        return Trainer.Options.of(steps, 0.01)
                .withSchedule(Schedule.cosine(0.01, 20).withWarmup(2))
                .withDropoutSeed(99);
    }

    private static Result run(int threads, DType dtype, Adapter adapter, boolean checkpointing) {
        try (Context context = Context.cpu(threads);
                Scope scope = context.scope();
                Llama model = Golden.load(
                        scope,
                        "llama_gqa",
                        dtype,
                        Llama.Options.training(adapter).withGradientCheckpointing(checkpointing));
                Trainer trainer = new Trainer(model, options(6).withAccumulation(2), source(2))) {
            return finish(trainer, model);
        }
    }

    private static Result finish(Trainer trainer, Llama model) {
        List<Float> losses = new ArrayList<>();
        trainer.onStep((step, loss, rate, norm, speed) -> losses.add(loss)).run();
        return new Result(
                losses, model.trainable().stream().map(p -> p.master().floats()).toList());
    }

    private static void assertSameBits(Result actual, Result expected) {
        assertThat(actual.losses()).isEqualTo(expected.losses());
        for (int i = 0; i < expected.masters().size(); i++) {
            assertThat(actual.masters().get(i)).isEqualTo(expected.masters().get(i));
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "BF16"})
    void theNumberOfThreadsChangesNoBit(DType dtype) {
        Result one = run(1, dtype, LORA.get(), false);
        assertSameBits(run(2, dtype, LORA.get(), false), one);
        assertSameBits(run(4, dtype, LORA.get(), false), one);
        assertSameBits(run(4, dtype, PACA.get(), false), run(1, dtype, PACA.get(), false));
        assertSameBits(run(4, dtype, SHIRA.get(), false), run(1, dtype, SHIRA.get(), false));
    }

    @Test
    void theNumberOfThreadsChangesNoBitOfFullFineTuning() {
        assertSameBits(run(4, DType.F32, new Full(), false), run(1, DType.F32, new Full(), false));
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "BF16"})
    void gradientCheckpointingChangesNoBit(DType dtype) {
        assertSameBits(run(2, dtype, LORA.get(), true), run(2, dtype, LORA.get(), false));
        assertSameBits(run(2, dtype, PACA.get(), true), run(2, dtype, PACA.get(), false));
        assertSameBits(run(2, dtype, SHIRA.get(), true), run(2, dtype, SHIRA.get(), false));
        assertSameBits(run(2, dtype, new Full(), true), run(2, dtype, new Full(), false));
    }

    @ParameterizedTest
    @ValueSource(strings = {"full", "lora", "paca", "shira", "miss"})
    void aRunThatResumesIsTheSameRun(String method, @TempDir Path directory) {
        Path file = directory.resolve("run.safetensors");
        Supplier<Adapter> adapter = Map.<String, Supplier<Adapter>>of(
                        "full", Full::new, "lora", LORA, "paca", PACA, "shira", SHIRA, "miss", MISS)
                .get(method);
        DType dtype = method.equals("lora") ? DType.F32 : DType.BF16;
        try (Context context = Context.cpu(2);
                Scope scope = context.scope()) {
            Result whole = part(scope, dtype, adapter.get(), 6, null, null);
            Result first = part(scope, dtype, adapter.get(), 3, null, file);
            Result rest = part(scope, dtype, adapter.get(), 6, file, null);
            List<Float> losses = new ArrayList<>(first.losses());
            losses.addAll(rest.losses());
            assertSameBits(new Result(losses, rest.masters()), whole);
        }
    }

    private static Result part(Scope scope, DType dtype, Adapter adapter, long steps, Path from, Path to) {
        try (Llama model = Golden.load(scope, "llama_gqa", dtype, Llama.Options.training(adapter));
                Trainer trainer = new Trainer(model, options(steps), source(3))) {
            if (from != null) {
                trainer.resume(from);
            }
            Result result = finish(trainer, model);
            if (to != null) {
                trainer.save(to);
            }
            return result;
        }
    }

    @Test
    void aCheckpointOfAnotherRunIsRefused(@TempDir Path directory) {
        Path file = directory.resolve("run.safetensors");
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            part(scope, DType.F32, LORA.get(), 1, null, file);
            assertThatThrownBy(() -> part(scope, DType.F32, new Full(), 2, file, null))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("number of tensors");
        }
    }

    @Test
    void accumulatedBatchesGiveTheGradientOfOneBatch() {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama one = Golden.load(scope, "llama_gqa", Llama.Options.training(new Full()));
                Llama many = Golden.load(scope, "llama_gqa", Llama.Options.training(new Full()));
                Trainer whole = new Trainer(one, Trainer.Options.of(1, 0), source(4));
                Trainer split = new Trainer(many, Trainer.Options.of(1, 0).withAccumulation(4), source(1))) {
            assertThat(split.step()).isCloseTo(whole.step(), Offset.offset(1e-5f));
            for (int i = 0; i < one.trainable().size(); i++) {
                Parameter expected = one.trainable().get(i);
                float[] actual = many.trainable().get(i).gradient().floats();
                Golden.assertClose(expected.name(), actual, expected.gradient().floats(), 1e-5);
            }
        }
    }

    @Test
    void theLossFalls() {
        Adapter adapter = Lora.create(
                PeftLoraConfig.builder()
                        .rank(8)
                        .alpha(16)
                        .targetPattern("all-linear")
                        .build(),
                1);
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_gqa", Llama.Options.training(adapter));
                Trainer trainer = new Trainer(model, Trainer.Options.of(30, 0.01), source(10))) {
            List<Float> losses = finish(trainer, model).losses();
            assertThat(losses.get(29)).isLessThan(0.7f * losses.get(0));
        }
    }

    @Test
    void stepsAfterTheFirstMakeNoGarbage() {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_gqa", Llama.Options.training(LORA.get()));
                Trainer trainer = new Trainer(model, options(0), new ExampleBatches(examples(), 2, 16, 16, 1))) {
            for (int i = 0; i < 3; i++) {
                trainer.step();
            }
            long before = threads.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < 10; i++) {
                trainer.step();
            }
            assertThat(threads.getCurrentThreadAllocatedBytes() - before).isLessThan(10 * 256);
        }
    }

    @Test
    void stepsAfterTheFirstMakeNoNativeObjects() {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_gqa", Llama.Options.training(LORA.get()));
                Trainer trainer = new Trainer(model, options(4), new ExampleBatches(examples(), 2, 16, 16, 1))) {
            trainer.step();
            long handles = Context.liveHandles();
            long peak = context.peakMemory();
            trainer.run();
            assertThat(Context.liveHandles()).isEqualTo(handles);
            assertThat(context.peakMemory()).isEqualTo(peak);
        }
    }
}
