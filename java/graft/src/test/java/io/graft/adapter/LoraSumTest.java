package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.io.PeftLoraConfig;
import io.graft.model.Golden;
import io.graft.tensor.Context;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Sums of LoRA adapters against PEFT's add_weighted_adapter, bit by bit where it has one answer. */
class LoraSumTest {
    private static final String MODEL = "llama_gqa";

    @TempDir
    Path out;

    @ParameterizedTest
    @CsvSource({"combined_linear,LINEAR,lora,lora_rs,0.7,-0.3", "combined_cat,CAT,lora,lora_pattern,0.7,0.3"})
    void filesAreThoseOfPeft(String golden, LoraSum.How how, String first, String second, double w, double v)
            throws Exception {
        write(how, 0, List.of(first, second), w, v);
        Path expected = Golden.adapter(MODEL, golden);
        assertThat(config(out)).isEqualTo(config(expected));
        try (Context context = Context.cpu(1)) {
            Map<String, StoredTensors.Values> own = StoredTensors.read(context, out);
            Map<String, StoredTensors.Values> peft = StoredTensors.read(context, expected);
            assertThat(own.keySet()).containsExactlyElementsOf(peft.keySet());
            own.forEach((key, values) -> {
                assertThat(values.shape()).as(key).isEqualTo(peft.get(key).shape());
                assertThat(bits(values)).as(key).isEqualTo(bits(peft.get(key)));
            });
        }
        assertThat(Files.size(out.resolve(PeftAdapter.FILE))).isEqualTo(Files.size(expected.resolve(PeftAdapter.FILE)));
    }

    /** why + 0: what no adapter fills is 0 or -0 in PEFT's files, as its random start's signs were. */
    private static int[] bits(StoredTensors.Values values) {
        int[] bits = new int[values.floats().length];
        for (int i = 0; i < bits.length; i++) {
            bits[i] = Float.floatToRawIntBits(values.floats()[i] + 0f);
        }
        return bits;
    }

    @Test
    void singularValuesAreThoseOfPeft() throws Exception {
        write(LoraSum.How.SVD, 0, List.of("lora_pattern", "lora"), 0.7, -0.3);
        Path expected = Golden.adapter(MODEL, "combined_svd");
        assertThat(config(out)).isEqualTo(config(expected));
        Map<String, double[]> peft = products(expected);
        Map<String, double[]> own = products(out);
        assertThat(own.keySet()).isEqualTo(peft.keySet()).hasSize(14);
        own.forEach((module, product) ->
                assertThat(distance(product, peft.get(module))).as(module).isLessThan(2e-5));
    }

    /** cat holds the sum itself, and svd of the same rank holds it too. */
    @Test
    void catAndWideSvdHoldTheSum() throws Exception {
        Map<String, double[]> first = products(Golden.adapter(MODEL, "lora_rs"));
        Map<String, double[]> second = products(Golden.adapter(MODEL, "lora_pattern"));
        for (LoraSum.How how : List.of(LoraSum.How.CAT, LoraSum.How.SVD)) {
            write(how, 12, List.of("lora_rs", "lora_pattern"), -1.5, 0.25);
            assertThat(PeftLoraConfig.read(out).rankStabilised()).isFalse();
            assertThat(PeftLoraConfig.read(out).scale("model.layers.0.self_attn.q_proj"))
                    .isEqualTo(1);
            Map<String, double[]> sum = products(out);
            for (String module : second.keySet()) {
                double[] expected = new double[sum.get(module).length];
                for (int i = 0; i < expected.length; i++) {
                    expected[i] =
                            0.25 * second.get(module)[i] - 1.5 * (first.containsKey(module) ? first.get(module)[i] : 0);
                }
                assertThat(distance(sum.get(module), expected)).as(module).isLessThan(1e-6);
            }
        }
    }

    /** One adapter with weight 1 stays what it does, whatever its scale. */
    @Test
    void aSingleAdapterStaysTheSame() throws Exception {
        write(LoraSum.How.CAT, 0, List.of("lora_rs"), 1);
        Map<String, double[]> before = products(Golden.adapter(MODEL, "lora_rs"));
        products(out)
                .forEach((module, product) ->
                        assertThat(distance(product, before.get(module))).isLessThan(1e-6));
    }

