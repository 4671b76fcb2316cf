package io.graft.cli;

import io.graft.adapter.AdaptionPrompt;
import io.graft.adapter.Dept;
import io.graft.adapter.Lst;
import io.graft.adapter.PTuning;
import io.graft.adapter.PrefixPropagation;
import io.graft.adapter.PrefixTuning;
import io.graft.adapter.PromptTuning;
import io.graft.io.PeftAdaptionPromptConfig;
import io.graft.io.PeftDeptConfig;
import io.graft.io.PeftLstConfig;
import io.graft.io.PeftPrefixPropagationConfig;
import io.graft.io.PeftPrefixTuningConfig;
import io.graft.io.PeftPromptEncoderConfig;
import io.graft.io.PeftPromptTuningConfig;
import java.util.List;

/** The methods that train something before the sequence or beside the blocks, in no layer; part of {@link MethodTable}. */
final class PromptMethods {
    private PromptMethods() {}

    static final List<Method> ALL = List.of(
            new Method("prompt", "prompt tuning", "PROMPT_TUNING", 5e-2, PromptMethods::prompt),
            new Method(
                    "xprompt",
                    "XPrompt",
                    "PROMPT_TUNING",
                    5e-2,
                    (options, seed) -> prompt(options, seed)
                            .withPruning(new PromptTuning.Pruning(
                                    options.steps(), options.keptTokens(), options.keptPieces()))),
            new Method(
                    "dept",
                    "DePT",
                    "DEPT",
                    5e-2,
                    (options, seed) -> Dept.create(
                                    PeftDeptConfig.of(
                                            options.baseModel(),
                                            options.virtualTokens(),
                                            options.places(),
                                            options.rank()),
                                    seed)
                            .withRateRatio(options.updateRateRatio())),
            new Method(
                    "prefix",
                    "prefix tuning",
                    "PREFIX_TUNING",
                    1e-1,
                    (options, seed) -> PrefixTuning.create(
                            PeftPrefixTuningConfig.of(
                                    options.baseModel(), options.virtualTokens(), options.reparametrise()),
                            seed)),
            new Method(
                    "propagation",
                    "prefix-propagation",
                    "PREFIX_PROPAGATION",
                    5e-2,
                    (options, seed) -> PrefixPropagation.create(
                            PeftPrefixPropagationConfig.of(options.baseModel(), options.virtualTokens()), seed)),
            new Method(
                    "ptuning",
                    "P-tuning",
                    "P_TUNING",
                    5e-3,
                    (options, seed) -> PTuning.create(
                            PeftPromptEncoderConfig.of(options.baseModel(), options.virtualTokens(), 0), seed)),
            new Method(
                    "llama-adapter",
                    "LLaMA-Adapter",
                    "ADAPTION_PROMPT",
                    2e-2,
                    (options, seed) -> AdaptionPrompt.create(
                            PeftAdaptionPromptConfig.of(
                                    options.baseModel(),
                                    options.virtualTokens(),
                                    options.lastLayers() == null ? 0 : options.lastLayers()),
                            seed)),
            new Method(
                    "lst",
                    "ladder side tuning",
                    "LST",
                    1e-2,
                    (options, seed) -> Lst.create(PeftLstConfig.of(options.baseModel(), options.reduction()), seed)));

    private static PromptTuning prompt(MethodSettings options, long seed) {
        return PromptTuning.create(
                PeftPromptTuningConfig.of(
                        options.baseModel(), options.virtualTokens(), PeftPromptTuningConfig.Init.SAMPLE_VOCAB),
                seed);
    }
}
