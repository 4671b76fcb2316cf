package io.graft.cli;

import io.graft.adapter.AdaLora;
import io.graft.adapter.Adapter;
import io.graft.adapter.BitFit;
import io.graft.adapter.Bottleneck;
import io.graft.adapter.Combined;
import io.graft.adapter.DyLora;
import io.graft.adapter.Full;
import io.graft.adapter.Ia3;
import io.graft.adapter.LnTuning;
import io.graft.adapter.Lora;
import io.graft.adapter.LoraStart;
import io.graft.adapter.Miss;
import io.graft.adapter.Propetl;
import io.graft.adapter.QaLora;
import io.graft.adapter.SketchTune;
import io.graft.adapter.Sora;
import io.graft.adapter.Ssf;
import io.graft.adapter.Vera;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftAdaLoraConfig;
import io.graft.io.PeftBitFitConfig;
import io.graft.io.PeftBottleneckConfig;
import io.graft.io.PeftIa3Config;
import io.graft.io.PeftLnTuningConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.io.PeftMissConfig;
import io.graft.io.PeftQaLoraConfig;
import io.graft.io.PeftSketchTuneConfig;
import io.graft.io.PeftSsfConfig;
import io.graft.io.PeftVeraConfig;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** The methods in the order of tables, and how each makes a fresh adapter from the user's options. */
final class MethodTable {
    private MethodTable() {}

