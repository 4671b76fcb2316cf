package io.graft.cli.demo;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.graft.cli.Method;
import io.graft.cli.MethodOptions;
import io.graft.cli.OpenModel;
import io.graft.cli.Output;
import io.graft.io.AtomicFiles;
import io.graft.io.LlamaConfig;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.OptionalInt;
import java.util.function.DoubleToLongFunction;

/**
 * The small Llama that the methods start from: trained from scratch on the main sources, and kept in the cache under a
 * name that stands for everything it depends on.
 */
final class BaseModel {
    static final String NAME = "base, from scratch";

    private static final double LEARNING_RATE = 1e-3;
    private static final String RESULT = "result.json";
    private static final ObjectMapper JSON = new ObjectMapper();

    private final DemoSettings settings;
    private final DemoText text;
    private final Path folder;

    BaseModel(DemoSettings settings, DemoText text) {
        this.settings = settings;
        this.text = text;
        this.folder = settings.cache().resolve("base-" + key());
    }

    Path folder() {
        return folder;
    }

    boolean cached() {
        return Files.exists(folder.resolve(RESULT)) && Files.exists(folder.resolve("model.safetensors"));
    }

    /** What the training of the cached model gave. */
    DemoResult result() throws IOException {
        return JSON.readValue(folder.resolve(RESULT).toFile(), DemoResult.class);
    }

    /** Trains the model, for so many seconds at most, and puts it into the cache. */
    DemoResult train(Output out, double seconds, DoubleToLongFunction steps) throws IOException {
        Llama.Options options =
                Llama.Options.training(Method.named("full").create().apply(new MethodOptions(), settings.seed()));
        try (Context context = settings.openContext();
                OpenModel model =
                        OpenModel.create(context, config(), settings.precision().dtype(), settings.seed(), options)) {
            TrainingRun run = new TrainingRun(
                    out, model, text.mainBatches(settings.seed()), DemoText.TOKENS, LEARNING_RATE, settings.seed());
            DemoResult result = settings.baseSteps() == null
                    ? run.until(seconds).train(NAME, text.mainValidation(), steps)
                    : run.train(NAME, text.mainValidation(), settings.baseSteps());
            save(model.llama(), result);
            return result;
        }
    }

    /** why: the result comes last, since a folder that has it counts as complete. */
    private void save(Llama llama, DemoResult result) throws IOException {
        Files.deleteIfExists(folder.resolve(RESULT));
        llama.save(folder);
        text.writeTokenizer(folder);
        AtomicFiles.write(folder.resolve(RESULT), JSON.writeValueAsString(result));
    }

    private LlamaConfig config() {
        return new LlamaConfig(
                DemoText.VOCABULARY,
                256,
                704,
                4,
                4,
                4,
                64,
                2048,
                1e-5,
                10_000,
                null,
                true,
                DType.F32,
                text.tokenizer().bos(),
                eos(text.tokenizer().eos()));
    }

    private static List<Integer> eos(OptionalInt token) {
        return token.isPresent() ? List.of(token.getAsInt()) : List.of();
    }

    private String key() {
        String facts = String.join(
                "\n",
                "2",
                config().toString(),
                text.corpusChecksum(),
                settings.precision().toString(),
                Long.toString(settings.seed()),
                settings.baseSteps() == null ? settings.minutes() + " minutes" : settings.baseSteps() + " steps");
        try {
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(facts.getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(digest, 0, 6);
        } catch (NoSuchAlgorithmException impossible) {
            throw new UncheckedIOException(new IOException(impossible));
        }
    }
}
