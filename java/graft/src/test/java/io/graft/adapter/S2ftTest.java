package io.graft.adapter;

import static io.graft.adapter.PacaModels.batch;
import static io.graft.adapter.PacaModels.model;
import static io.graft.adapter.PacaModels.train;
import static io.graft.adapter.PacaModels.weights;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.PeftPacaConfig;
import io.graft.io.PeftRowsConfig;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.PartialRows;
import io.graft.nn.Projection;
import io.graft.tensor.DType;
import io.graft.tensor.InContext;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** S2FT: whole heads and channels, as rows and columns that belong together, on a model whose query heads share keys. */
class S2ftTest extends InContext {
    private static final int HEAD = 12;
    private static final int HEADS = 4;
    private static final int KEY_HEADS = 2;
    private static final List<String> ROWS = List.of("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj");

    private static Structures structures(long seed) {
        return new Structures(seed, HEADS, KEY_HEADS, HEAD);
    }

    private static Paca columns(int heads, int channels, long seed) {
        PeftPacaConfig config = PeftPacaConfig.builder()
                .rank(channels)
                .alpha(channels)
                .rankPattern(Map.of("o_proj", heads * HEAD))
                .alphaPattern(Map.of("o_proj", (double) heads * HEAD))
                .targets("o_proj", "down_proj")
                .build();
        return Paca.create(config, structures(seed).columns());
    }

    private static Rows rows(int heads, int channels, long seed) {
        Map<String, Integer> ranks = Map.of("[qkv]_proj", heads * HEAD);
        return Rows.create(
                PeftRowsConfig.of("base", ROWS, channels, ranks),
                structures(seed).rows());
    }

    private static Combined both(Paca columns, Rows rows) {
        Map<String, Adapter> parts = new LinkedHashMap<>();
        parts.put("columns", columns);
        parts.put("rows", rows);
        return Combined.of(parts);
    }

    private static long[] chosen(Projection projection) {
        return projection.attachment() instanceof PartialRows part
                ? part.indices().longs()
                : PacaModels.columns(projection);
    }

    private static TreeSet<Long> heads(long[] indices) {
        TreeSet<Long> heads = new TreeSet<>();
        for (int i = 0; i < indices.length; i++) {
            assertThat(indices[i] % HEAD).isEqualTo(i % HEAD);
            heads.add(indices[i] / HEAD);
        }
        return heads;
    }

