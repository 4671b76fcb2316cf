package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.adapter.Lora;
import io.graft.io.AtomicFiles;
import io.graft.io.Checkpoint;
import io.graft.io.CheckpointWriter;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Weight;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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

    @Test
    void sketchesAreNeitherBaseNorResult() {
        assertThatThrownBy(() -> new Merger.Options(null, Weight.Kind.SKETCH, Weight.Kind.DENSE, 1))
                .hasMessageContaining("SKETCH is not supported here");
        assertThatThrownBy(() -> new Merger.Options(null, Weight.Kind.DENSE, Weight.Kind.DENSE, 0))
                .hasMessageContaining("a file of 0 bytes");
    }
}
