package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.LlamaConfig;
import io.graft.io.PeftSketchTuneConfig;
import io.graft.io.SafetensorsFile;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.ops.Sketch;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Memory;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import io.graft.train.Example;
import io.graft.train.ExampleBatches;
import io.graft.train.Trainer;
import java.nio.file.Path;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** SketchTune on a whole model; that its gradients are derivatives is shown by the gradient check of the model. */
class SketchTuneTest extends InContext {
    private static final String MODEL = "llama_gqa";

    private static final int[] IDS = {1, 7, 3, 9, 4, 30, 11};

    private static Batch batch() {
        return Batch.of(1, IDS.length, IDS, null);
    }

    private static SketchTune fresh(int bits, int groups, String... targets) {
        List<String> modules = targets.length == 0 ? LlamaConfig.PROJECTIONS : List.of(targets);
        return SketchTune.create(PeftSketchTuneConfig.of("base", modules), bits, groups);
    }

    private Llama model(DType dtype, Adapter adapter) {
        return Golden.load(scope, MODEL, dtype, Llama.Options.training(adapter));
    }

    private static float train(Llama model, int steps) {
        ExampleBatches source = new ExampleBatches(List.of(Example.of(IDS)), 1, IDS.length, IDS.length, 0);
        float[] last = {Float.NaN};
        try (Trainer trainer = new Trainer(model, Trainer.Options.of(steps, 5e-3), source)) {
            for (int i = 0; i < steps; i++) {
                last[0] = trainer.step();
            }
        }
        return last[0];
    }

    /** The gradient of a table's value is the sum of those of the weights that it stands for. */
    @ParameterizedTest
    @CsvSource({"4, 2", "3, 1", "2, 4"})
    void itIsTheModelOfItsMatricesAndSumsTheirGradients(int bits, int groups) {
        Llama sketched = model(DType.F32, fresh(bits, groups));
        Llama dense = model(DType.F32, new Full(name -> name.contains("_proj.")));
        for (int i = 0; i < dense.projections().size(); i++) {
            Sketch.decode(
                    context,
                    sketched.projections().get(i).weight(),
                    dense.projections().get(i).weight().matrix());
        }
        float loss = dense.lossAndGradients(batch());
        assertThat(sketched.lossAndGradients(batch())).isCloseTo(loss, Offset.offset(1e-5f));
        for (int i = 0; i < dense.projections().size(); i++) {
            Projection projection = sketched.projections().get(i);
            Parameter table = sketched.trainable().get(i);
            assertThat(table.value()).isSameAs(projection.table());
            Golden.assertClose(
                    table.name(),
                    table.gradient().floats(),
                    sums(projection, dense.projections().get(i).parameter().gradient()),
                    2e-5);
        }
    }

    private float[] sums(Projection projection, Tensor gradient) {
        Weight weight = projection.weight();
        Tensor codes = scope.tensor(Memory.WORKSPACE, DType.U8, weight.n(), weight.k());
        Sketch.unpack(context, weight, codes);
        long groups = projection.table().size(1);
        int entries = (int) projection.table().size(2);
        float[] sums = new float[(int) projection.table().elements()];
        float[] values = gradient.floats();
        int[] code = codes.ints();
        for (int i = 0; i < values.length; i++) {
            long row = i / weight.k();
            long group = i % weight.k() / (weight.k() / groups);
            sums[(int) (row * groups + group) * entries + code[i]] += values[i];
        }
        return sums;
    }

