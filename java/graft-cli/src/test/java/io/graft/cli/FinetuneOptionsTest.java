package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The options of {@code finetune} that belong to single methods and optimisers. */
class FinetuneOptionsTest extends FinetuneRuns {
    @Test
    void trainedAdaptersAreFused() {
        Path first = folder.resolve("first");
        Path second = folder.resolve("second");
        trained(first, "--method", "bottleneck", "--rank", 4, "--steps", 30);
        trained(second, "--method", "adamix", "--rank", 6, "--steps", 30);
        Path out = folder.resolve("fused");
        Cli run = trained(out, "--method", "fusion", "--fuse", first, "--fuse", second, "--steps", 20);
        assertThat(after(run)).isLessThan(before(run) - 0.1);
        assertThat(lossOf(out)).isEqualTo(after(run));
        Path low = folder.resolve("low");
        trained(low, "--method", "lora", "--rank", 4, "--steps", 20);
        Path other = Cli.adapter("llama_tied", "lora");
        trained(folder.resolve("routed"), "--method", "mole", "--fuse", low, "--fuse", other, "--steps", 3);
        Cli alone = finetune(folder.resolve("x"), "--method", "fusion", "--fuse", first, "--steps", 1);
        assertThat(alone.err()).contains("--method fusion needs --fuse for each of at least two");
    }

    /** Columns and rows of one method are two adapters in one folder. */
    @Test
    void s2ftTrainsRowsBesideColumns() throws Exception {
        Path out = folder.resolve("s2ft-rows");
        String targets = "v_proj,o_proj,up_proj,down_proj";
        Cli run = trained(out, "--method", "s2ft", "--rank", 4, "--target-modules", targets, "--steps", 10);
        assertThat(lossOf(out)).isEqualTo(after(run));
        assertThat(Files.list(out).map(path -> path.getFileName().toString())).contains("rows", "columns");
        Path far = folder.resolve("far");
        assertThat(finetune(far, "--method", "rows", "--selection", "change", "--steps", 1)
                        .err())
                .contains("--selection change needs --changed-model");
        assertThat(finetune(far, "--method", "rows", "--selection", "snip", "--steps", 1)
                        .err())
                .contains("--method rows takes --selection random, magnitude or change, not snip");
    }

    @Test
    void layersThatAreNotThereAreNamed() throws Exception {
        Cli run = finetune(folder.resolve("none"), "--target-modules", "q_proj,foo", "--steps", 1);
        assertThat(run.err())
                .contains("--target-modules: the model has no linear layer 'foo'", "q_proj, k_proj", "all-linear");
        Path every = folder.resolve("every");
        trained(every, "--method", "ia3", "--target-modules", "all-linear", "--steps", 2);
        assertThat(Files.readString(every.resolve("adapter_config.json"))).contains("gate_proj", "o_proj", "q_proj");
        Path one = folder.resolve("one");
        trained(one, "--target-modules", "layers.1.self_attn.q_proj", "--steps", 2);
        assertThat(lossOf(one)).isPositive();
    }

    @ParameterizedTest
    @ValueSource(strings = {"random", "norm", "gradient"})
    void columnsAreChosenAgain(String how) {
        Path out = folder.resolve("reselect-" + how);
        Object[] same = {"--method", "paca", "--reselect-by", how, "--rank", 4, "--steps", 12, "--reselect-every"};
        Cli run = trained(out, with(same, 5));
        assertThat(lossOf(out)).isEqualTo(after(run));
        assertThat(finetune(out, with(same, 4, "--resume")).err()).contains("has --reselect-every 5, not 4");
        assertThat(finetune(out, with(same, -1)).status()).isEqualTo(2);
    }

