package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.adapter.Adapter;
import io.graft.adapter.Ia3;
import io.graft.adapter.Lora;
import io.graft.adapter.PromptTuning;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftIa3Config;
import io.graft.io.PeftLoraConfig;
import io.graft.io.PeftPromptTuningConfig;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Numbers of parameters that the study of unit tests (arXiv 2411.02462) prints for its 13 models: all of them, LoRA's of
 * rank 16, (IA)³'s, and those of 20 virtual tokens. Models are made from configurations alone, on a context that only plans.
 */
class PublishedCountsTest {
    private static final String CODEGEN = "'model_type': 'codegen', 'vocab_size': 51200, 'n_layer': %d, 'n_embd': %d,"
            + " 'n_head': %d, 'rotary_dim': %d";
    private static final String LLAMA = "'model_type': 'llama', 'vocab_size': 32016, 'num_hidden_layers': %d,"
            + " 'hidden_size': %d, 'num_attention_heads': %d, 'intermediate_size': %d";
    private static final String BIGCODE = "'model_type': 'gpt_bigcode', 'vocab_size': 49152, 'n_positions': 8192,"
            + " 'n_layer': %d, 'n_embd': %d, 'n_head': %d, 'n_inner': %d";
    private static final String STARCODER2 = "'model_type': 'starcoder2', 'vocab_size': 49152, 'num_hidden_layers': %d,"
            + " 'hidden_size': %d, 'num_attention_heads': %d, 'intermediate_size': %d, 'num_key_value_heads': %d,"
            + " 'tie_word_embeddings': %b";
    private static final String QWEN2 = "'model_type': 'qwen2', 'num_hidden_layers': %d, 'hidden_size': %d,"
            + " 'num_attention_heads': %d, 'intermediate_size': %d, 'num_key_value_heads': %d, 'vocab_size': %d,"
            + " 'tie_word_embeddings': %b";

    private static LlamaConfig config(String model) {
        String json = switch (model) {
            case "codegen-350M-multi" -> CODEGEN.formatted(20, 1024, 16, 32);
            case "codegen2-1B" -> CODEGEN.formatted(16, 2048, 16, 64);
            case "codegen2-3.7B" -> CODEGEN.formatted(16, 4096, 16, 64);
            case "codegen2-7B" -> CODEGEN.formatted(32, 4096, 16, 64);
            case "codegen2-16B" -> CODEGEN.formatted(34, 6144, 24, 64);
            case "CodeLlama-7b" -> LLAMA.formatted(32, 4096, 32, 11008);
            case "starcoderbase" -> BIGCODE.formatted(40, 6144, 48, 24576);
            case "starcoder2-3b" -> STARCODER2.formatted(30, 3072, 24, 12288, 2, true);
            case "starcoder2-7b" -> STARCODER2.formatted(32, 4608, 36, 18432, 4, true);
            case "starcoder2-15b" -> STARCODER2.formatted(40, 6144, 48, 24576, 4, true);
            case "Qwen2.5-Coder-3B" -> QWEN2.formatted(36, 2048, 16, 11008, 2, 151936, true);
            case "Qwen2.5-Coder-7B" -> QWEN2.formatted(28, 3584, 28, 18944, 4, 152064, false);
            case "Qwen2.5-Coder-14B" -> QWEN2.formatted(48, 5120, 40, 13824, 8, 152064, false);
            default -> throw new IllegalArgumentException(model);
        };
        return LlamaConfig.parse(model, "{" + json.replace('\'', '"') + "}");
    }

    /** why 12,582,912: the study prints 12,502,912, which is no multiple of 48 layers. */
    @ParameterizedTest
    @CsvSource({
        "codegen-350M-multi, 356712448, 1310720, 143360, 20480",
        "codegen2-1B, 1015306240, 2097152, 229376, 40960",
        "codegen2-3.7B, 3641174016, 4194304, 458752, 81920",
        "codegen2-7B, 6862858240, 8388608, 917504, 81920",
        "codegen2-16B, 16032155648, 13369344, 1462272, 122880",
        "CodeLlama-7b, 6738546688, 8388608, 614400, 81920",
        "starcoderbase, 15517456384, 8028160, 1239040, 122880",
        "starcoder2-3b, 3030371328, 4546560, 468480, 61440",
        "starcoder2-7b, 7173923840, 7340032, 753664, 92160",
        "starcoder2-15b, 15655899136, 12124160, 1249280, 122880",
        "Qwen2.5-Coder-3B, 3085938688, 3686400, 479232, 40960",
        "Qwen2.5-Coder-7B, 7615616512, 5046272, 645120, 71680",
        "Qwen2.5-Coder-14B, 14770033664, 12582912, 958464, 102400"
    })
    void countsAreThePublishedOnes(String model, long all, long lora, long ia3, long prompt) {
        LlamaConfig config = config(model);
        String[] lowRank = model.startsWith("codegen")
                ? new String[] {"qkv_proj"}
                : model.equals("starcoderbase") ? new String[] {"c_attn"} : new String[] {"q_proj", "v_proj"};
        assertThat(config.parameters()).isEqualTo(all);
        PeftLoraConfig sixteen =
                PeftLoraConfig.builder().rank(16).targets(lowRank).build();
        assertThat(trained(config, all, Lora.create(sixteen, 1))).isEqualTo(lora);
        PeftIa3Config scales =
                PeftIa3Config.of("base", config.design().architecture().scaledModules());
        assertThat(trained(config, all, Ia3.create(scales))).isEqualTo(ia3);
        PeftPromptTuningConfig twenty = PeftPromptTuningConfig.of("base", 20, PeftPromptTuningConfig.Init.RANDOM);
        assertThat(trained(config, all, PromptTuning.create(twenty, 1))).isEqualTo(prompt);
    }

    private static long trained(LlamaConfig config, long all, Adapter adapter) {
        try (Context context = Context.planning(1);
                Scope scope = context.scope();
                Llama model = Llama.create(scope, config, DType.BF16, 0, Llama.Options.training(adapter))) {
            assertThat(model.size()).isEqualTo(all);
            return model.trainable().stream()
                    .mapToLong(parameter -> parameter.value().elements())
                    .sum();
        }
    }
}
