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
import io.graft.adapter.SketchTune;
import io.graft.adapter.Sora;
import io.graft.adapter.Ssf;
import io.graft.adapter.Vera;
import io.graft.io.PeftAdaLoraConfig;
import io.graft.io.PeftBitFitConfig;
import io.graft.io.PeftBottleneckConfig;
import io.graft.io.PeftIa3Config;
import io.graft.io.PeftLnTuningConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.io.PeftLoraConfigBuilder;
import io.graft.io.PeftMissConfig;
import io.graft.io.PeftSketchTuneConfig;
import io.graft.io.PeftSsfConfig;
import io.graft.io.PeftVeraConfig;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** The methods in the order of tables, and how each makes a fresh adapter from the user's options. */
final class MethodTable {
    private MethodTable() {}

    private static final List<Method> OWN = List.of(
            new Method("full", "full fine-tuning", null, 5e-4, (options, seed) -> full(options)),
            new Method("lora", "LoRA", "LORA", 2e-3, (options, seed) -> lora(options, seed, false)),
            new Method(
                    "lora+",
                    "LoRA+",
                    "LORA",
                    5e-4,
                    (options, seed) -> lora(options, seed, false).withRateRatio(options.rateRatio())),
            new Method(
                    "lora-fa",
                    "LoRA-FA",
                    "LORA",
                    2e-3,
                    (options, seed) -> lora(options, seed, false).withFrozenDown()),
            new Method(
                    "lora-dropout",
                    "LoRA Dropout",
                    "LORA",
                    2e-3,
                    (options, seed) -> lora(options, seed, false).withFactorDropout(options.factorDropout())),
            new Method(
                    "periodic-lora",
                    "PeriodicLoRA",
                    "LORA",
                    2e-3,
                    (options, seed) -> lora(options, seed, false)
                            .withPeriod(
                                    options.period() == null ? Math.max(1, options.steps() / 4) : options.period())),
            new Method("dora", "DoRA", "LORA", 2e-3, (options, seed) -> lora(options, seed, true)),
            new Method(
                    "pissa",
                    "PiSSA",
                    "LORA",
                    1e-3,
                    (options, seed) -> lora(options, seed, false).startingFrom(LoraStart.PRINCIPAL)),
            new Method(
                    "olora",
                    "OLoRA",
                    "LORA",
                    1e-3,
                    (options, seed) -> lora(options, seed, false).startingFrom(LoraStart.ORTHOGONAL)),
            new Method(
                    "loftq",
                    "LoftQ",
                    "LORA",
                    1e-3,
                    (options, seed) -> lora(options, seed, false).startingFrom(LoraStart.QUANTISATION_ERROR)),
            new Method(
                    "eva",
                    "EVA",
                    "LORA",
                    2e-3,
                    (options, seed) -> lora(options, seed, false)
                            .startingFrom(LoraStart.ACTIVATIONS)
                            .withRankSpread(options.rankSpread())),
            new Method(
                    "loraga",
                    "LoRA-GA",
                    "LORA",
                    1e-3,
                    (options, seed) -> lora(options, seed, false).startingFrom(LoraStart.GRADIENT)),
            new Method(
                    "corda",
                    "CorDA",
                    "LORA",
                    1e-3,
                    (options, seed) -> lora(options, seed, false)
                            .startingFrom(
                                    options.cordaMode() == MethodOptions.CordaMode.IPM
                                            ? LoraStart.COVARIANCE_LARGEST
                                            : LoraStart.COVARIANCE_SMALLEST)),
            new Method("adalora", "AdaLoRA", "ADALORA", 1e-2, MethodTable::adaLora),
            new Method(
                    "dylora",
                    "DyLoRA",
                    "LORA",
                    2e-3,
                    (options, seed) ->
                            DyLora.create(loraConfig(options, false), seed).saving(options.saveRanks())),
            new Method(
                    "sora",
                    "SoRA",
                    "LORA",
                    2e-3,
                    (options, seed) -> Sora.create(loraConfig(options, false), options.sparsity(), seed)),
            new Method(
                    "propetl",
                    "ProPETL",
                    "LORA",
                    2e-3,
                    (options, seed) -> Propetl.create(loraConfig(options, false), options.keptShare(0.4), seed)),
            new Method(
                    "vera",
                    "VeRA",
                    "VERA",
                    2e-2,
                    (options, seed) -> Vera.create(PeftVeraConfig.of(
                            options.baseModel(),
                            options.projections(),
                            options.rank(),
                            options.dropout(),
                            seed & Integer.MAX_VALUE))),
            new Method(
                    "miss",
                    "MiSS",
                    "MISS",
                    2e-3,
                    (options, seed) -> Miss.create(
                            PeftMissConfig.of(
                                    options.baseModel(), options.projections(), options.rank(), options.dropout()),
                            seed)),
            new Method(
                    "sketchtune",
                    "SketchTune",
                    "SKETCHTUNE",
                    2e-3,
                    (options, seed) -> SketchTune.create(
                            PeftSketchTuneConfig.of(options.baseModel(), options.projections()),
                            options.bits(),
                            options.groups())),
            new Method(
                    "ia3",
                    "(IA)³",
                    "IA3",
                    5e-2,
                    (options, seed) -> Ia3.create(PeftIa3Config.of(options.baseModel(), options.scaled()))),
            new Method(
                    "ssf",
                    "SSF",
                    "SSF",
                    1e-2,
                    (options, seed) -> Ssf.create(PeftSsfConfig.of(options.baseModel(), options.projections()))),
            new Method("bitfit", "BitFit", "BITFIT", 1e-2, (options, seed) -> bitFit(options)),
            new Method(
                    "u-bitfit",
                    "U-BitFit",
                    "BITFIT",
                    1e-2,
                    (options, seed) -> bitFit(options).withPruning(options.keptShare(0.4), false)),
            new Method(
                    "s-bitfit",
                    "S-BitFit",
                    "BITFIT",
                    1e-2,
                    (options, seed) -> bitFit(options).withPruning(options.keptShare(0.4), true)),
            new Method(
                    "bottleneck",
                    "bottleneck adapters",
                    "BOTTLENECK",
                    5e-3,
                    (options, seed) -> Bottleneck.create(bottleneck(options), seed)),
            new Method(
                    "sparse-adapter",
                    "SparseAdapter",
                    "BOTTLENECK",
                    5e-3,
                    (options, seed) -> Bottleneck.create(bottleneck(options).startingRandomly(), seed)
                            .withSparsity(options.keptShare(0.4))),
            new Method("mam", "MAM adapter", Method.COMBINED, 5e-3, MethodTable::mam),
            new Method(
                    "ln",
                    "LN-tuning",
                    "LN_TUNING",
                    2e-2,
                    (options, seed) -> LnTuning.create(PeftLnTuningConfig.of(
                            options.baseModel(), options.architecture().norms()))));

