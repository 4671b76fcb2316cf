package io.graft.model;

import io.graft.adapter.Adapter;
import io.graft.adapter.AdaptionPrompt;
import io.graft.adapter.BitFit;
import io.graft.adapter.Boft;
import io.graft.adapter.Bottleneck;
import io.graft.adapter.C3a;
import io.graft.adapter.CapaBoost;
import io.graft.adapter.Compacter;
import io.graft.adapter.Dept;
import io.graft.adapter.DyLora;
import io.graft.adapter.EntrySelection;
import io.graft.adapter.FourierFt;
import io.graft.adapter.Full;
import io.graft.adapter.Glora;
import io.graft.adapter.Hira;
import io.graft.adapter.Hiwi;
import io.graft.adapter.Ia3;
import io.graft.adapter.KAdaptation;
import io.graft.adapter.Loha;
import io.graft.adapter.Lokr;
import io.graft.adapter.Lora;
import io.graft.adapter.Lst;
import io.graft.adapter.Miss;
import io.graft.adapter.Oft;
import io.graft.adapter.PTuning;
import io.graft.adapter.Paca;
import io.graft.adapter.Peqa;
import io.graft.adapter.PrefixPropagation;
import io.graft.adapter.PrefixTuning;
import io.graft.adapter.PromptTuning;
import io.graft.adapter.QaLora;
import io.graft.adapter.RowSelection;
import io.graft.adapter.Rows;
import io.graft.adapter.Said;
import io.graft.adapter.Shira;
import io.graft.adapter.SketchTune;
import io.graft.adapter.Sora;
import io.graft.adapter.Ssf;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftAdaptionPromptConfig;
import io.graft.io.PeftBitFitConfig;
import io.graft.io.PeftBoftConfig;
import io.graft.io.PeftBottleneckConfig;
import io.graft.io.PeftC3aConfig;
import io.graft.io.PeftCapaBoostConfig;
import io.graft.io.PeftCompacterConfig;
import io.graft.io.PeftDeptConfig;
import io.graft.io.PeftFourierConfig;
import io.graft.io.PeftGloraConfig;
import io.graft.io.PeftHiraConfig;
import io.graft.io.PeftHiwiConfig;
import io.graft.io.PeftIa3Config;
import io.graft.io.PeftKAdaptationConfig;
import io.graft.io.PeftLohaConfig;
import io.graft.io.PeftLokrConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.io.PeftLstConfig;
import io.graft.io.PeftMissConfig;
import io.graft.io.PeftOftConfig;
import io.graft.io.PeftPacaConfig;
import io.graft.io.PeftPeqaConfig;
import io.graft.io.PeftPrefixPropagationConfig;
import io.graft.io.PeftPrefixTuningConfig;
import io.graft.io.PeftPromptEncoderConfig;
import io.graft.io.PeftPromptTuningConfig;
import io.graft.io.PeftQaLoraConfig;
import io.graft.io.PeftRowsConfig;
import io.graft.io.PeftSaidConfig;
import io.graft.io.PeftSketchTuneConfig;
import io.graft.io.PeftSsfConfig;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The whole model in float64: each gradient against the loss's difference quotient, with padding and dropout. */
class GradientCheckTest {
    private static Adapter adapter(String kind) {
        if (kind.equals("full")) {
            return new Full();
        }
        if (kind.equals("paca")) {
            return Paca.create(PeftPacaConfig.builder()
                    .rank(3)
                    .alpha(5)
                    .targetPattern("all-linear")
                    .build());
        }
        if (kind.equals("rows")) {
            return Rows.create(PeftRowsConfig.of("base", LlamaConfig.PROJECTIONS, 3, Map.of()), RowSelection.random(4));
        }
        if (kind.equals("shira")) {
            return Shira.create("base", LlamaConfig.PROJECTIONS, 2, EntrySelection.random(3), 3);
        }
        if (kind.equals("miss")) {
            return Miss.create(PeftMissConfig.parse("test", """
                    {"peft_type": "MISS", "r": 5, "miss_dropout": 0.3, "init_weights": false,
                     "target_modules": "all-linear"}"""), 2);
        }
        if (kind.equals("oft") || kind.equals("oft exact")) {
            return Oft.create(
                    PeftOftConfig.parse("test", """
                    {"peft_type": "OFT", "oft_block_size": 3, "init_weights": false, "block_share": %s,
                     "use_cayley_neumann": %s, "target_modules": "all-linear"}""".formatted(kind.equals("oft exact"), kind.equals("oft"))), 2);
        }
        if (kind.equals("boft")) {
            return Boft.create(PeftBoftConfig.parse("test", """
                    {"peft_type": "BOFT", "boft_block_size": 2, "boft_n_butterfly_factor": 2, "init_weights": false,
                     "target_modules": "all-linear"}"""), 2);
        }
        if (kind.equals("c3a")) {
            return C3a.create(PeftC3aConfig.parse("test", """
                    {"peft_type": "C3A", "block_size": 4, "init_weights": "gaussian", "target_modules": "all-linear"}"""), 2);
        }
        if (kind.equals("fourierft")) {
            return FourierFt.create(PeftFourierConfig.parse("test", """
                    {"peft_type": "FOURIERFT", "n_frequency": 9, "scaling": 20, "target_modules": "all-linear"}"""), 2);
        }
        if (kind.equals("kadaptation")) {
            return KAdaptation.create(PeftKAdaptationConfig.parse("test", """
                    {"peft_type": "KADAPTATION", "hypercomplex_division": 2, "phm_rank": 2}"""), 2);
        }
        if (kind.equals("qalora")) {
            return QaLora.create(PeftQaLoraConfig.parse("test", """
                    {"peft_type": "LORA", "use_qalora": true, "qalora_group_size": 2, "r": 3, "init_lora_weights": false,
                     "target_modules": "all-linear"}"""), 2);
        }
        if (kind.equals("hira")) {
            return Hira.create(PeftHiraConfig.parse("test", """
                    {"peft_type": "HIRA", "r": 2, "init_weights": false, "target_modules": "all-linear"}"""), 2);
        }
        if (kind.startsWith("glora")) {
            return Glora.create(
                    PeftGloraConfig.parse("test", """
                    {"peft_type": "GLORA", "r": 2, "init_weights": false, "config_A_B": "%s",
                     "target_modules": "all-linear"}""".formatted(kind.equals("glora") ? "lora" : "vector")), 2);
        }
        if (kind.equals("hiwi")) {
            return Hiwi.create(PeftHiwiConfig.parse("test", """
                    {"peft_type": "HIWI", "r": 2, "non_linearity": "tanh"}"""), 2);
        }
        if (kind.equals("compacter")) {
            return Compacter.create(PeftCompacterConfig.parse("test", """
                    {"peft_type": "COMPACTER", "bottleneck_size": 4, "hypercomplex_division": 2, "phm_rank": 2,
                     "non_linearity": "tanh"}"""), 2);
        }
        if (kind.equals("peqa")) {
            return Peqa.create(PeftPeqaConfig.of("base", LlamaConfig.PROJECTIONS, 2, 2));
        }
        if (kind.equals("capaboost")) {
            return CapaBoost.create(PeftCapaBoostConfig.of("base", LlamaConfig.PROJECTIONS, 2, 3, 0.3, 3, 0.6, 4), 2);
        }
        if (kind.equals("loha")) {
            return Loha.create(PeftLohaConfig.parse("test", """
                    {"peft_type": "LOHA", "r": 2, "init_weights": false, "target_modules": "all-linear"}"""), 2);
        }
        if (kind.equals("lokr")) {
            return Lokr.create(PeftLokrConfig.parse("test", """
                    {"peft_type": "LOKR", "r": 1, "init_weights": false, "decompose_both": true,
                     "target_modules": "all-linear"}"""), 2);
        }
        if (kind.equals("ia3")) {
            return Ia3.create(PeftIa3Config.of("base", List.of("q_proj", "v_proj", "up_proj", "o_proj", "down_proj")));
        }
        if (kind.equals("ssf")) {
            return Ssf.create(PeftSsfConfig.of("base", LlamaConfig.PROJECTIONS));
        }
        if (kind.equals("dylora") || kind.equals("sora")) {
            PeftLoraConfig terms = PeftLoraConfig.builder()
                    .rank(4)
                    .dropout(0.3)
                    .targetPattern("all-linear")
                    .build();
            return kind.equals("sora") ? Sora.create(terms, 1, 2) : DyLora.create(terms, 2);
        }
        if (kind.equals("bitfit")) {
            return BitFit.create(PeftBitFitConfig.of("base", LlamaConfig.PROJECTIONS));
        }
        if (kind.equals("sketchtune")) {
            return SketchTune.create(PeftSketchTuneConfig.of("base", LlamaConfig.PROJECTIONS), 2, 2);
        }
        if (kind.equals("prompt")) {
            return PromptTuning.create(PeftPromptTuningConfig.of("base", 3, PeftPromptTuningConfig.Init.RANDOM), 5);
        }
        if (kind.equals("prefix")) {
            return PrefixTuning.create(PeftPrefixTuningConfig.of("base", 3), 5);
        }
        if (kind.equals("dept")) {
            return Dept.create(PeftDeptConfig.of("base", 2, 3, 2), 5);
        }
        if (kind.equals("long dept")) {
            return Dept.create(PeftDeptConfig.of("base", 2, 9, 2), 5);
        }
        if (kind.equals("gated")) {
            return AdaptionPrompt.create(PeftAdaptionPromptConfig.of("base", 3, 2), 5);
        }
        if (kind.equals("gated in the last layer")) {
            return AdaptionPrompt.create(PeftAdaptionPromptConfig.of("base", 3, 1), 5);
        }
        if (kind.equals("lst")) {
            return Lst.create(PeftLstConfig.of("base", 3), 7);
        }
        if (kind.equals("said")) {
            return Said.create(PeftSaidConfig.of("base", LlamaConfig.PROJECTIONS, 40, 7));
        }
        if (kind.equals("projected prefix")) {
            return PrefixTuning.create(PeftPrefixTuningConfig.of("base", 3, true), 5);
        }
        if (kind.equals("propagated")) {
            return PrefixPropagation.create(PeftPrefixPropagationConfig.of("base", 3), 5);
        }
        if (kind.equals("ptuning")) {
            return PTuning.create(PeftPromptEncoderConfig.of("base", 3, 7), 5);
        }
        if (kind.equals("serial") || kind.equals("parallel")) {
            boolean parallel = kind.equals("parallel");
            return Bottleneck.create(
                    PeftBottleneckConfig.parse("test", """
                    {"peft_type": "BOTTLENECK", "bottleneck_size": 3, "use_parallel_adapter": %s, "non_linearity": "%s",
                     "target_modules": [%s]}""".formatted(
                                    parallel,
                                    parallel ? "relu" : "tanh",
                                    parallel ? "\"q_proj\", \"up_proj\", \"down_proj\"" : "\"o_proj\", \"down_proj\"")),
                    5);
        }
        PeftLoraConfig config = PeftLoraConfig.parse("test", """
                {"peft_type": "LORA", "r": 3, "lora_alpha": 5, "lora_dropout": %s, "init_lora_weights": false,
                 "target_modules": "all-linear"}""".formatted(kind.equals("dropout") ? "0.4" : "0.0"));
        Lora lora = Lora.create(config, 2);
        return kind.equals("dropped factors") ? lora.withFactorDropout(0.4) : lora;
    }

