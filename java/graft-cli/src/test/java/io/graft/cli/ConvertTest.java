package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.io.Checkpoint;
import io.graft.io.LlamaConfig;
import io.graft.io.SafetensorsFile;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code graft convert}: files of PyTorch become safetensors, and sketches become models that every command reads. */
class ConvertTest {
    private static final Path FILES = Path.of("..", "graft", "src", "test", "resources", "fixtures", "torch");
    private static final String LAYER = "model.layers.1.mlp.down_proj";

    @TempDir
    Path folder;

    @AfterEach
    void nothingStaysOpen() {
        assertThat(Context.liveHandles()).isZero();
    }

    private static Cli convert(Object... arguments) {
        return Cli.run(FinetuneRuns.with(new Object[] {"convert", "--threads", 1}, arguments));
    }

    @Test
    void tensorsByThemselves() {
        Path out = folder.resolve("out");
        Cli run = convert("--file", FILES.resolve("mixed.pt"), "--out", out, "--json");
        assertThat(run.err()).isEmpty();
        assertThat(run.events("converted").get(0).get("tensors").asInt()).isEqualTo(14);
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                SafetensorsFile made = SafetensorsFile.open(out.resolve("model.safetensors"));
                SafetensorsFile expected = SafetensorsFile.open(FILES.resolve("mixed.safetensors"))) {
            assertThat(made.names()).isEqualTo(Set.copyOf(expected.names()));
            for (String name : expected.names()) {
                assertThat(made.dtype(name)).isEqualTo(expected.dtype(name));
                Tensor one = scope.tensor(Memory.WORKSPACE, made.dtype(name), made.shape(name));
                Tensor other = scope.tensor(Memory.WORKSPACE, made.dtype(name), expected.shape(name));
                made.read(name, one);
                expected.read(name, other);
                assertThat(one.buffer()).as(name).isEqualTo(other.buffer());
            }
        }
        assertThat(out.resolve("config.json")).doesNotExist();
    }

    /** The published layout of a base, then of tables that were trained over it. */
    @Test
    void sketchesBecomeModels() throws Exception {
        Path dense = Cli.model("llama_gqa");
        Path base = folder.resolve("base");
        Cli run = convert("--file", FILES.resolve("sketch_base.pkl"), "--model", dense, "--out", base);
        assertThat(run.err()).isEmpty();
        assertThat(run.status()).isZero();
        Path tuned = folder.resolve("tuned");
        assertThat(convert("--file", FILES.resolve("sketch_tables.pkl"), "--model", base, "--out", tuned)
                        .status())
                .isZero();
        assertThat(Files.readString(base.resolve("config.json"))).contains("\"quant_method\": \"sketch\"");
        float[] first = weight(base, "sketch_base.safetensors");
        float[] second = weight(tuned, null);
        assertThat(second).hasSameSizeAs(first).isNotEqualTo(first);
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Checkpoint checkpoint = Checkpoint.open(tuned);
                Llama model =
                        Llama.load(scope, checkpoint, LlamaConfig.read(tuned), DType.F32, Llama.Options.inference())) {
            assertThat(model.projections())
                    .allMatch(projection -> projection.weight().kind() == Weight.Kind.SKETCH);
            assertThat(checkpoint.contains(LAYER + ".weight")).isFalse();
            assertThat(checkpoint.contains("model.embed_tokens.weight")).isTrue();
        }
    }

    /** The first table of a layer, which must be that of the file where one is given. */
    private float[] weight(Path model, String file) {
        String name = LAYER + ".quant_grid";
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Checkpoint checkpoint = Checkpoint.open(model)) {
            Tensor table = scope.tensor(Memory.WORKSPACE, DType.F32, checkpoint.shape(name));
            checkpoint.read(name, table);
            if (file != null) {
                try (SafetensorsFile expected = SafetensorsFile.open(FILES.resolve(file))) {
                    Tensor other = scope.tensor(Memory.WORKSPACE, DType.F32, expected.shape(name));
                    expected.read(name, other);
                    assertThat(table.floats()).isEqualTo(other.floats());
                }
            }
            return table.floats();
        }
    }

    @Test
    void whatDoesNotBelongIsNamed() throws Exception {
        Path out = folder.resolve("out");
        Path base = FILES.resolve("sketch_base.pkl");
        assertThat(convert("--file", base, "--model", Cli.model("llama_tied"), "--out", out)
                        .err())
                .contains("sketch_base.pkl", ".quant_grid'");
        assertThat(convert("--file", FILES.resolve("mixed.pt"), "--model", Cli.model("llama_gqa"), "--out", out)
                        .err())
                .contains("the model has no such tensor");
        assertThat(convert("--file", Cli.model("llama_gqa").resolve("model.safetensors"), "--out", out)
                        .err())
                .contains("is no zip file as torch.save makes them");
        assertThat(convert("--file", folder.resolve("none"), "--out", out).err())
                .contains("--file does not exist");
        assertThat(out).doesNotExist();
        Files.createDirectory(out);
        assertThat(convert("--file", base, "--out", out).err()).contains("--out is there already");
    }
}