    static final List<Method> ALL = Stream.of(
                    OWN, SelectiveMethods.ALL, PromptMethods.ALL, MatrixMethods.ALL, MixtureMethods.ALL)
            .flatMap(List::stream)
            .toList();

    private static BitFit bitFit(MethodSettings options) {
        return BitFit.create(PeftBitFitConfig.of(options.baseModel(), options.projections()));
    }

    private static PeftBottleneckConfig bottleneck(MethodSettings options) {
        return PeftBottleneckConfig.of(options.baseModel(), options.last(), options.rank(), options.parallel());
    }

    /** A prefix, and networks beside the second layer of each MLP. */
    private static Adapter mam(MethodSettings options, long seed) {
        Map<String, Adapter> parts = new LinkedHashMap<>();
        parts.put("prefix", Method.named("prefix").make().apply(options, seed));
        parts.put(
                "bottleneck",
                Bottleneck.create(
                        PeftBottleneckConfig.of(
                                options.baseModel(), options.targets(List.of("down_proj")), options.rank(), true),
                        seed + 1));
        return Combined.of(parts);
    }

    static Full full(MethodSettings options) {
        Full full = options.parameters() == null
                ? new Full()
                : new Full(options.parameters().asMatchPredicate());
        return options.stochasticRounding() ? full.withoutMasters() : full;
    }

    private static Lora lora(MethodSettings options, long seed, boolean weightDecomposed) {
        return Lora.create(
                loraBuilder(options, weightDecomposed)
                        .biases(options.loraBias())
                        .build(),
                seed);
    }

    static PeftLoraConfig loraConfig(MethodSettings options, boolean weightDecomposed) {
        return loraBuilder(options, weightDecomposed).build();
    }

    private static PeftLoraConfigBuilder loraBuilder(MethodSettings options, boolean weightDecomposed) {
        return PeftLoraConfig.builder()
                .rank(options.rank())
                .alpha(options.alpha())
                .dropout(options.dropout())
                .rankStabilised(options.rankStabilised())
                .weightDecomposed(weightDecomposed)
                .baseModel(options.baseModel())
                .targets(options.projections().toArray(String[]::new));
    }

    /** Half as many triplets again at the start as the rank that is to be left. */
    private static Adapter adaLora(MethodSettings options, long seed) {
        int initial = options.rank() + (options.rank() + 1) / 2;
        return AdaLora.create(
                PeftAdaLoraConfig.of(
                        options.baseModel(),
                        options.projections(),
                        initial,
                        options.rank(),
                        options.alpha(),
                        options.dropout(),
                        PeftAdaLoraConfig.Schedule.of(options.steps())),
                seed);
    }
}