    @Test
    void whatHasNoSumIsRefused() {
        assertThatThrownBy(() -> write(LoraSum.How.CAT, 0, List.of("lora", "dora"), 1, 1))
                .hasMessageContaining("use_dora");
        assertThatThrownBy(() -> write(LoraSum.How.CAT, 0, List.of("lora_modules_to_save", "lora"), 1, 1))
                .hasMessageContaining("modules_to_save [lm_head]");
        assertThatThrownBy(() -> write(LoraSum.How.LINEAR, 0, List.of("lora", "pissa_as_lora"), 1, 1))
                .hasMessageContaining("sums of factors need equal ranks");
        assertThatThrownBy(() -> write(LoraSum.How.CAT, 0, List.of("lora", "lora_layers"), 1, 1))
                .hasMessageContaining("cannot be joined");
        assertThatThrownBy(() -> write(LoraSum.How.CAT, 0, List.of("lora", "lora_rs"), 1))
                .hasMessageContaining("1 weights for 2 adapters");
        assertThatThrownBy(() -> write(LoraSum.How.CAT, 0, List.of("lora", "ia3"), 1, 1))
                .hasMessageContaining("peft_type");
        assertThat(out.resolve(PeftAdapter.FILE)).doesNotExist();
    }

    @Test
    void otherBasesAreRefused() {
        try (Context context = Context.cpu(1)) {
            List<Path> folders = List.of(Golden.adapter(MODEL, "lora"), Golden.adapter("llama_tied", "lora"));
            assertThatThrownBy(() -> LoraSum.write(context, folders, new double[] {1, 1}, LoraSum.How.CAT, 0, out))
                    .hasMessageContaining("is no layer of");
        }
    }

    private void write(LoraSum.How how, int rank, List<String> names, double... weights) {
        try (Context context = Context.cpu(1)) {
            List<Path> folders =
                    names.stream().map(name -> Golden.adapter(MODEL, name)).toList();
            LoraSum.write(context, folders, weights, how, rank, out);
        }
    }

    /** scale · B A of each module, in double. */
    private static Map<String, double[]> products(Path folder) {
        PeftLoraConfig config = PeftLoraConfig.read(folder);
        try (Context context = Context.cpu(1)) {
            Map<String, StoredTensors.Values> tensors = StoredTensors.read(context, folder);
            return tensors.keySet().stream()
                    .filter(key -> key.endsWith(".lora_A.weight"))
                    .map(key -> key.substring(0, key.length() - ".lora_A.weight".length()))
                    .collect(Collectors.toMap(
                            module -> module,
                            module -> product(
                                    tensors.get(module + ".lora_A.weight"),
                                    tensors.get(module + ".lora_B.weight"),
                                    config.scale(module.substring(PeftAdapter.PREFIX.length())))));
        }
    }

    private static double[] product(StoredTensors.Values a, StoredTensors.Values b, double scale) {
        int rank = (int) a.shape()[0];
        int k = (int) a.shape()[1];
        int n = (int) b.shape()[0];
        double[] product = new double[n * k];
        for (int i = 0; i < n; i++) {
            for (int r = 0; r < rank; r++) {
                for (int j = 0; j < k; j++) {
                    product[i * k + j] += scale * b.floats()[i * rank + r] * a.floats()[r * k + j];
                }
            }
        }
        return product;
    }

    private static double distance(double[] actual, double[] expected) {
        double difference = 0;
        double size = 0;
        for (int i = 0; i < expected.length; i++) {
            difference += Math.pow(actual[i] - expected[i], 2);
            size += expected[i] * expected[i];
        }
        return Math.sqrt(difference / size);
    }

    /** The configuration; targets are a set, which Python writes in any order. */
    private static JsonNode config(Path folder) throws Exception {
        ObjectNode json = (ObjectNode) new ObjectMapper()
                .readTree(folder.resolve("adapter_config.json").toFile());
        List<String> targets = new ArrayList<>();
        json.get("target_modules").forEach(name -> targets.add(name.asText()));
        json.remove("target_modules");
        targets.sort(null);
        return json.set("target_modules", new ObjectMapper().valueToTree(targets));
    }
}
