package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.graft.tensor.Context;
import io.graft.tensor.Weight;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Small runs of {@code finetune}, and of the commands that use their results. */
class FinetuneTest {
    private static final Path MODEL = Cli.model("llama_tied");

    @TempDir
    Path folder;

    private Path text;

    @BeforeEach
    void writeText() throws Exception {
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < 60; i++) {
            lines.append("assertEquals(")
                    .append(i)
                    .append(", list.get(")
                    .append(i)
                    .append("));\n");
        }
        text = Files.writeString(folder.resolve("text.txt"), lines);
    }

    @AfterEach
    void nothingStaysOpen() {
        assertThat(Context.liveHandles()).isZero();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "lora",
                "lora+",
                "lora-fa",
                "lora-dropout",
                "periodic-lora",
                "full",
                "child-tuning",
                "dora",
                "pissa",
                "olora",
                "eva",
                "loraga",
                "corda",
                "adalora",
                "vera",
                "miss",
                "lokr",
                "loha",
                "oft",
                "boft",
                "qalora",
                "hira",
                "glora",
                "hiwi",
                "compacter",
                "c3a",
                "fourierft",
                "kadaptation",
                "peqa",
                "paca",
                "s2ft",
                "rows",
                "shira",
                "fishmask",
                "fish-dip",
                "spt",
                "diff-pruning",
                "s-diff-pruning",
                "sketchtune",
                "ia3",
                "ssf",
                "dylora",
                "sora",
                "propetl",
                "bitfit",
                "u-bitfit",
                "s-bitfit",
                "sparse-adapter",
                "prompt",
                "xprompt",
                "dept",
                "prefix",
                "propagation",
                "said",
                "lst",
                "ptuning",
                "llama-adapter",
                "bottleneck",
                "moelora",
                "mixlora",
                "mov",
                "adamix",
                "smop",
                "unipelt",
                "mam",
                "prefix+lora",
                "ln"
            })
    void lossFallsAndTheResultIsUsable(String method) {
        Path out = folder.resolve(method);
        Cli run = finetune(out, "--method", method, "--steps", 30, "--eval-data", text, "--json");
        assertThat(run.err()).isEmpty();
        assertThat(run.status()).isZero();
        assertThat(run.events("step")).hasSize(30);
        List<JsonNode> evaluations = run.events("eval");
        double before = evaluations.get(0).get("loss").asDouble();
        double after = evaluations.get(1).get("loss").asDouble();
        assertThat(after).isLessThan(before - 0.3);
        assertThat(run.events("done").get(0).get("peak_memory_bytes").asLong()).isPositive();

        List<Object> target = Method.named(method).peftType() == null
                ? List.of("--model", out)
                : List.of("--model", MODEL, "--adapter", out);
        Cli evaluated = Cli.run(with(target, "eval", "--data", text, "--length", 32, "--batch", 2, "--json"));
        // These files hold the same sums with other terms.
        boolean converted = List.of(
                        "lora-dropout", "periodic-lora", "pissa", "olora", "loraga", "corda", "adalora", "sora")
                .contains(method);
        assertThat(evaluated.events("eval").get(0).get("loss").asDouble())
                .isCloseTo(after, Offset.offset(converted ? 1e-5 : 0));
        Cli generated = Cli.run(
                with(target, "generate", "--prompt", "assertEquals(", "--max-tokens", 5, "--temperature", 0, "--json"));
        assertThat(generated.status()).isZero();
        assertThat(generated.events("generated").get(0).get("tokens").asInt()).isBetween(1, 5);
    }

    @Test
    void aWholeModelGoesWithNoAdapter() {
        Cli run = finetune(folder.resolve("out"), "--method", "full+lora", "--steps", 1);
        assertThat(run.status()).isEqualTo(2);
        assertThat(run.err()).contains("'full' trains the model itself and goes with no other");
        assertThat(finetune(folder.resolve("out"), "--method", "loftq", "--steps", 1)
                        .err())
                .contains("q_proj is DENSE; LoftQ starts from a dense checkpoint that is quantised as it is loaded");
    }

    @Test
    void trainedAdaptersAreFused() {
        Path first = folder.resolve("first");
        Path second = folder.resolve("second");
        assertThat(finetune(first, "--method", "bottleneck", "--rank", 4, "--steps", 30)
                        .status())
                .isZero();
        assertThat(finetune(second, "--method", "adamix", "--rank", 6, "--steps", 30)
                        .status())
                .isZero();
        Path out = folder.resolve("fused");
        Cli run = finetune(
                out,
                "--method",
                "fusion",
                "--fuse",
                first,
                "--fuse",
                second,
                "--steps",
                20,
                "--eval-data",
                text,
                "--json");
        assertThat(run.err()).isEmpty();
        List<JsonNode> evaluations = run.events("eval");
        double after = evaluations.get(1).get("loss").asDouble();
        assertThat(after).isLessThan(evaluations.get(0).get("loss").asDouble() - 0.1);
        Cli evaluated = Cli.run(
                "eval", "--model", MODEL, "--adapter", out, "--data", text, "--length", 32, "--batch", 2, "--json");
        assertThat(evaluated.events("eval").get(0).get("loss").asDouble()).isEqualTo(after);
        Path low = folder.resolve("low");
        assertThat(finetune(low, "--method", "lora", "--rank", 4, "--steps", 20).status())
                .isZero();
        Cli routed = finetune(
                folder.resolve("routed"),
                "--method",
                "mole",
                "--fuse",
                low,
                "--fuse",
                Cli.adapter("llama_tied", "lora"),
                "--steps",
                3);
        assertThat(routed.status()).as(routed.err()).isZero();
        Cli alone = finetune(folder.resolve("x"), "--method", "fusion", "--fuse", first, "--steps", 1);
        assertThat(alone.err()).contains("--method fusion needs --fuse for each of at least two");
    }

    /** The list of what trains over codes says what the adapters themselves accept. */
    @Test
    void overCodesTrainsWhatIsListed() {
        List<Method> listed = Method.all(Weight.Kind.DENSE, Quantization.NF4);
        for (Method method : Method.all()) {
            Cli run = finetune(
                    folder.resolve("nf4-" + method.name()),
                    "--method",
                    method.name(),
                    "--quantize",
                    "nf4",
                    "--steps",
                    1);
            assertThat(run.status() == 0).as(method.name() + ": " + run.err()).isEqualTo(listed.contains(method));
        }
    }

    /** Columns and rows of one method are two adapters in one folder. */
    @Test
    void s2ftTrainsRowsBesideColumns() throws Exception {
        Path out = folder.resolve("s2ft-rows");
        Cli run = finetune(
                out,
                "--method",
                "s2ft",
                "--rank",
                4,
                "--target-modules",
                "v_proj,o_proj,up_proj,down_proj",
                "--steps",
                10,
                "--eval-data",
                text,
                "--json");
        assertThat(run.err()).isEmpty();
        double after = run.events("eval").get(1).get("loss").asDouble();
        Cli evaluated = Cli.run(
                "eval", "--model", MODEL, "--adapter", out, "--data", text, "--length", 32, "--batch", 2, "--json");
        assertThat(evaluated.events("eval").get(0).get("loss").asDouble()).isEqualTo(after);
        assertThat(Files.list(out).map(path -> path.getFileName().toString())).contains("rows", "columns");
        assertThat(finetune(folder.resolve("far"), "--method", "rows", "--selection", "change", "--steps", 1)
                        .err())
                .contains("--selection change needs --changed-model");
        assertThat(finetune(folder.resolve("far"), "--method", "rows", "--selection", "snip", "--steps", 1)
                        .err())
                .contains("--method rows takes --selection random, magnitude or change, not snip");
    }

    @ParameterizedTest
    @ValueSource(strings = {"random", "norm", "gradient"})
    void columnsAreChosenAgain(String how) {
        Path out = folder.resolve("reselect-" + how);
        Cli run = finetune(
                out,
                "--method",
                "paca",
                "--reselect-every",
                5,
                "--reselect-by",
                how,
                "--rank",
                4,
                "--steps",
                12,
                "--eval-data",
                text,
                "--json");
        assertThat(run.err()).isEmpty();
        double after = run.events("eval").get(1).get("loss").asDouble();
        Cli evaluated = Cli.run(
                "eval", "--model", MODEL, "--adapter", out, "--data", text, "--length", 32, "--batch", 2, "--json");
        assertThat(evaluated.events("eval").get(0).get("loss").asDouble()).isEqualTo(after);
        assertThat(finetune(out, "--resume", "--method", "paca", "--reselect-every", 4, "--rank", 4, "--steps", 12)
                        .err())
                .contains("has --reselect-every 5, not 4");
        assertThat(finetune(out, "--method", "paca", "--reselect-every", -1).status())
                .isEqualTo(2);
    }

    @ParameterizedTest
    @ValueSource(strings = {"magnitude", "smallest", "gradient", "snip", "second_order"})
    void entriesAreChosenInEveryWay(String selection) throws Exception {
        Path out = folder.resolve(selection);
        Cli run = finetune(
                out,
                "--method",
                "shira",
                "--selection",
                selection,
                "--rank",
                4,
                "--samples",
                5,
                "--steps",
                20,
                "--eval-data",
                text,
                "--json");
        assertThat(run.err()).isEmpty();
        List<JsonNode> evaluations = run.events("eval");
        assertThat(evaluations.get(1).get("loss").asDouble())
                .isLessThan(evaluations.get(0).get("loss").asDouble());
        assertThat(Files.readString(out.resolve("adapter_config.json")))
                .contains("\"mask_type\": \"" + selection + "\"");
    }

    /** What examples gave is given again on a resume, so that the file of a run that had ended is the same. */
    @ParameterizedTest
    @ValueSource(strings = {"eva", "loraga", "corda"})
    void startsFromExamplesResume(String method) throws Exception {
        Path whole = folder.resolve("whole");
        Object[] settings = {"--method", method, "--rank", 4, "--corda-mode", "kpm", "--save-every", 3};
        assertThat(finetune(whole, with(List.of("--steps", 6), settings)).status())
                .isZero();
        Path again = folder.resolve("again");
        assertThat(finetune(again, with(List.of("--steps", 6), settings)).status())
                .isZero();
        Files.delete(adapter(again));
        assertThat(finetune(again, with(List.of("--steps", 6, "--resume"), settings))
                        .status())
                .isZero();
        assertThat(Files.mismatch(adapter(whole), adapter(again))).isEqualTo(-1);
    }

    @Test
    void aReparametrisedPrefixIsUsable() {
        Path out = folder.resolve("prefix");
        Cli run = finetune(
                out,
                "--method",
                "prefix",
                "--reparametrise",
                "--lr",
                1e-2,
                "--steps",
                20,
                "--eval-data",
                text,
                "--json");
        assertThat(run.err()).isEmpty();
        List<JsonNode> evaluations = run.events("eval");
        double after = evaluations.get(1).get("loss").asDouble();
        assertThat(after).isLessThan(evaluations.get(0).get("loss").asDouble() - 0.3);
        Cli evaluated = Cli.run(
                "eval", "--model", MODEL, "--adapter", out, "--data", text, "--length", 32, "--batch", 2, "--json");
        assertThat(evaluated.events("eval").get(0).get("loss").asDouble()).isEqualTo(after);
    }

    @Test
    void projectedGradientsTakeLessMemory() {
        long plain = peak(finetune(folder.resolve("plain"), "--method", "full", "--steps", 20, "--json"));
        Cli run = finetune(
                folder.resolve("galore"),
                "--method",
                "full",
                "--optimizer",
                "galore",
                "--galore-rank",
                4,
                "--galore-every",
                10,
                "--lr",
                1e-2,
                "--steps",
                20,
                "--json");
        assertThat(run.err()).isEmpty();
        assertThat(peak(run)).isLessThan(plain);
        List<JsonNode> steps = run.events("step");
        assertThat(steps.get(19).get("loss").asDouble())
                .isLessThan(steps.get(0).get("loss").asDouble() - 0.3);
        assertThat(finetune(folder.resolve("galore"), "--method", "full", "--steps", 20, "--resume")
                        .err())
                .contains("--optimizer GALORE, not ADAMW");
    }

    @Test
    void forwardPassesAloneTakeTheMemoryOfInference() {
        long plain = peak(finetune(folder.resolve("adamw"), "--method", "full", "--steps", 3, "--json"));
        Cli run = finetune(
                folder.resolve("mezo"),
                "--method",
                "full",
                "--optimizer",
                "mezo",
                "--lr",
                1e-5,
                "--steps",
                3,
                "--json");
        assertThat(run.err()).isEmpty();
        assertThat(run.events("step")).hasSize(3);
        assertThat(peak(run)).isLessThan(plain * 2 / 3);
    }

    @Test
    void blocksGoWithoutTheirAdapters() {
        Path out = folder.resolve("drop");
        Cli run = finetune(out, "--adapter-drop", 1, "--steps", 30, "--eval-data", text, "--json");
        assertThat(run.err()).isEmpty();
        double whole = run.events("eval").get(1).get("loss").asDouble();
        double[] without = new double[3];
        for (int n = 0; n < 3; n++) {
            Cli evaluated = Cli.run(with(
                    List.of("--adapter", out, "--adapter-drop", n),
                    "eval",
                    "--model",
                    MODEL,
                    "--data",
                    text,
                    "--length",
                    32,
                    "--batch",
                    2,
                    "--json"));
            without[n] = evaluated.events("eval").get(0).get("loss").asDouble();
        }
        assertThat(without[0]).isEqualTo(whole);
        assertThat(without[1]).isBetween(whole, without[2] - 0.1);
        assertThat(without[2]).isEqualTo(run.events("eval").get(0).get("loss").asDouble());
        Object[] prompt = {"--model", MODEL, "--adapter", out, "--prompt", "assert", "--max-tokens", 2};
        assertThat(Cli.run(with(List.of("--adapter-drop", 1), with(List.of(prompt), "generate")))
                        .status())
                .isZero();
        assertThat(Cli.run(with(List.of("--adapter-drop", 3), with(List.of(prompt), "generate")))
                        .err())
                .contains("leaveOutAdapters: 3 blocks, the model has 2");
        assertThat(finetune(out, "--steps", 30, "--resume").err()).contains("--adapter-drop 1, not 0");
        assertThat(finetune(folder.resolve("paca"), "--method", "paca", "--adapter-drop", 1, "--steps", 1)
                        .err())
                .contains("holds what its adapter does");
    }

    @Test
    void dyloraIsSavedAtSeveralRanks() {
        Path out = folder.resolve("ranks");
        Cli run = finetune(out, "--method", "dylora", "--rank", 4, "--save-ranks", "1,2", "--steps", 3);
        assertThat(run.status()).isZero();
        Cli evaluated = Cli.run(
                "eval", "--model", MODEL, "--adapter", out.resolve("rank-2"), "--data", text, "--length", 32, "--json");
        assertThat(evaluated.events("eval").get(0).get("loss").asDouble()).isPositive();
        assertThat(finetune(folder.resolve("no"), "--method", "dylora", "--rank", 4, "--save-ranks", 5)
                        .err())
                .contains("a rank to be saved is 5, must be in 1..4");
    }

    private static long peak(Cli run) {
        return run.events("done").get(0).get("peak_memory_bytes").asLong();
    }

    /** LT-SFT: full fine-tuning, then the entries that it changed most, from the base model on. */
    @Test
    void entriesThatAnotherTrainingChanged() {
        Path full = folder.resolve("full");
        assertThat(finetune(full, "--method", "full", "--steps", 3).status()).isZero();
        List<Object> sparse = List.of("--method", "shira", "--selection", "change", "--rank", 4, "--steps", 3);
        Cli run = finetune(folder.resolve("sparse"), with(sparse, "--changed-model", full));
        assertThat(run.status()).isZero();
        assertThat(finetune(folder.resolve("none"), sparse.toArray()).err()).contains("--selection change needs");
    }

    @ParameterizedTest
    @ValueSource(strings = {"lora", "miss", "bitfit", "bottleneck", "prompt", "llama-adapter"})
    void lossFallsOverAQuantisedBase(String method) {
        Path out = folder.resolve(method);
        Cli run = finetune(out, "--method", method, "--quantize", "nf4", "--steps", 30, "--eval-data", text, "--json");
        assertThat(run.err()).isEmpty();
        List<JsonNode> evaluations = run.events("eval");
        double after = evaluations.get(1).get("loss").asDouble();
        assertThat(after).isLessThan(evaluations.get(0).get("loss").asDouble());
        List<Object> same = List.of("--model", MODEL, "--adapter", out, "--quantize", "nf4");
        Cli evaluated = Cli.run(with(same, "eval", "--data", text, "--length", 32, "--batch", 2, "--json"));
        assertThat(evaluated.events("eval").get(0).get("loss").asDouble()).isEqualTo(after);
        assertThat(Cli.run(with(same, "generate", "--prompt", "assert", "--max-tokens", 2))
                        .status())
                .isZero();
        assertThat(finetune(out, "--method", method, "--steps", 30, "--resume").err())
                .contains("--quantize nf4, not none");
    }

    @Test
    void checkpointsOnTheWayChangeNothing() throws Exception {
        Path whole = folder.resolve("whole");
        assertThat(finetune(whole, "--steps", 6, "--dropout", 0.1).status()).isZero();
        Path saving = folder.resolve("saving");
        Cli run = finetune(saving, "--steps", 6, "--dropout", 0.1, "--save-every", 2, "--json");
        assertThat(run.events("checkpoint")).hasSize(3);
        assertThat(Files.mismatch(adapter(whole), adapter(saving))).isEqualTo(-1);
    }

    @Test
    void anotherRunIsNeitherOverwrittenNorMixed() {
        Path out = folder.resolve("out");
        assertThat(finetune(out, "--steps", 1).status()).isZero();
        assertThat(finetune(out, "--steps", 1).err()).contains("already holds a run", "--resume", "--overwrite");
        assertThat(finetune(out, "--steps", 1, "--overwrite").status()).isZero();
        Cli mixed = finetune(out, "--steps", 1, "--resume", "--rank", 4);
        assertThat(mixed.status()).isEqualTo(1);
        assertThat(mixed.err()).contains("--rank 16, not 4");
        assertThat(finetune(folder.resolve("new"), "--steps", 1, "--resume").err())
                .contains("no run to continue");
        assertThat(finetune(MODEL, "--steps", 1).err()).contains("--out must not be the model's own folder");
    }

    @Test
    void textThatIsTooShortIsSaid() throws Exception {
        Files.writeString(text, "a");
        Cli run = finetune(folder.resolve("out"), "--steps", 1);
        assertThat(run.status()).isEqualTo(1);
        assertThat(run.err()).contains("tokens, a block needs");
    }

    @Test
    void infoDescribesTheModel() {
        Cli run = Cli.run("info", "--model", MODEL, "--json");
        assertThat(run.events("machine").get(0).get("methods"))
                .hasSize(Method.all().size());
        assertThat(run.events("model").get(0).get("tied").asBoolean()).isTrue();
        assertThat(Cli.run("info", "--model", MODEL).out()).contains("2 layers, hidden 40", "parameters");
    }

    private Cli finetune(Path out, Object... arguments) {
        return Cli.run(with(
                List.of(arguments),
                "finetune",
                "--model",
                MODEL,
                "--data",
                text,
                "--out",
                out,
                "--length",
                32,
                "--batch",
                2,
                "--threads",
                1));
    }

    private static Object[] with(List<Object> last, Object... first) {
        List<Object> all = new ArrayList<>(Arrays.asList(first));
        all.addAll(last);
        return all.toArray();
    }

    private static Path adapter(Path out) {
        return out.resolve("adapter_model.safetensors");
    }
}