    private static final List<Method> OWN = List.of(
            new Method("full", "full fine-tuning", null, 5e-4, (options, seed) -> full(options), null),
            new Method("lora", "LoRA", "LORA", 2e-3, (options, seed) -> lora(options, seed, false), MethodTable::lora),
            new Method(
                    "lora+",
                    "LoRA+",
                    "LORA",
                    5e-4,
                    (options, seed) -> lora(options, seed, false).withRateRatio(options.rateRatio),
                    MethodTable::lora),
            new Method(
                    "lora-fa",
                    "LoRA-FA",
                    "LORA",
                    2e-3,
                    (options, seed) -> lora(options, seed, false).withFrozenDown(),
                    MethodTable::lora),
            new Method(
                    "lora-dropout",
                    "LoRA Dropout",
                    "LORA",
                    2e-3,
                    (options, seed) -> lora(options, seed, false).withFactorDropout(options.factorDropout),
                    MethodTable::lora),
            new Method(
                    "periodic-lora",
                    "PeriodicLoRA",
                    "LORA",
                    2e-3,
                    (options, seed) -> lora(options, seed, false)
                            .withPeriod(options.period == null ? Math.max(1, options.steps / 4) : options.period),
                    MethodTable::lora),
            new Method("dora", "DoRA", "LORA", 2e-3, (options, seed) -> lora(options, seed, true), MethodTable::lora),
            new Method(
                    "pissa",
                    "PiSSA",
                    "LORA",
                    1e-3,
                    (options, seed) -> lora(options, seed, false).startingFrom(LoraStart.PRINCIPAL),
                    MethodTable::lora),
            new Method(
                    "olora",
                    "OLoRA",
                    "LORA",
                    1e-3,
                    (options, seed) -> lora(options, seed, false).startingFrom(LoraStart.ORTHOGONAL),
                    MethodTable::lora),
            new Method(
                    "loftq",
                    "LoftQ",
                    "LORA",
                    1e-3,
                    (options, seed) -> lora(options, seed, false).startingFrom(LoraStart.QUANTISATION_ERROR),
                    MethodTable::lora),
            new Method(
                    "eva",
                    "EVA",
                    "LORA",
                    2e-3,
                    (options, seed) -> lora(options, seed, false)
                            .startingFrom(LoraStart.ACTIVATIONS)
                            .withRankSpread(options.rankSpread),
                    MethodTable::lora),
            new Method(
                    "loraga",
                    "LoRA-GA",
                    "LORA",
                    1e-3,
                    (options, seed) -> lora(options, seed, false).startingFrom(LoraStart.GRADIENT),
                    MethodTable::lora),
            new Method(
                    "corda",
                    "CorDA",
                    "LORA",
                    1e-3,
                    (options, seed) -> lora(options, seed, false)
                            .startingFrom(
                                    options.cordaMode == MethodOptions.CordaMode.IPM
                                            ? LoraStart.COVARIANCE_LARGEST
                                            : LoraStart.COVARIANCE_SMALLEST),
                    MethodTable::lora),
            new Method(
                    "adalora",
                    "AdaLoRA",
                    "ADALORA",
                    1e-2,
                    MethodTable::adaLora,
                    (folder, train) -> train ? AdaLora.load(folder) : AdaLora.frozen(folder)),
            new Method(
                    "dylora",
                    "DyLoRA",
                    "LORA",
                    2e-3,
                    (options, seed) ->
                            DyLora.create(loraConfig(options, false), seed).saving(options.saveRanks),
                    MethodTable::lora),
            new Method(
                    "sora",
                    "SoRA",
                    "LORA",
                    2e-3,
                    (options, seed) -> Sora.create(loraConfig(options, false), options.sparsity, seed),
                    MethodTable::lora),
            new Method(
                    "propetl",
                    "ProPETL",
                    "LORA",
                    2e-3,
                    (options, seed) -> Propetl.create(loraConfig(options, false), options.keptShare, seed),
                    MethodTable::lora),
            new Method(
                    "vera",
                    "VeRA",
                    "VERA",
                    2e-2,
                    (options, seed) -> Vera.create(PeftVeraConfig.of(
                            options.baseModel,
                            options.targets(LlamaConfig.PROJECTIONS),
                            options.rank,
                            options.dropout,
                            seed & Integer.MAX_VALUE)),
                    (folder, train) -> train ? Vera.load(folder) : Vera.frozen(folder)),
            new Method(
                    "miss",
                    "MiSS",
                    "MISS",
                    2e-3,
                    (options, seed) -> Miss.create(
                            PeftMissConfig.of(
                                    options.baseModel,
                                    options.targets(LlamaConfig.PROJECTIONS),
                                    options.rank,
                                    options.dropout),
                            seed),
                    (folder, train) -> train ? Miss.load(folder) : Miss.frozen(folder)),
            new Method(
                    "sketchtune",
                    "SketchTune",
                    "SKETCHTUNE",
                    2e-3,
                    (options, seed) -> SketchTune.create(
                            PeftSketchTuneConfig.of(options.baseModel, options.targets(LlamaConfig.PROJECTIONS)),
                            options.bits,
                            options.groups),
                    (folder, train) -> train ? SketchTune.load(folder) : SketchTune.frozen(folder)),
            new Method(
                    "ia3",
                    "(IA)³",
                    "IA3",
                    5e-2,
                    (options, seed) -> Ia3.create(
                            PeftIa3Config.of(options.baseModel, options.targets(PeftIa3Config.LLAMA_TARGETS))),
                    (folder, train) -> train ? Ia3.load(folder) : Ia3.frozen(folder)),
            new Method(
                    "ssf",
                    "SSF",
                    "SSF",
                    1e-2,
                    (options, seed) ->
                            Ssf.create(PeftSsfConfig.of(options.baseModel, options.targets(LlamaConfig.PROJECTIONS))),
                    (folder, train) -> train ? Ssf.load(folder) : Ssf.frozen(folder)),
            new Method(
                    "bitfit",
                    "BitFit",
                    "BITFIT",
                    1e-2,
                    (options, seed) -> bitFit(options),
                    (folder, train) -> train ? BitFit.load(folder) : BitFit.frozen(folder)),
            new Method(
                    "u-bitfit",
                    "U-BitFit",
                    "BITFIT",
                    1e-2,
                    (options, seed) -> bitFit(options).withPruning(options.keptShare, false),
                    (folder, train) -> train ? BitFit.load(folder) : BitFit.frozen(folder)),
            new Method(
                    "s-bitfit",
                    "S-BitFit",
                    "BITFIT",
                    1e-2,
                    (options, seed) -> bitFit(options).withPruning(options.keptShare, true),
                    (folder, train) -> train ? BitFit.load(folder) : BitFit.frozen(folder)),
            new Method(
                    "bottleneck",
                    "bottleneck adapters",
                    "BOTTLENECK",
                    5e-3,
                    (options, seed) -> Bottleneck.create(bottleneck(options), seed),
                    (folder, train) -> train ? Bottleneck.load(folder) : Bottleneck.frozen(folder)),
            new Method(
                    "sparse-adapter",
                    "SparseAdapter",
                    "BOTTLENECK",
                    5e-3,
                    (options, seed) -> Bottleneck.create(bottleneck(options).startingRandomly(), seed)
                            .withSparsity(options.keptShare),
                    (folder, train) -> train ? Bottleneck.load(folder) : Bottleneck.frozen(folder)),
            new Method("mam", "MAM adapter", Method.COMBINED, 5e-3, MethodTable::mam, Method::combined),
            new Method(
                    "ln",
                    "LN-tuning",
                    "LN_TUNING",
                    2e-2,
                    (options, seed) -> LnTuning.create(PeftLnTuningConfig.allNorms(options.baseModel)),
                    (folder, train) -> train ? LnTuning.load(folder) : LnTuning.frozen(folder)));

