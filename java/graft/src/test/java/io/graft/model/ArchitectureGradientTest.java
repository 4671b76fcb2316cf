package io.graft.model;

import io.graft.adapter.Adapter;
import io.graft.adapter.BitFit;
import io.graft.adapter.Bottleneck;
import io.graft.adapter.Full;
import io.graft.adapter.Ia3;
import io.graft.adapter.Lora;
import io.graft.adapter.PrefixTuning;
import io.graft.adapter.Ssf;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftBitFitConfig;
import io.graft.io.PeftBottleneckConfig;
import io.graft.io.PeftIa3Config;
import io.graft.io.PeftLoraConfig;
import io.graft.io.PeftPrefixTuningConfig;
import io.graft.io.PeftSsfConfig;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Every architecture in float64: each gradient against the loss's difference quotient, with padding. */
class ArchitectureGradientTest {
    static LlamaConfig config(String type) {
        String own = switch (type) {
            case "mistral" -> "'architectures': ['MistralForCausalLM'], 'sliding_window': 2, 'head_dim': 6";
            case "qwen2" -> "'use_sliding_window': true, 'sliding_window': 3, 'max_window_layers': 1";
            case "qwen3" -> "'head_dim': 6, 'tie_word_embeddings': true";
            case "starcoder2" -> "'sliding_window': 3, 'head_dim': 6, 'tie_word_embeddings': false";
            case "gpt_bigcode" -> "'n_embd': 12, 'n_layer': 2, 'n_head': 4, 'n_inner': 20, 'n_positions': 9";
            case "phi3" -> "'sliding_window': 3, 'head_dim': 6";
            case "gemma2" ->
                "'sliding_window': 2, 'head_dim': 6, 'query_pre_attn_scalar': 5, 'attn_logit_softcapping': 1.5,"
                        + " 'final_logit_softcapping': 2.5";
            case "gemma3_text" ->
                "'sliding_window': 2, 'head_dim': 6, 'sliding_window_pattern': 2, 'query_pre_attn_scalar': 5,"
                        + " 'rope_local_base_freq': 3, 'rope_scaling': {'rope_type': 'linear', 'factor': 2}";
            case "glm" -> "'head_dim': 8";
            case "glm4" ->
                "'head_dim': 8, 'attention_bias': false, 'partial_rotary_factor': 0.75, 'rope_scaling':"
                        + " {'rope_type': 'yarn', 'factor': 16, 'original_max_position_embeddings': 4}";
            case "codegen" -> "'n_embd': 32, 'n_layer': 2, 'n_head': 8, 'n_inner': 20, 'rotary_dim': 2";
            default -> throw new IllegalArgumentException(type);
        };
        return LlamaConfig.parse(type, """
                {'model_type': '%s', 'vocab_size': 23, 'hidden_size': 12, 'intermediate_size': 20, 'num_hidden_layers': 2,
                 'num_attention_heads': %d, %s, %s}""".formatted(
                        type,
                        type.equals("qwen2") ? 6 : 4,
                        type.equals("codegen") ? "'n_ctx': 64" : "'num_key_value_heads': 2",
                        own)
                .replace('\'', '"'));
    }

    private static Adapter adapter(String kind) {
        return switch (kind) {
            case "full" -> new Full();
            case "lora" -> Lora.create(PeftLoraConfig.parse("test", """
                        {"peft_type": "LORA", "r": 3, "lora_alpha": 5, "lora_dropout": 0.3, "init_lora_weights": false,
                         "target_modules": "all-linear"}"""), 2);
            case "lora_bias" -> Lora.create(PeftLoraConfig.parse("test", """
                        {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "init_lora_weights": false, "bias": "all",
                         "target_modules": ["q_proj", "c_fc"]}"""), 2);
            case "ia3" ->
                Ia3.create(PeftIa3Config.of(
                        "base", List.of("q_proj", "k_proj", "v_proj", "down_proj", "c_attn", "qkv_proj", "fc_out")));
            case "ssf" -> Ssf.create(PeftSsfConfig.of("base", List.of("q_proj", "o_proj", "c_attn", "c_fc", "c_proj")));
            case "bitfit" -> BitFit.create(PeftBitFitConfig.of("base", LlamaConfig.PROJECTIONS));
            case "prefix" -> PrefixTuning.create(PeftPrefixTuningConfig.of("base", 3), 5);
            case "parallel" -> Bottleneck.create(PeftBottleneckConfig.parse("test", """
                        {"peft_type": "BOTTLENECK", "bottleneck_size": 3, "use_parallel_adapter": true,
                         "non_linearity": "tanh", "target_modules": ["q_proj", "v_proj", "up_proj"]}"""), 5);
            case "serial" -> Bottleneck.create(PeftBottleneckConfig.parse("test", """
                        {"peft_type": "BOTTLENECK", "bottleneck_size": 3, "use_parallel_adapter": false,
                         "non_linearity": "tanh", "target_modules": ["o_proj"]}"""), 5);
            default -> throw new IllegalArgumentException(kind);
        };
    }

    @ParameterizedTest
    @CsvSource({
        "mistral, full, false",
        "mistral, lora, true",
        "mistral, prefix, false",
        "qwen2, full, false",
        "qwen2, full, true",
        "qwen2, lora, false",
        "qwen2, lora, true",
        "qwen2, ia3, false",
        "qwen2, ssf, true",
        "qwen2, bitfit, false",
        "qwen2, parallel, false",
        "qwen2, prefix, true",
        "qwen3, full, false",
        "qwen3, full, true",
        "qwen3, lora, false",
        "qwen3, ia3, true",
        "qwen3, prefix, false",
        "qwen3, prefix, true",
        "starcoder2, full, false",
        "starcoder2, full, true",
        "starcoder2, lora, true",
        "starcoder2, lora_bias, false",
        "starcoder2, lora_bias, true",
        "codegen, lora_bias, false",
        "starcoder2, ia3, false",
        "starcoder2, serial, false",
        "starcoder2, ssf, false",
        "starcoder2, prefix, true",
        "gpt_bigcode, full, false",
        "gpt_bigcode, full, true",
        "gpt_bigcode, lora, true",
        "gpt_bigcode, ssf, false",
        "gpt_bigcode, prefix, false",
        "codegen, full, false",
        "codegen, full, true",
        "codegen, lora, false",
        "codegen, lora, true",
        "codegen, ia3, false",
        "codegen, prefix, true",
        "gemma2, full, false",
        "gemma2, full, true",
        "gemma2, lora, true",
        "gemma2, prefix, false",
        "gemma3_text, full, false",
        "gemma3_text, full, true",
        "gemma3_text, ia3, false",
        "glm, full, true",
        "glm4, full, false",
        "glm4, lora, true",
        "glm4, prefix, false",
        "phi3, full, false",
        "phi3, full, true",
        "phi3, lora, true",
        "phi3, ia3, false"
    })
    void gradientsAreDerivativesOfTheLoss(String type, String kind, boolean checkpointing) {
        GradientCheck.check(config(type), adapter(kind), checkpointing, 0);
    }
}
