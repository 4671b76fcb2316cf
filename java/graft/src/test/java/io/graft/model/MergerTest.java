package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.adapter.Lora;
import io.graft.io.AtomicFiles;
import io.graft.io.Checkpoint;
import io.graft.io.CheckpointWriter;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.io.SafetensorsFile;
import io.graft.io.SafetensorsType;
import io.graft.io.SafetensorsWriter;
import io.graft.io.ShardedWriter;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What merging holds in memory, and what it refuses. */
class MergerTest {
    private static final Merger.Options PLAIN =
            new Merger.Options(null, Weight.Kind.DENSE, Weight.Kind.DENSE, CheckpointWriter.DEFAULT_FILE_BYTES);

    @TempDir
    Path folder;

    /** A model of random numbers and an adapter for it. */
    private LlamaConfig make(String name, int layers) throws Exception {
        LlamaConfig config = LlamaConfig.llama(32, 64, 128, layers, 4, 4, 16, 64, 1e-5, true);
        PeftLoraConfig lora =
                PeftLoraConfig.builder().targets("q_proj", "down_proj").rank(4).build();
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama model = Llama.create(scope, config, DType.F32, 3, Llama.Options.training(Lora.create(lora, 1)))) {
            model.save(folder.resolve(name));
            model.adapter().save(folder.resolve(name).resolve("adapter"));
        }
        return config;
    }

    private long peak(String name, LlamaConfig config) {
        try (Context context = Context.cpu(1);
                Checkpoint checkpoint = Checkpoint.open(folder.resolve(name))) {
            Merger merger = new Merger(
                    context,
                    checkpoint,
                    config,
                    () -> Lora.frozen(folder.resolve(name).resolve("adapter")),
                    PLAIN);
            AtomicFiles.replaceDirectory(
                    folder.resolve(name + "-merged"), out -> merger.run(out, (tensor, error) -> {}));
            return context.peakMemory();
        }
    }

    /** However many layers the model has: one matrix with the adapter's part for it, and the arena. */
    @Test
    void oneModuleIsInMemoryAtATime() throws Exception {
        long few = peak("few", make("few", 2));
        long many = peak("many", make("many", 24));
        assertThat(many).isEqualTo(few);
        assertThat(many).isLessThan(Files.size(folder.resolve("many-merged/model.safetensors")) / 3);
    }

    @Test
    void tensorsWithoutAPlaceAreRefused() throws Exception {
        make("deep", 3);
        LlamaConfig shallow = make("shallow", 2);
        assertThatThrownBy(() -> {
                    try (Context context = Context.cpu(1);
                            Checkpoint checkpoint = Checkpoint.open(folder.resolve("shallow"))) {
                        Merger merger = new Merger(
                                context, checkpoint, shallow, () -> Lora.frozen(folder.resolve("deep/adapter")), PLAIN);
                        AtomicFiles.replaceDirectory(
                                folder.resolve("out"), out -> merger.run(out, (tensor, error) -> {}));
                    }
                })
                .hasMessageContaining("this model has no place for the adapter's")
                .hasMessageContaining("layers.2.")
                .hasMessageContaining("(4 such tensors)");
        assertThat(folder.resolve("out")).doesNotExist();
    }

    private void mergeMultimodal(Path adapter, Merger.Options options) {
        Path model = Golden.model("gemma3_multimodal");
        try (Context context = Context.cpu(1);
                Checkpoint checkpoint = Checkpoint.open(model)) {
            Merger merger =
                    new Merger(context, checkpoint, LlamaConfig.read(model), () -> Lora.frozen(adapter), options);
            AtomicFiles.replaceDirectory(folder.resolve("out"), out -> merger.run(out, (tensor, error) -> {}));
        }
    }

    /** Under the same names, with the same bytes, whatever becomes of the text model. */
    @Test
    void aVisionTowerIsCarriedOver() throws Exception {
        Path adapter = Golden.adapter("gemma3_multimodal", "lora");
        for (Merger.Options options :
                List.of(PLAIN, new Merger.Options(DType.BF16, Weight.Kind.DENSE, Weight.Kind.DENSE, 9000))) {
            mergeMultimodal(adapter, options);
            try (Context context = Context.cpu(1);
                    Scope scope = context.scope();
                    Checkpoint before = Checkpoint.open(Golden.model("gemma3_multimodal"));
                    Checkpoint after = Checkpoint.open(folder.resolve("out"));
                    SafetensorsFile expected = Golden.tensors("gemma3_multimodal", "lora")) {
                assertThat(after.names()).containsExactlyInAnyOrderElementsOf(before.names());
                assertThat(after.files()).hasSizeGreaterThan(options == PLAIN ? 0 : 1);
                LlamaConfig config = LlamaConfig.read(folder.resolve("out"));
                int carried = 0;
                for (String name : after.names()) {
                    assertThat(after.stored(name))
                            .isEqualTo(before.stored(name))
                            .isNotEqualTo(name);
                    if (config.design().architecture().unusedPart(name) != null) {
                        carried++;
                        assertThat(after.dtype(name)).isEqualTo(DType.F32);
                        assertThat(Golden.floats(scope, after, name)).isEqualTo(Golden.floats(scope, before, name));
                    }
                }
                assertThat(carried).isEqualTo(23);
                if (options == PLAIN) {
                    Llama merged = Llama.load(scope, after, config, DType.F32, Llama.Options.inference());
                    Golden.assertClose(
                            "logits",
                            merged.logits(Golden.batch(scope, expected)),
                            Golden.floats(scope, expected, "logits"),
                            2e-5);
                }
            }
        }
    }

    /**
     * Numbers of types that Graft does not read, and truth values, are bytes to be carried: by a merge, by a model that is
     * saved, and by one that becomes codes.
     */
    @ParameterizedTest
    @ValueSource(strings = {"U32", "BOOL"})
    void aVisionTowerOfAnyTypeIsCarriedOver(String type) throws Exception {
        Path model = folder.resolve("model");
        Files.createDirectories(model);
        for (String file : List.of("config.json", "model.safetensors")) {
            Files.copy(Golden.model("gemma3_multimodal").resolve(file), model.resolve(file));
        }
        retype(model.resolve("model.safetensors"), type);
        LlamaConfig config = LlamaConfig.read(model);
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Checkpoint before = Checkpoint.open(model)) {
            Llama.load(scope, before, config, DType.F32, Llama.Options.inference())
                    .save(folder.resolve("saved"));
            Path adapter = Golden.adapter("gemma3_multimodal", "lora");
            Merger merger = new Merger(context, before, config, () -> Lora.frozen(adapter), PLAIN);
            AtomicFiles.replaceDirectory(folder.resolve("merged"), out -> merger.run(out, (tensor, error) -> {}));
            Path coded = Files.createDirectories(folder.resolve("coded"));
            new Nf4Recoder(scope, before, config, DType.F32)
                    .run(new ShardedWriter(coded, Recoder.shards(config)), (module, error) -> true);
            for (String folderName : List.of("saved", "merged", "coded")) {
                try (Checkpoint after = Checkpoint.open(folder.resolve(folderName))) {
                    int changed = 0;
                    for (String name : config.design().architecture().unused(before)) {
                        assertThat(after.entry(name)).usingRecursiveComparison().isEqualTo(before.entry(name));
                        assertThat(after.bytes(name, scope).buffer())
                                .isEqualTo(before.bytes(name, scope).buffer());
                        changed += after.entry(name).type() == SafetensorsType.valueOf(type) ? 1 : 0;
                    }
                    assertThat(changed).as(folderName).isGreaterThan(9);
                }
            }
        }
    }

    /** Calls the tower's numbers something else; truth values are four times as many, one for each byte. */
    private static void retype(Path weights, String type) throws Exception {
        byte[] bytes = Files.readAllBytes(weights);
        int header = Math.toIntExact(
                ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong(0));
        ObjectNode json = (ObjectNode) new ObjectMapper().readTree(bytes, Long.BYTES, header);
        for (Map.Entry<String, JsonNode> field : json.properties()) {
            if (field.getKey().contains("vision_tower")) {
                ArrayNode shape = (ArrayNode) field.getValue().get("shape");
                int last = shape.size() - 1;
                if (type.equals("BOOL")) {
                    shape.set(last, 4 * shape.get(last).asInt());
                }
                ((ObjectNode) field.getValue()).put("dtype", type);
            }
        }
        byte[] changed = json.toString().getBytes(StandardCharsets.UTF_8);
        ByteBuffer out = ByteBuffer.allocate(Long.BYTES + changed.length + bytes.length - Long.BYTES - header);
        out.order(ByteOrder.LITTLE_ENDIAN).putLong(changed.length).put(changed);
        Files.write(
                weights, out.put(bytes, Long.BYTES + header, out.remaining()).array());
    }

    /** Factors of the tower, which PEFT makes too, are without effect only while B is zero. */
    @Test
    void anAdapterOfTheVisionTowerIsRefused() throws Exception {
        Path adapter = Files.createDirectories(folder.resolve("tower"));
        Path trained = Golden.adapter("gemma3_multimodal", "lora");
        Files.copy(trained.resolve("adapter_config.json"), adapter.resolve("adapter_config.json"));
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                SafetensorsFile file = SafetensorsFile.open(trained.resolve("adapter_model.safetensors"))) {
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            for (String name : file.names()) {
                Tensor value = scope.tensor(Memory.WORKSPACE, DType.F32, file.shape(name));
                file.read(name, value);
                if (name.contains("vision_tower") && name.endsWith("q_proj.lora_B.weight")) {
                    TensorOps.fill(context, 1e-6, value);
                }
                tensors.put(name, value);
            }
            SafetensorsWriter.write(adapter.resolve("adapter_model.safetensors"), tensors, SafetensorsWriter.PYTORCH);
            String message = "base_model.model.model.vision_tower.encoder.layers.0.self_attn.q_proj.lora_A.weight (2";
            assertThatThrownBy(() -> mergeMultimodal(adapter, PLAIN)).hasMessageContaining(message);
            assertThatThrownBy(
                            () -> Golden.load(scope, "gemma3_multimodal", Llama.Options.training(Lora.load(adapter))))
                    .hasMessageContaining(message);
        }
    }

    /** So that PEFT makes none for the tower's layers of the same names. */
    @Test
    void anAdapterOfGraftLeavesTheVisionTowerOut() throws Exception {
        PeftLoraConfig lora = PeftLoraConfig.builder().targets("q_proj").rank(2).build();
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "gemma3_multimodal", Llama.Options.training(Lora.create(lora, 1)))) {
            model.adapter().save(folder.resolve("adapter"));
            assertThat(lora.toJson()).contains("\"exclude_modules\": null");
            model.save(folder.resolve("whole"));
        }
        assertThat(folder.resolve("adapter/adapter_config.json"))
                .content()
                .contains("\"exclude_modules\": \"(model\\\\.vision_tower|model\\\\.multi_modal_projector)\\\\..*\"");
        try (Checkpoint whole = Checkpoint.open(folder.resolve("whole"))) {
            assertThat(whole.names()).contains("model.multi_modal_projector.mm_input_projection_weight");
        }
    }

    @Test
    void sketchesAreNeitherBaseNorResult() {
        assertThatThrownBy(() -> new Merger.Options(null, Weight.Kind.SKETCH, Weight.Kind.DENSE, 1))
                .hasMessageContaining("SKETCH is not supported here");
        assertThatThrownBy(() -> new Merger.Options(null, Weight.Kind.DENSE, Weight.Kind.DENSE, 0))
                .hasMessageContaining("a file of 0 bytes");
    }
}