    @Test
    void headsAndChannelsAreWholeAndBelongTogether() {
        TreeSet<List<Long>> drawn = new TreeSet<>((a, b) -> a.toString().compareTo(b.toString()));
        for (long seed = 0; seed < 6; seed++) {
            try (Llama model = model(scope, DType.F32, both(columns(2, 5, seed), rows(1, 3, seed)))) {
                Map<String, long[]> chosen = new HashMap<>();
                for (Projection projection : model.projections()) {
                    assertThat(chosen(projection)).doesNotHaveDuplicates().isSorted();
                    chosen.put(projection.module(), chosen(projection));
                }
                for (int layer = 0; layer < 2; layer++) {
                    String path = "model.layers." + layer;
                    TreeSet<Long> o = heads(chosen.get(path + ".self_attn.o_proj"));
                    TreeSet<Long> q = heads(chosen.get(path + ".self_attn.q_proj"));
                    TreeSet<Long> k = heads(chosen.get(path + ".self_attn.k_proj"));
                    assertThat(o).hasSize(2).containsAll(q);
                    assertThat(q).hasSize(1);
                    assertThat(k).containsExactly(q.first() / (HEADS / KEY_HEADS));
                    assertThat(heads(chosen.get(path + ".self_attn.v_proj"))).isEqualTo(k);
                    assertThat(chosen.get(path + ".mlp.up_proj")).isEqualTo(chosen.get(path + ".mlp.gate_proj"));
                    assertThat(chosen.get(path + ".mlp.down_proj")).contains(chosen.get(path + ".mlp.up_proj"));
                    drawn.add(List.copyOf(o));
                }
            }
        }
        assertThat(drawn).hasSizeGreaterThan(2);
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void onlyWhatBelongsToThemChanges(DType dtype, @TempDir Path folder) {
        Paca columns = columns(1, 4, 3);
        Rows rows = rows(1, 4, 3);
        try (Llama model = model(scope, dtype, both(columns, rows));
                Llama base = model(scope, dtype, null)) {
            assertThat(model.logits(batch(2))).isEqualTo(base.logits(batch(2)));
            List<float[]> before = weights(model);
            train(model, 4);
            List<float[]> after = weights(model);
            for (int i = 0; i < before.size(); i++) {
                Projection projection = model.projections().get(i);
                int width = (int) projection.weight().k();
                boolean wholeRows = projection.attachment() instanceof PartialRows;
                TreeSet<Long> trained = new TreeSet<>();
                LongStream.of(chosen(projection)).forEach(trained::add);
                TreeSet<Long> changed = new TreeSet<>();
                for (int at = 0; at < before.get(i).length; at++) {
                    if (before.get(i)[at] != after.get(i)[at]) {
                        changed.add((long) (wholeRows ? at / width : at % width));
                    }
                }
                assertThat(changed).isEqualTo(trained);
            }
            float loss = model.loss(batch(2));
            model.adapter().save(folder);
            rows.saveLora(folder.resolve("lora"));
            Combined again =
                    Combined.load(folder, part -> part.endsWith("rows") ? Rows.frozen(part) : Paca.frozen(part));
            try (Llama loaded = model(scope, dtype, again)) {
                assertThat(loaded.loss(batch(2))).isEqualTo(loss);
                assertThat(weights(loaded)).usingRecursiveComparison().isEqualTo(after);
            }
            columns.disable();
            float[] onlyRows = model.logits(batch(2));
            if (dtype == DType.F32) {
                try (Llama lora = model(scope, dtype, Lora.frozen(folder.resolve("lora")))) {
                    Golden.assertClose("rows as LoRA", lora.logits(batch(2)), onlyRows, 1e-5);
                }
            }
            rows.disable();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(before);
            columns.enable();
            rows.enable();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(after);
            model.merge();
            assertThat(weights(model)).usingRecursiveComparison().isEqualTo(after);
        }
    }

    @Test
    void rowsAreChosenInEveryWay(@TempDir Path folder) {
        String module = "model.layers.1.mlp.up_proj";
        try (Llama full = model(scope, DType.F32, new Full((module + ".weight")::equals))) {
            float[] w = full.parameter(module + ".weight").value().floats();
            int width = (int) full.parameter(module + ".weight").value().size(1);
            for (int row : new int[] {2, 30, 7}) {
                w[row * width + 5] += row;
                w[row * width] -= 1;
            }
            full.parameter(module + ".weight").value().set(w);
            full.save(folder);
        }
        assertThat(chosen(module, RowSelection.change(folder))).containsExactly(2, 7, 30);
        assertThat(chosen(module, RowSelection.given(Map.of(module, new long[] {9, 1, 4}))))
                .containsExactly(9, 1, 4);
        assertThat(chosen(module, RowSelection.random(1)))
                .isSorted()
                .doesNotHaveDuplicates()
                .isNotEqualTo(chosen(module, RowSelection.random(2)));
        long[] largest = chosen(module, RowSelection.norm());
        try (Llama model = model(scope, DType.F32, null)) {
            Projection projection = model.projections().stream()
                    .filter(p -> p.module().equals(module))
                    .findFirst()
                    .orElseThrow();
            float[] w = projection.weight().matrix().floats();
            double[] norms = new double[(int) projection.weight().n()];
            for (int i = 0; i < w.length; i++) {
                norms[i / (int) projection.weight().k()] += (double) w[i] * w[i];
            }
            double least = LongStream.of(largest)
                    .mapToDouble(row -> norms[(int) row])
                    .min()
                    .orElseThrow();
            assertThat(LongStream.range(0, norms.length).filter(row -> norms[(int) row] > least * (1 + 1e-5)))
                    .hasSizeLessThan(3);
        }
    }

    private long[] chosen(String module, RowSelection selection) {
        Rows rows = Rows.create(PeftRowsConfig.of("base", List.of(module), 3, Map.of()), selection);
        try (Llama model = model(scope, DType.F32, rows)) {
            return chosen(rows.projections().get(0));
        }
    }

    @Test
    void whatDoesNotFitIsRefused() {
        PeftPacaConfig half =
                PeftPacaConfig.builder().rank(18).targets("o_proj").build();
        assertThatThrownBy(() ->
                        model(scope, DType.F32, Paca.create(half, structures(1).columns())))
                .hasMessageContaining("S2FT: r is 18 for model.layers.0.self_attn.o_proj", "multiple of the 12");
        PeftPacaConfig three =
                PeftPacaConfig.builder().rank(3 * HEAD).targets("o_proj").build();
        Structures two = new Structures(1, 2, 1, HEAD);
        assertThatThrownBy(() -> model(scope, DType.F32, Paca.create(three, two.columns())))
                .hasMessageContaining("S2FT: 3 structures are asked of model.layers.0.self_attn.o_proj", "only 2");
        assertThatThrownBy(() -> model(
                        scope,
                        DType.F32,
                        Rows.create(
                                PeftRowsConfig.of("base", List.of("o_proj"), 12, Map.of()),
                                structures(1).rows())))
                .hasMessageContaining("S2FT: rows of model.layers.0.self_attn.o_proj belong to no head");
        assertThatThrownBy(() -> chosen("model.layers.0.self_attn.k_proj", (projection, rank) -> new long[2]))
                .hasMessageContaining("Rows: 2 rows are chosen for model.layers.0.self_attn.k_proj, but r is 3");
        Rows wide = Rows.create(PeftRowsConfig.of("base", List.of("k_proj"), 25, Map.of()), RowSelection.random(1));
        assertThatThrownBy(() -> model(scope, DType.F32, wide))
                .hasMessageContaining("Rows: r is 25, but model.layers.0.self_attn.k_proj has only 24 outputs");
        Rows onCodes = rows(1, 4, 1);
        assertThatThrownBy(() -> Golden.load(
                        scope, "llama_gqa", Llama.Options.training(onCodes).withBase(Weight.Kind.NF4)))
                .hasMessageContaining("model.layers.0.self_attn.q_proj is NF4", "needs a dense base");
    }
}
