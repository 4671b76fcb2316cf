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
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Sketches of whole models; the procedure itself is proven by the native tests. */
class SketcherTest {
    private static final String MODEL = "llama_gqa";
    private static final LlamaConfig CONFIG = LlamaConfig.read(Golden.model(MODEL));
    private static final int LENGTH = 16;

    @TempDir
    Path folder;

    /** Of a few words, so that inputs have few directions: random weights know no other structure. */
    private static int[][] text() {
        SplittableRandom random = new SplittableRandom(1);
        int[][] text = new int[21][];
        for (int i = 0; i < text.length; i++) {
            text[i] = random.ints(LENGTH, 0, 12).toArray();
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
            assertThat(sketcher.run(files, (module, error) -> errors.add(error)))
                    .isTrue();
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

    private static float[] firstBlock(Llama model) {
        float[][] output = new float[1][];
        int[] ids = Stream.of(text()).flatMapToInt(IntStream::of).toArray();
        model.trace(Batch.of(text().length, LENGTH, ids, null), (stage, tensor) -> {
            if (stage.equals("model.layers.0")) {
                output[0] = tensor.floats();
            }
        });
        return output[0];
    }

    @ParameterizedTest
    @CsvSource({"F32, 2", "F32, 3", "BF16, 2", "F32, 4"})
    void calibrationKeepsOutputsNearer(DType dtype, int bits) throws Exception {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope()) {
            assertThat(sketch(scope, dtype, bits, folder)).hasSize(14).allMatch(error -> error > 0 && error < 1);
            float[] dense = firstBlock(load(scope, Golden.model(MODEL), Llama.Options.inference()));
            float[] sketched = firstBlock(load(scope, folder, Llama.Options.inference()));
            SketchTune nearest = SketchTune.create(PeftSketchTuneConfig.of("base", LlamaConfig.PROJECTIONS), bits, 1);
            float[] uncalibrated = firstBlock(load(scope, Golden.model(MODEL), Llama.Options.training(nearest)));
            assertThat(distance(sketched, dense)).isPositive().isLessThan(0.8 * distance(uncalibrated, dense));
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
                        .hasMessageContaining("holds SKETCH already");
            }
        }
    }
}