    @ParameterizedTest
    @CsvSource({"F32", "BF16"})
    void trainsAndComesBackFromItsFile(DType dtype, @TempDir Path folder) {
        Llama model = model(dtype, fresh(4, 2));
        float before = model.loss(batch());
        train(model, 12);
        float after = model.loss(batch());
        assertThat(after).isLessThan(before - 0.3f);
        model.adapter().save(folder);
        try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(PeftAdapter.FILE))) {
            String key = "base_model.model.model.layers.1.mlp.down_proj";
            assertThat(file.names()).hasSize(2 * 14).contains(key + ".quant_grid", key + ".codes_crc32");
            assertThat(file.dtype(key + ".quant_grid")).isEqualTo(DType.F32);
        }
        assertThat(model(dtype, SketchTune.frozen(folder)).loss(batch())).isEqualTo(after);
        Llama again = model(dtype, SketchTune.load(folder));
        assertThat(again.loss(batch())).isEqualTo(after);
        assertThat(again.trainable()).hasSize(14);
        assertThat(train(again, 1)).isEqualTo(after);
        assertThat(again.loss(batch())).isNotEqualTo(after);
    }

    /** Masters, gradients and moments are those of the tables, and no buffer has the shape of a weight. */
    @Test
    void memoryIsThatOfCodesAndTables() {
        LlamaConfig config = LlamaConfig.read(Golden.model(MODEL));
        Llama model = model(DType.F32, fresh(4, 2));
        long weights = model.projections().stream()
                .mapToLong(p -> p.weight().n() * p.weight().k())
                .sum();
        long tables = model.projections().stream()
                .mapToLong(p -> p.table().elements())
                .sum();
        long codes = model.projections().stream()
                .mapToLong(p -> p.weight().codes().elements())
                .sum();
        assertThat(codes)
                .isEqualTo(model.projections().stream()
                        .mapToLong(p -> p.weight().n() * 2 * ((p.weight().k() / 2 + 63) / 64) * 32)
                        .sum());
        assertThat(context.memory(Memory.BASE))
                .isLessThan(codes + 4 * tables + 4 * weights / 2 + 8L * config.vocabularySize() * config.hiddenSize());
        train(model, 1);
        assertThat(context.memory(Memory.GRADIENT)).isBetween(4 * tables, 4 * tables + 14 * 64);
        assertThat(context.memory(Memory.OPTIMIZER)).isLessThan(8 * tables + 28 * 64 + 4096);
    }

    @Test
    void onlyTargetsBecomeSketches() {
        Llama model = model(DType.F32, fresh(3, 1, "v_proj", "down_proj"));
        for (Projection projection : model.projections()) {
            boolean target = projection.module().endsWith("v_proj")
                    || projection.module().endsWith("down_proj");
            assertThat(projection.weight().kind()).isEqualTo(target ? Weight.Kind.SKETCH : Weight.Kind.DENSE);
            assertThat(projection.table() != null).isEqualTo(target);
        }
        assertThat(model.trainable()).hasSize(4);
    }

    @Test
    void refusalsSayWhatIsWrong(@TempDir Path folder) {
        model(DType.F32, fresh(4, 2)).adapter().save(folder);
        LlamaConfig config = LlamaConfig.read(Golden.model(MODEL));
        assertThatThrownBy(() ->
                        Llama.create(scope, config, DType.F32, 3, Llama.Options.training(SketchTune.load(folder))))
                .hasMessageContaining("q_proj has other codes than those that its table was trained for");
        assertThatThrownBy(() -> Golden.load(
                        scope, MODEL, Llama.Options.training(fresh(4, 2)).withBase(Weight.Kind.NF4)))
                .hasMessageContaining(
                        "the base is NF4, but the adapter needs model.layers.0.self_attn.q_proj as SKETCH");
        assertThatThrownBy(() -> fresh(5, 1)).hasMessageContaining("2, 3 or 4 bits, not 5");
        assertThatThrownBy(() -> model(DType.F32, fresh(4, 7))).hasMessageContaining("7");
        Llama model = model(DType.F32, fresh(4, 2));
        assertThatThrownBy(model::merge).hasMessageContaining("merge: the base is SKETCH");
        assertThatThrownBy(() -> model.save(folder)).hasMessageContaining("save: the base is SKETCH");
    }
}
