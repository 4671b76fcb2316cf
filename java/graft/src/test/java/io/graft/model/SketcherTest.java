package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.adapter.SketchTune;
import io.graft.io.Checkpoint;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftSketchTuneConfig;
import io.graft.io.ShardedWriter;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.WeightForm;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Sketches of whole models; the procedure itself is proven by the native tests. */
class SketcherTest {
    private static final String MODEL = "llama_gqa";
    private static final LlamaConfig CONFIG = LlamaConfig.read(Golden.model(MODEL));
    private static final int LENGTH = 16;

    @TempDir
    Path folder;

    private static int[][] text() {
        SplittableRandom random = new SplittableRandom(1);
        int[][] text = new int[21][];
        for (int i = 0; i < text.length; i++) {
            text[i] = random.ints(LENGTH, 0, CONFIG.vocabularySize()).toArray();
        }
        return text;
    }

    private static Sketcher.Settings settings(int bits, int groups) {
        return new Sketcher.Settings(WeightForm.sketch(bits, groups), 0.1, 4, true, 4);
    }

    private List<Double> sketch(Scope scope, DType dtype, int bits, Path out) throws Exception {
        Files.createDirectories(out);
        List<Double> errors = new ArrayList<>();
        try (Checkpoint checkpoint = Checkpoint.open(Golden.model(MODEL))) {
            Sketcher sketcher = new Sketcher(scope, checkpoint, CONFIG, dtype, settings(bits, 1), text());
            ShardedWriter files = new ShardedWriter(out, Recoder.shards(CONFIG));
            assertThat(sketcher.run(files, (module, error) -> errors.add(error))).isTrue();
        }
        return errors;
    }

    private static Llama load(Scope scope, Path model, Llama.Options options) {
        try (Checkpoint checkpoint = Checkpoint.open(model)) {
            return Llama.load(scope, checkpoint, LlamaConfig.read(model), DType.F32, options);
        }
    }

    private static double distance(float[] a, float[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += (a[i] - b[i]) * (double) (a[i] - b[i]);
        }
        return Math.sqrt(sum / a.length);
    }

    /** Over other text than that of the calibration. */
    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "BF16"})
    void calibrationKeepsTheLogitsNearer(DType dtype) throws Exception {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope()) {
            assertThat(sketch(scope, dtype, 3, folder)).hasSize(14).allMatch(error -> error > 0 && error < 1);
            Batch batch = Batch.of(1, 9, new int[] {1, 7, 3, 9, 4, 30, 11, 2, 40}, null);
            float[] dense = load(scope, Golden.model(MODEL), Llama.Options.inference()).logits(batch);
            float[] sketched = load(scope, folder, Llama.Options.inference()).logits(batch);
            SketchTune nearest = SketchTune.create(PeftSketchTuneConfig.of("base", LlamaConfig.PROJECTIONS), 3, 1);
            float[] uncalibrated = load(scope, Golden.model(MODEL), Llama.Options.training(nearest)).logits(batch);
            assertThat(distance(sketched, dense)).isPositive().isLessThan(0.95 * distance(uncalibrated, dense));
        }
    }

    @Test
    void filesAreTheSameForAnyNumberOfThreads() throws Exception {
        for (int threads : new int[] {1, 3}) {
            try (Context context = Context.cpu(threads);
                    Scope scope = context.scope()) {
                sketch(scope, DType.F32, 2, folder.resolve("by" + threads));
            }
        }
        try (var files = Files.list(folder.resolve("by1"))) {
            List<Path> all = files.toList();
            assertThat(all).hasSize(CONFIG.layers() + 3);
            for (Path file : all) {
                assertThat(folder.resolve("by3").resolve(file.getFileName())).hasSameBinaryContentAs(file);
            }
        }
    }

    /** Dense weights in memory: those of a block, or the table of embeddings. */
    @Test
    void oneBlockIsInMemoryAtATime() throws Exception {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            sketch(scope, DType.F32, 4, folder);
            long table = 4L * CONFIG.vocabularySize() * CONFIG.hiddenSize();
            long block = 4 * (CONFIG.parameters() - 2 * table / 4) / CONFIG.layers();
            assertThat(context.peakMemory(Memory.BASE)).isLessThan(Math.max(table, 2 * block));
            assertThat(context.memory(Memory.WORKSPACE)).isLessThan(block + (1 << 20));
        }
    }

    @Test
    void codesAreNotMadeOfCodes() throws Exception {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            sketch(scope, DType.F32, 4, folder);
            try (Checkpoint checkpoint = Checkpoint.open(folder)) {
                assertThatThrownBy(() -> new Nf4Recoder(scope, checkpoint, CONFIG, DType.F32))
                        .hasMessageContaining("q_proj is SKETCH already");
            }
        }
    }
}
