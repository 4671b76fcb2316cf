package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.tensor.Context;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** Small runs of {@code finetune} on one text, and what {@code eval} finds in their results. */
abstract class FinetuneRuns {
    static final Path MODEL = Cli.model("llama_tied");

    @TempDir
    Path folder;

    Path text;

    /** What is trained. */
    Path model = MODEL;

    @BeforeEach
    void writeText() throws Exception {
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < 60; i++) {
            lines.append("assertEquals(%d, list.get(%d));\n".formatted(i, i));
        }
        text = Files.writeString(folder.resolve("text.txt"), lines);
    }

    @AfterEach
    void nothingStaysOpen() {
        assertThat(Context.liveHandles()).isZero();
    }

    final Cli finetune(Path out, Object... arguments) {
        Object[] always = {"--model", model, "--data", text, "--length", 32, "--batch", 2, "--threads", 1};
        return Cli.run(with(with(new Object[] {"finetune", "--out", out}, always), arguments));
    }

    /** A run that ends well, with an evaluation before and one after. */
    final Cli trained(Path out, Object... arguments) {
        Cli run = finetune(out, with(arguments, "--eval-data", text, "--json"));
        assertThat(run.err()).isEmpty();
        assertThat(run.status()).isZero();
        return run;
    }

    /** The loss before a run. */
    static double before(Cli run) {
        return loss(run, 0);
    }

    /** The loss after a run. */
    static double after(Cli run) {
        return loss(run, 1);
    }

    private static double loss(Cli run, int index) {
        return run.events("eval").get(index).get("loss").asDouble();
    }

    /** What {@code eval} says of the text, of the model with an adapter. */
    final double lossOf(Path adapter, Object... arguments) {
        return evaluate(with(new Object[] {"--model", model, "--adapter", adapter}, arguments));
    }

    final double evaluate(Object... target) {
        Object[] always = {"eval", "--data", text, "--length", 32, "--batch", 2, "--json"};
        return loss(Cli.run(with(always, target)), 0);
    }

    static Object[] with(Object[] first, Object... last) {
        List<Object> all = new ArrayList<>(Arrays.asList(first));
        all.addAll(Arrays.asList(last));
        return all.toArray();
    }

    static Path adapter(Path out) {
        return out.resolve("adapter_model.safetensors");
    }
}
