package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.io.Checkpoint;
import io.graft.io.LlamaConfig;
import io.graft.io.SafetensorsType;
import io.graft.io.SafetensorsWriter;
import io.graft.io.StoredTensor;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Checkpoints of every architecture through the commands: trained, evaluated, generated from, merged, quantised. */
class ArchitecturesTest {
    private static final Path TOKENIZER = Cli.model("llama_tied");

    @TempDir
    Path folder;

    private Path text;

    @BeforeEach
    void writeText() throws Exception {
        text = Files.writeString(folder.resolve("text.txt"), "assertEquals(1, list.get(1));\n".repeat(60));
    }

    @AfterEach
    void nothingStaysOpen() {
        assertThat(Context.liveHandles()).isZero();
    }

    /** Random numbers in the shape of a golden model, with another vocabulary. */
    private Path model(String type) throws Exception {
        Path made = folder.resolve(type);
        String json = Files.readString(Cli.model(type).resolve("config.json"))
                .replaceAll("\"vocab_size\": \\d+", "\"vocab_size\": 330")
                .replaceAll("\"bos_token_id\": \\d+", "\"bos_token_id\": 325")
                .replaceAll("\"eos_token_id\": \\d+", "\"eos_token_id\": 326");
        LlamaConfig config = LlamaConfig.parse(type, json);
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama llama = Llama.create(scope, config, DType.F32, 3, Llama.Options.inference())) {
            llama.save(made);
        }
        for (String file : List.of("tokenizer.json", "tokenizer_config.json")) {
            Files.copy(TOKENIZER.resolve(file), made.resolve(file));
        }
        return made;
    }

    private static Cli run(Object... arguments) {
        Cli run = Cli.run(arguments);
        assertThat(run.status())
                .as(Arrays.toString(arguments) + ": " + run.err())
                .isZero();
        return run;
    }

    private double loss(Path model, Object... more) {
        List<Object> all = new ArrayList<>(
                List.of("eval", "--model", model, "--data", text, "--length", 32, "--batch", 2, "--json"));
        all.addAll(Arrays.asList(more));
        return run(all.toArray()).events("eval").get(0).get("loss").asDouble();
    }

    private void finetune(Path model, Path adapter, String method, int steps) {
        run(
                "finetune",
                "--model",
                model,
                "--data",
                text,
                "--out",
                adapter,
                "--overwrite",
                "--method",
                method,
                "--steps",
                steps,
                "--length",
                32,
                "--batch",
                2);
    }

    @ParameterizedTest
    @MethodSource("io.graft.cli.Cli#architectures")
    void everyCommandTakesIt(String type) throws Exception {
        Path model = model(type);
        Path adapter = folder.resolve("adapter");
        run("info", "--model", model);
        run("plan", "--model", model, "--method", "full,lora,ia3", "--batch", 2, "--length", 32);
        double before = loss(model);
        for (String method : List.of("bitfit", "ln", "ia3", "bottleneck", "paca", "lora")) {
            finetune(model, adapter, method, 20);
            assertThat(loss(model, "--adapter", adapter))
                    .as(method)
                    .isLessThan(before - (method.equals("lora") ? 0.1 : 0.001));
        }
        Path merged = folder.resolve("merged");
        run("merge", "--model", model, "--adapter", adapter, "--out", merged);
        assertThat(loss(merged)).isCloseTo(loss(model, "--adapter", adapter), Offset.offset(1e-5));
        Cli generated = run("generate", "--model", merged, "--prompt", "assert", "--max-tokens", 5, "--json");
        assertThat(generated.events("generated").get(0).get("tokens").asInt()).isBetween(1, 5);

        Path coded = folder.resolve("coded");
        run("quantize", "--model", merged, "--output", coded);
        assertThat(loss(coded)).isCloseTo(loss(merged, "--quantize", "nf4"), Offset.offset(1e-5));
        Path sketched = folder.resolve("sketched");
        run("sketch", "--model", merged, "--output", sketched, "--calibration", text, "--samples", 4, "--length", 32);
        assertThat(loss(sketched)).isCloseTo(loss(merged), Offset.offset(0.5));
    }

    /** What is not computed goes through training and a merge with the bytes that it had, of types that are not read too. */
    @Test
    void aVisionTowerStaysAsItIs() throws Exception {
        Path model = model("gemma3_multimodal");
        Map<String, byte[]> tower = addTower(model);
        assertThat(run("info", "--model", model).out()).contains("not used   model.vision_tower, ");
        Path adapter = folder.resolve("adapter");
        finetune(model, adapter, "lora", 3);
        Path merged = folder.resolve("merged");
        run("merge", "--model", model, "--adapter", adapter, "--out", merged);
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Checkpoint after = Checkpoint.open(merged)) {
            assertThat(after.names()).containsAll(tower.keySet());
            tower.forEach((name, bytes) ->
                    assertThat(bytes(after.bytes(name, scope))).as(name).isEqualTo(bytes));
        }
        assertThat(loss(merged)).isCloseTo(loss(model, "--adapter", adapter), Offset.offset(1e-5));
    }

    /** Gives a model the golden model's tower, one tensor as numbers of a type that is not read; the bytes by name. */
    private static Map<String, byte[]> addTower(Path model) {
        Map<String, byte[]> tower = new LinkedHashMap<>();
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Checkpoint text = Checkpoint.open(model);
                Checkpoint whole = Checkpoint.open(Cli.model("gemma3_multimodal"))) {
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            List<StoredTensor> carried = new ArrayList<>();
            text.names().forEach(name -> {
                carried.add(text.entry(name));
                tensors.put(name, text.bytes(name, scope));
            });
            for (String name : LlamaConfig.read(model).design().architecture().unused(whole)) {
                StoredTensor entry = whole.entry(name);
                carried.add(tower.isEmpty() ? new StoredTensor(name, SafetensorsType.U32, entry.shape()) : entry);
                tensors.put(name, whole.bytes(name, scope));
                tower.put(name, bytes(tensors.get(name)));
            }
            assertThat(tower).hasSize(23);
            SafetensorsWriter.write(model.resolve("model.safetensors"), tensors, carried, SafetensorsWriter.PYTORCH);
        }
        return tower;
    }

    private static byte[] bytes(Tensor tensor) {
        byte[] bytes = new byte[(int) tensor.elements()];
        tensor.buffer().get(bytes);
        return bytes;
    }

    @Test
    void whatIsNotComputedIsNamed() {
        Cli info = run("info", "--model", Cli.model("gemma3_multimodal"));
        assertThat(info.out())
                .contains("not used   model.vision_tower, ", "not used   model.multi_modal_projector, 264");
        assertThat(info.out()).contains("in 41 tensors");
        assertThat(run("info", "--model", Cli.model("gemma3")))
                .extracting(Cli::out)
                .asString()
                .doesNotContain("not used");
    }
}
