package io.graft.benchmarks.peers;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.graft.benchmarks.measure.TemporaryFolder;
import io.graft.benchmarks.measure.WholeModel;
import io.graft.benchmarks.measure.Work;
import io.graft.tensor.DType;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Training steps of Python's PEFT: a process of {@code benchmarks/step/peer.py}, which takes a step for each line that it is
 * sent. The line there and back takes microseconds, a step milliseconds.
 */
public final class PeftStep {
    /** The Python that has torch, transformers and peft; without it there is no such peer. */
    public static final String PYTHON = "graft.bench.python";

    /** Nothing is trained but a norm of the first block, as in Graft's frozen contender. */
    public static final String FROZEN = "frozen";

    /** All weights are trained. */
    public static final String FULL = "full";

    private static final String SCRIPT = "peer.py";
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final long PATIENCE_SECONDS = 10;

    private final TemporaryFolder folder;
    private final Path log;
    private final Process process;
    private final BufferedWriter to;
    private final BufferedReader from;
    private float firstLoss = Float.NaN;
    private long peak;

    private PeftStep(TemporaryFolder folder, ProcessBuilder command) throws IOException {
        this.folder = folder;
        this.log = folder.path().resolve("log.txt");
        this.process = command.redirectError(log.toFile()).start();
        this.to = process.outputWriter();
        this.from = process.inputReader();
    }

    /** What {@value #PYTHON} names, or null. */
    public static String python() {
        return System.getProperty(PYTHON);
    }

    /**
     * Starts it; when this returns, the files have been read.
     *
     * @param base the model, as Hugging Face writes it
     * @param trained {@link #FROZEN}, {@link #FULL} or the folder of an adapter
     * @param compared tokens whose logits are results
     */
    public static Work start(Path base, String trained, DType dtype, int threads, WholeModel model, int compared) {
        TemporaryFolder folder = new TemporaryFolder();
        PeftStep peft = null;
        try {
            peft = new PeftStep(folder, command(folder.path(), base, trained, dtype, threads));
            Map<String, Object> request = Map.of("ids", model.rows(), "compared", compared);
            float[] logits = peft.logits(JSON.writeValueAsString(request));
            return peft.work(logits).tokens(model.tokens());
        } catch (IOException | RuntimeException failure) {
            if (peft == null) {
                folder.close();
            } else {
                peft.end();
            }
            throw new IllegalStateException("PEFT: " + failure.getMessage(), failure);
        }
    }

    private static ProcessBuilder command(Path folder, Path base, String trained, DType dtype, int threads)
            throws IOException {
        Path script = folder.resolve(SCRIPT);
        try (InputStream source = PeftStep.class.getResourceAsStream(SCRIPT)) {
            Files.copy(source, script);
        }
        return new ProcessBuilder(
                python(),
                script.toString(),
                "serve",
                base.toString(),
                trained,
                dtype.name().toLowerCase(Locale.ROOT),
                Integer.toString(threads));
    }

    private Work work(float[] logits) {
        return new Work(this::step)
                .gives("logits", () -> logits)
                .gives("loss", () -> new float[] {firstLoss})
                .peak(() -> peak)
                .ending(this::end);
    }

    private void step() {
        JsonNode done = ask("step");
        peak = done.path("peak_rss").asLong();
        if (Float.isNaN(firstLoss)) {
            firstLoss = (float) done.path("loss").asDouble(Double.NaN);
        }
    }

    private float[] logits(String request) {
        JsonNode values = ask(request).path("logits");
        float[] logits = new float[values.size()];
        for (int i = 0; i < logits.length; i++) {
            logits[i] = (float) values.get(i).asDouble();
        }
        return logits;
    }

    /** Sends a line and reads the line that answers it. */
    private JsonNode ask(String line) {
        try {
            to.write(line);
            to.newLine();
            to.flush();
            String answer = from.readLine();
            if (answer != null) {
                return JSON.readTree(answer);
            }
        } catch (IOException closed) {
            // why: a process that ended has said why on its standard error, which says more than a broken pipe.
        }
        throw new IllegalStateException(lastWords());
    }

    private String lastWords() {
        try {
            List<String> lines = Files.readAllLines(log).stream()
                    .filter(line -> !line.isBlank())
                    .toList();
            return lines.isEmpty() ? python() + " ended without a word" : lines.get(lines.size() - 1);
        } catch (IOException unreadable) {
            return python() + " ended, and " + log + " cannot be read";
        }
    }

    private void end() {
        try {
            to.close();
        } catch (IOException alreadyEnded) {
            // why: then there is nothing to close.
        }
        try {
            if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        } catch (InterruptedException stopped) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
        folder.close();
    }
}
