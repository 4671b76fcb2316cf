package io.graft.cli.demo;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.graft.cli.Method;
import io.graft.cli.MethodOptions;
import io.graft.cli.OpenModel;
import io.graft.cli.Output;
import io.graft.cli.compare.Comparison;
import io.graft.cli.compare.Contender;
import io.graft.cli.compare.Result;
import io.graft.io.AtomicFiles;
import io.graft.io.LlamaConfig;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.train.BatchSource;
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

/**
 * The small Llama that the methods start from: trained from scratch on the main sources, and kept in the cache under a
 * name that stands for everything it depends on.
 */
final class BaseModel {
    static final String NAME = "base, from scratch";

    private static final double LEARNING_RATE = 1e-3;
    private static final int STEPS_LEAST = 10;
    private static final int STEPS_MOST = 600;
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

    OpenModel open(Context context, Llama.Options options) {
        return OpenModel.open(context, folder, settings.precision().dtype(), options);
    }

    boolean cached() {
        return Files.exists(folder.resolve(RESULT)) && Files.exists(folder.resolve("model.safetensors"));
    }

    /** What the training of the cached model gave. */
    Result result() throws IOException {
        return JSON.readValue(folder.resolve(RESULT).toFile(), Result.class);
    }

    /** Trains the model, for about so many seconds and at most for so many, and puts it into the cache. */
    Result train(Output out, double seconds, double most) throws IOException {
        Llama.Options options =
                Llama.Options.training(Method.named("full").create(new MethodOptions(), settings.seed()));
        Context context = settings.openContext();
        OpenModel model =
                OpenModel.create(context, config(), settings.precision().dtype(), settings.seed(), options);
        BatchSource source = text.mainBatches(settings.seed());
        try (Contender contender =
                new Contender(NAME, context, model, source, DemoText.TOKENS, LEARNING_RATE, settings.seed())) {
            Comparison training = new Comparison(out, List.of(contender), text.mainValidation(), () -> false);
            Result result = (settings.baseSteps() == null
                            ? training.run(seconds, most, STEPS_LEAST, STEPS_MOST)
                            : training.run(settings.baseSteps()))
                    .get(0);
            save(model.llama(), result);
            return result;
        }
    }

    /** why: the result comes last, since a folder that has it counts as complete. */
    private void save(Llama llama, Result result) throws IOException {
        Files.deleteIfExists(folder.resolve(RESULT));
        llama.save(folder);
        text.writeTokenizer(folder);
        AtomicFiles.write(folder.resolve(RESULT), JSON.writeValueAsString(result));
    }

    private LlamaConfig config() {
        return LlamaConfig.llama(DemoText.VOCABULARY, 256, 704, 4, 4, 4, 64, 2048, 1e-5, true)
                .withTokens(text.tokenizer().bos(), eos(text.tokenizer().eos()));
    }

    private static List<Integer> eos(OptionalInt token) {
        return token.isPresent() ? List.of(token.getAsInt()) : List.of();
    }

    private String key() {
        String facts = String.join(
                "\n",
                "3",
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