    @ParameterizedTest
    @CsvSource({"magnitude, false", "smallest, false", "gradient, true", "snip, true", "second_order, true"})
    void entriesAreChosenInEveryWay(String selection, boolean byExamples) throws Exception {
        Path out = folder.resolve(selection);
        Object[] settings = {"--method", "shira", "--selection", selection, "--rank", 4, "--steps", 20};
        Object[] examples = with(settings, "--samples", 5);
        if (!byExamples) {
            assertThat(finetune(out, examples).err()).contains("--samples is nothing that --method shira reads");
        }
        Cli run = trained(out, byExamples ? examples : settings);
        assertThat(after(run)).isLessThan(before(run));
        assertThat(Files.readString(out.resolve("adapter_config.json")))
                .contains("\"mask_type\": \"" + selection + "\"");
    }

    /** LT-SFT: full fine-tuning, then the entries that it changed most, from the base model on. */
    @Test
    void entriesThatAnotherTrainingChanged() {
        Path full = folder.resolve("full");
        trained(full, "--method", "full", "--steps", 3);
        Object[] sparse = {"--method", "shira", "--selection", "change", "--rank", 4, "--steps", 3};
        trained(folder.resolve("sparse"), with(sparse, "--changed-model", full));
        assertThat(finetune(folder.resolve("none"), sparse).err()).contains("--selection change needs");
    }

    /** What examples gave is given again on a resume, so that the file of a run that had ended is the same. */
    @ParameterizedTest
    @ValueSource(strings = {"eva", "loraga", "corda"})
    void startsFromExamplesResume(String method) throws Exception {
        Path whole = folder.resolve("whole");
        Path again = folder.resolve("again");
        Object[] own = method.equals("corda") ? new Object[] {"--corda-mode", "kpm"} : new Object[0];
        Object[] settings = with(own, "--method", method, "--rank", 4, "--save-every", 3, "--steps", 6);
        trained(whole, settings);
        trained(again, settings);
        Files.delete(adapter(again));
        trained(again, with(settings, "--resume"));
        assertThat(Files.mismatch(adapter(whole), adapter(again))).isEqualTo(-1);
    }

    @Test
    void aReparametrisedPrefixIsUsable() {
        Path out = folder.resolve("prefix");
        Cli run = trained(out, "--method", "prefix", "--reparametrise", "--lr", 1e-2, "--steps", 20);
        assertThat(after(run)).isLessThan(before(run) - 0.3);
        assertThat(lossOf(out)).isEqualTo(after(run));
    }

    @Test
    void dyloraIsSavedAtSeveralRanks() {
        Path out = folder.resolve("ranks");
        trained(out, "--method", "dylora", "--rank", 4, "--save-ranks", "1,2", "--steps", 3);
        assertThat(lossOf(out.resolve("rank-2"))).isPositive();
        assertThat(finetune(folder.resolve("no"), "--method", "dylora", "--rank", 4, "--save-ranks", 5)
                        .err())
                .contains("a rank to be saved is 5, must be in 1..4");
    }

    @Test
    void blocksGoWithoutTheirAdapters() {
        Path out = folder.resolve("drop");
        Cli run = trained(out, "--adapter-drop", 1, "--steps", 30);
        double one = lossOf(out, "--adapter-drop", 1);
        double both = lossOf(out, "--adapter-drop", 2);
        assertThat(lossOf(out)).isEqualTo(after(run));
        assertThat(one).isBetween(after(run), both - 0.1);
        assertThat(both).isEqualTo(before(run));
        Object[] generate = {"generate", "--model", MODEL, "--adapter", out, "--prompt", "assert", "--max-tokens", 2};
        assertThat(Cli.run(with(generate, "--adapter-drop", 1)).status()).isZero();
        assertThat(Cli.run(with(generate, "--adapter-drop", 3)).err())
                .contains("leaveOutAdapters: 3 blocks, the model has 2");
        assertThat(finetune(out, "--steps", 30, "--resume").err()).contains("--adapter-drop 1, not 0");
        assertThat(finetune(folder.resolve("paca"), "--method", "paca", "--adapter-drop", 1, "--steps", 1)
                        .err())
                .contains("holds what its adapter does");
    }

