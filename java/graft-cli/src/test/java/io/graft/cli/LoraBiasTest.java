package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.io.LlamaConfig;
import io.graft.io.SafetensorsFile;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code --lora-bias} of {@code finetune}, over a model whose layers have biases. */
class LoraBiasTest extends FinetuneRuns {
    private static final Object[] LORA = {
        "--method", "lora", "--rank", 4, "--target-modules", "q_proj,v_proj", "--steps", 12
    };

    @BeforeEach
    void modelWithBiases() throws IOException {
        Path config = folder.resolve("config.json");
        String json = Files.readString(Cli.model("llama_biases").resolve("config.json"));
        Files.writeString(config, json.replace("\"vocab_size\": 59", "\"vocab_size\": 330"));
        model = folder.resolve("model");
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama made = Llama.create(scope, LlamaConfig.read(config), DType.F32, 3, Llama.Options.inference())) {
            Files.createDirectories(model);
            made.save(model);
        }
        Files.copy(MODEL.resolve("tokenizer.json"), model.resolve("tokenizer.json"));
    }

    /** They learn beside the factors, and what is saved does what was trained. */
    @ParameterizedTest
    @ValueSource(strings = {"all", "lora_only"})
    void biasesAreTrainedBesideTheFactors(String which) throws IOException {
        Path out = folder.resolve(which);
        Cli run = trained(out, with(LORA, "--lora-bias", which));
        Cli plain = trained(folder.resolve("plain"), LORA);
        assertThat(lossOf(out)).isEqualTo(after(run)).isNotEqualTo(after(plain));
        assertThat(Files.readString(out.resolve("adapter_config.json"))).contains("\"bias\": \"" + which + "\"");
        try (SafetensorsFile file = SafetensorsFile.open(adapter(out));
                SafetensorsFile without = SafetensorsFile.open(adapter(folder.resolve("plain")))) {
            List<String> biases =
                    file.names().stream().filter(name -> name.endsWith(".bias")).toList();
            List<String> layers = which.equals("all")
                    ? List.of("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
                    : List.of("q_proj", "v_proj");
            assertThat(biases)
                    .hasSize(2 * layers.size())
                    .allMatch(name -> layers.stream().anyMatch(name::contains));
            assertThat(without.names()).noneMatch(name -> name.endsWith(".bias"));
        }
    }

    @Test
    void otherWordsAndOtherBiasesOfARunAreRefused() {
        Path out = folder.resolve("out");
        trained(out, with(LORA, "--lora-bias", "all"));
        assertThat(finetune(out, with(LORA, "--lora-bias", "none", "--resume")).err())
                .contains("has --lora-bias all, not none");
        assertThat(finetune(folder.resolve("x"), with(LORA, "--lora-bias", "some"))
                        .err())
                .contains("some");
    }
}