    static final List<Method> ALL = Stream.of(
                    OWN, SelectiveMethods.ALL, PromptMethods.ALL, MatrixMethods.ALL, MixtureMethods.ALL)
            .flatMap(List::stream)
            .toList();

    private static BitFit bitFit(MethodOptions options) {
        return BitFit.create(PeftBitFitConfig.of(options.baseModel, options.targets(LlamaConfig.PROJECTIONS)));
    }

    private static PeftBottleneckConfig bottleneck(MethodOptions options) {
        return PeftBottleneckConfig.of(
                options.baseModel,
                options.targets(PeftBottleneckConfig.SERIAL_TARGETS),
                options.rank,
                options.parallel);
    }

    /** A prefix, and networks beside the second layer of each MLP. */
    private static Adapter mam(MethodOptions options, long seed) {
        Map<String, Adapter> parts = new LinkedHashMap<>();
        parts.put("prefix", Method.named("prefix").create().apply(options, seed));
        parts.put(
                "bottleneck",
                Bottleneck.create(
                        PeftBottleneckConfig.of(
                                options.baseModel, options.targets(List.of("down_proj")), options.rank, true),
                        seed + 1));
        return Combined.of(parts);
    }

    static Full full(MethodOptions options) {
        return options.parameters == null ? new Full() : new Full(options.parameters.asMatchPredicate());
    }

    private static Adapter lora(Path folder, boolean train) {
        if (PeftQaLoraConfig.describes(folder)) {
            return train ? QaLora.load(folder) : QaLora.frozen(folder);
        }
        return train ? Lora.load(folder) : Lora.frozen(folder);
    }

    private static Lora lora(MethodOptions options, long seed, boolean weightDecomposed) {
        return Lora.create(loraConfig(options, weightDecomposed), seed);
    }

    static PeftLoraConfig loraConfig(MethodOptions options, boolean weightDecomposed) {
        return PeftLoraConfig.builder()
                .rank(options.rank)
                .alpha(options.alpha())
                .dropout(options.dropout)
                .rankStabilised(options.rankStabilised)
                .weightDecomposed(weightDecomposed)
                .baseModel(options.baseModel)
                .targets(options.targets(LlamaConfig.PROJECTIONS).toArray(String[]::new))
                .build();
    }

    /** Half as many triplets again at the start as the rank that is to be left. */
    private static Adapter adaLora(MethodOptions options, long seed) {
        int initial = options.rank + (options.rank + 1) / 2;
        return AdaLora.create(
                PeftAdaLoraConfig.of(
                        options.baseModel,
                        options.targets(LlamaConfig.PROJECTIONS),
                        initial,
                        options.rank,
                        options.alpha(),
                        options.dropout,
                        PeftAdaLoraConfig.Schedule.of(options.steps)),
                seed);
    }
}