    @Test
    void projectedGradientsTakeLessMemory() {
        long plain = peak(finetune(folder.resolve("plain"), "--method", "full", "--steps", 20, "--json"));
        Object[] galore = {"--method", "full", "--optimizer", "galore", "--galore-rank", 4, "--galore-every", 10};
        Cli run = finetune(folder.resolve("galore"), with(galore, "--lr", 1e-2, "--steps", 20, "--json"));
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
    void momentsOfEightBitsLearnTheSame() {
        Object[] rest = {"--method", "full", "--lr", 1e-2, "--steps", 20, "--json"};
        Cli plain = finetune(folder.resolve("wide"), rest);
        Cli run = finetune(folder.resolve("narrow"), with(rest, "--optimizer", "adamw_8bit"));
        assertThat(run.err()).isEmpty();
        double end = run.events("step").get(19).get("loss").asDouble();
        assertThat(end).isCloseTo(plain.events("step").get(19).get("loss").asDouble(), Offset.offset(0.2));
        assertThat(end).isLessThan(run.events("step").get(0).get("loss").asDouble() - 0.3);
        assertThat(finetune(folder.resolve("narrow"), "--method", "full", "--lr", 1e-2, "--steps", 20, "--resume")
                        .err())
                .contains("--optimizer ADAMW_8BIT, not ADAMW");
    }

    @Test
    void roundingAtRandomTakesLessMemoryAndLearnsTheSame() {
        Object[] rest = {"--method", "full", "--dtype", "bf16", "--lr", 1e-2, "--steps", 20, "--json"};
        Cli masters = finetune(folder.resolve("masters"), rest);
        Cli run = finetune(folder.resolve("rounded"), with(rest, "--stochastic-rounding"));
        assertThat(run.err()).isEmpty();
        assertThat(peak(run)).isLessThan(peak(masters));
        assertThat(losses(run).get(19)).isCloseTo(losses(masters).get(19), Offset.offset(0.2));
        assertThat(finetune(folder.resolve("rounded"), with(rest, "--resume")).err())
                .contains("--stochastic-rounding true, not false");
    }

    @Test
    void movingInBackwardTakesLessMemoryAndGivesTheSame() {
        Object[] rest = {"--method", "full", "--clip", 0, "--steps", 5, "--json"};
        Cli behind = finetune(folder.resolve("behind"), rest);
        Cli inside = finetune(folder.resolve("inside"), with(rest, "--optimizer-in-backward"));
        assertThat(inside.err()).isEmpty();
        assertThat(peak(inside)).isLessThan(peak(behind));
        assertThat(losses(inside)).isEqualTo(losses(behind)).hasSize(5);
        assertThat(finetune(folder.resolve("clipped"), "--method", "full", "--optimizer-in-backward", "--steps", 1)
                        .err())
                .contains("needs --optimizer adamw or adamw_8bit, and --clip 0");
        assertThat(finetune(folder.resolve("added"), with(rest, "--optimizer-in-backward", "--accumulate", 2))
                        .err())
                .contains("--accumulate 2 batches");
    }

    private static List<Double> losses(Cli run) {
        return run.events("step").stream()
                .map(step -> step.get("loss").asDouble())
                .toList();
    }

    @Test
    void forwardPassesAloneTakeTheMemoryOfInference() {
        long plain = peak(finetune(folder.resolve("adamw"), "--method", "full", "--steps", 3, "--json"));
        Object[] mezo = {"--method", "full", "--optimizer", "mezo", "--lr", 1e-5, "--steps", 3, "--json"};
        Cli run = finetune(folder.resolve("mezo"), mezo);
        assertThat(run.err()).isEmpty();
        assertThat(run.events("step")).hasSize(3);
        assertThat(peak(run)).isLessThan(plain * 2 / 3);
    }

    private static long peak(Cli run) {
        return run.events("done").get(0).get("peak_memory_bytes").asLong();
    }
}
