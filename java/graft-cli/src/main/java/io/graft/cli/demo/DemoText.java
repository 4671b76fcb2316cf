package io.graft.cli.demo;

import io.graft.cli.TextExamples;
import io.graft.io.TextDataset;
import io.graft.io.Tokenizer;
import io.graft.model.Batch;
import io.graft.train.BatchSource;
import io.graft.train.Example;
import io.graft.train.ExampleBatches;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.function.Consumer;

/** The demo's text as tokens: training and validation blocks of the main sources and of the unit tests. */
final class DemoText implements AutoCloseable {
    static final int BATCH = 8;
    static final int LENGTH = 256;
    static final long TOKENS = (long) BATCH * LENGTH;
    static final int VOCABULARY = 8192;

    /** why: enough for every step that the time allows, without tokenising what would never be read. */
    private static final long TRAINING_CHARACTERS = 6_000_000;

    private static final long VALIDATION_CHARACTERS = 400_000;
    private static final int VALIDATION_BATCHES = 6;
    private static final List<String> TOKENIZER_FILES = List.of("tokenizer.json", "tokenizer_config.json");

    private final Path tokenizerFolder;
    private final Tokenizer tokenizer;
    private final String corpusChecksum;
    private final List<Example> main;
    private final List<Example> tests;
    private final List<Batch> mainValidation;
    private final List<Batch> testValidation;

    /** Fetches the sources if need be, which the listener is told of, and tokenises them. */
    DemoText(Path cache, Consumer<String> listener) throws IOException {
        SourceJars jars = new SourceJars(cache.resolve("corpus"));
        Corpus corpus = Corpus.read(jars.obtain(listener));
        corpusChecksum = jars.checksum();
        tokenizerFolder = cache.resolve("tokenizer");
        Files.createDirectories(tokenizerFolder);
        for (String name : TOKENIZER_FILES) {
            try (InputStream in = DemoText.class.getResourceAsStream("/tokenizer/" + name)) {
                Files.copy(in, tokenizerFolder.resolve(name), StandardCopyOption.REPLACE_EXISTING);
            }
        }
        tokenizer = Tokenizer.load(tokenizerFolder);
        main = examples(corpus.main().training(), TRAINING_CHARACTERS);
        tests = examples(corpus.tests().training(), TRAINING_CHARACTERS);
        mainValidation = validation(corpus.main().validation());
        testValidation = validation(corpus.tests().validation());
    }

    private List<Batch> validation(List<String> files) {
        return TextExamples.batches(examples(files, VALIDATION_CHARACTERS), BATCH, VALIDATION_BATCHES);
    }

    private List<Example> examples(List<String> files, long characters) {
        TextDataset.Builder builder = TextDataset.builder(tokenizer, LENGTH);
        long taken = 0;
        for (String file : files) {
            if (taken >= characters) {
                break;
            }
            builder.addText(file);
            taken += file.length();
        }
        return TextExamples.of(builder.build());
    }

    Tokenizer tokenizer() {
        return tokenizer;
    }

    String corpusChecksum() {
        return corpusChecksum;
    }

    BatchSource mainBatches(long seed) {
        return new ExampleBatches(main, BATCH, LENGTH, LENGTH, seed);
    }

    BatchSource testBatches(long seed) {
        return new ExampleBatches(tests, BATCH, LENGTH, LENGTH, seed);
    }

    List<Batch> mainValidation() {
        return mainValidation;
    }

    List<Batch> testValidation() {
        return testValidation;
    }

    String describe() {
        return String.format(
                java.util.Locale.ROOT,
                "%,d training tokens of main sources, %,d of unit tests",
                (long) main.size() * LENGTH,
                (long) tests.size() * LENGTH);
    }

    void writeTokenizer(Path folder) throws IOException {
        for (String name : TOKENIZER_FILES) {
            Files.copy(tokenizerFolder.resolve(name), folder.resolve(name), StandardCopyOption.REPLACE_EXISTING);
        }
    }

    @Override
    public void close() {
        tokenizer.close();
    }
}