    @ParameterizedTest
    @CsvSource({
        "full, false, false",
        "full, true, false",
        "full, true, true",
        "lora, false, false",
        "dropout, false, false",
        "dropout, true, true",
        "dropped factors, false, false",
        "dropped factors, true, true",
        "paca, false, false",
        "paca, true, true",
        "rows, false, false",
        "rows, true, true",
        "shira, false, false",
        "shira, true, true",
        "miss, false, false",
        "miss, true, true",
        "capaboost, false, false",
        "capaboost, true, true",
        "loha, false, false",
        "loha, true, true",
        "boft, false, false",
        "boft, true, true",
        "c3a, false, false",
        "c3a, true, true",
        "fourierft, false, false",
        "fourierft, true, true",
        "kadaptation, false, false",
        "kadaptation, true, true",
        "qalora, false, false",
        "qalora, true, true",
        "hira, false, false",
        "hira, true, true",
        "glora, false, false",
        "glora vector, true, true",
        "hiwi, false, false",
        "hiwi, true, true",
        "compacter, false, false",
        "compacter, true, true",
        "peqa, false, false",
        "peqa, true, true",
        "oft, false, false",
        "oft exact, true, true",
        "lokr, false, false",
        "lokr, true, true",
        "ia3, false, false",
        "ia3, true, true",
        "sketchtune, false, false",
        "sketchtune, true, true",
        "ssf, false, false",
        "ssf, true, true",
        "dylora, false, false",
        "sora, true, true",
        "bitfit, false, false",
        "bitfit, true, true",
        "prompt, false, false",
        "prompt, true, true",
        "prefix, false, false",
        "prefix, true, true",
        "gated, false, false",
        "gated, true, true",
        "gated in the last layer, false, false",
        "lst, false, false",
        "lst, true, true",
        "said, false, false",
        "said, true, true",
        "projected prefix, false, false",
        "projected prefix, true, true",
        "propagated, false, false",
        "propagated, true, true",
        "dept, false, false",
        "dept, true, true",
        "long dept, false, false",
        "ptuning, false, false",
        "ptuning, true, true",
        "serial, false, false",
        "serial, true, true",
        "parallel, false, false",
        "parallel, true, true"
    })
    void gradientsAreDerivativesOfTheLoss(String kind, boolean tied, boolean checkpointing) {
        GradientCheck.check(adapter(kind), tied, checkpointing);
    }
}
