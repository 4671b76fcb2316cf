package io.graft.cli;

import io.graft.model.Batch;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;

/** Every method with few of everything, so that an emulated device can run all of them. */
final class SmallMethods {
    static final Path MODEL = Cli.model("llama_tied");
    static final int EXAMPLES = 4;
    static final int STEPS = 3;
    static final long SEED = 5;

    private static final int VOCABULARY = 330;
    private static final int ROWS = 2;
    private static final int LENGTH = 4;

    /** The one has dropout of its own, the other starts from singular vectors: with signs that a mask would show. */
    private static final Set<String> WITHOUT_DROPOUT = Set.of("lora-dropout", "loraga");

    private SmallMethods() {}

    static Stream<String> names() {
        return MethodTable.ALL.stream().map(Method::name);
    }

    /** Methods that go on from trained adapters get two of the folder. */
    static MethodOptions options(String method, Path folder) {
        MethodOptions options = new MethodOptions().withBaseModel(MODEL).withSteps(STEPS);
        options.rank = 4;
        options.dropout = WITHOUT_DROPOUT.contains(method) ? 0 : 0.25;
        options.virtualTokens = 3;
        options.frequencies = 20;
        options.reselectEvery = 2;
        if (method.equals("mole") || method.equals("fusion")) {
            options.fuse = Stream.of("one", "two")
                    .map(name -> adapter(Method.named(method.equals("mole") ? "lora" : "bottleneck"), folder, name))
                    .toList();
        }
        return options;
    }

    private static Path adapter(Method method, Path folder, String name) {
        Path adapter = folder.resolve(name);
        if (!Files.exists(adapter)) {
            try (Context context = Context.cpu(1);
                    OpenModel opened = OpenModel.open(
                            context, MODEL, DType.F32, training(method, options(method.name(), folder)))) {
                Random random = new Random(name.hashCode());
                opened.llama()
                        .trainable()
                        .forEach(p -> p.master().set(moved(p.master().doubles(), random)));
                method.save(opened.llama(), adapter);
            }
        }
        return adapter;
    }

    /** What a method trains: for SketchTune sketches of the folder, since those of a device's own numbers are others. */
    static Path model(String method, Path folder) throws IOException {
        if (!method.equals("sketchtune")) {
            return MODEL;
        }
        Path sketched = folder.resolve("sketched");
        if (!Files.exists(sketched)) {
            Path text = Files.writeString(folder.resolve("text.txt"), "assertEquals(1, list.get(1));\n".repeat(9));
            Cli run = Cli.run("sketch", "--model", MODEL, "--output", sketched, "--calibration", text, "--length", 16);
            if (run.status() != 0) {
                throw new IllegalStateException(run.err());
            }
        }
        return sketched;
    }

    /** A fresh adapter over the base that it needs. */
    static Llama.Options training(Method method, MethodOptions options) {
        Llama.Options training = Llama.Options.training(method.create(options, SEED));
        return method.name().equals("loftq") ? training.withBase(Quantization.NF4.kind()) : training;
    }

    /** Values of fp32 a little away from these. */
    static double[] moved(double[] values, Random random) {
        return Arrays.stream(values)
                .map(value -> (float) (value + 0.02 * random.nextGaussian()))
                .toArray();
    }

    static Batch batch(int number) {
        int[] ids = new Random(number).ints(ROWS * LENGTH, 0, VOCABULARY).toArray();
        return Batch.of(ROWS, LENGTH, ids, null);
    }
}
