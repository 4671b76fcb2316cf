package io.graft.cli;

import io.graft.adapter.AdaLora;
import io.graft.adapter.Adapter;
import io.graft.adapter.BitFit;
import io.graft.adapter.Bottleneck;
import io.graft.adapter.ColumnSelection;
import io.graft.adapter.Combined;
import io.graft.adapter.DyLora;
import io.graft.adapter.EntrySelection;
import io.graft.adapter.Full;
import io.graft.adapter.Ia3;
import io.graft.adapter.LnTuning;
import io.graft.adapter.Lora;
import io.graft.adapter.LoraStart;
import io.graft.adapter.Miss;
import io.graft.adapter.Paca;
import io.graft.adapter.QaLora;
import io.graft.adapter.RowSelection;
import io.graft.adapter.Rows;
import io.graft.adapter.Shira;
import io.graft.adapter.SketchTune;
import io.graft.adapter.Sora;
import io.graft.adapter.Ssf;
import io.graft.adapter.Structures;
import io.graft.adapter.Vera;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftAdaLoraConfig;
import io.graft.io.PeftBitFitConfig;
import io.graft.io.PeftBottleneckConfig;
import io.graft.io.PeftIa3Config;
import io.graft.io.PeftLnTuningConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.io.PeftMissConfig;
import io.graft.io.PeftPacaConfig;
import io.graft.io.PeftQaLoraConfig;
import io.graft.io.PeftRowsConfig;
import io.graft.io.PeftSketchTuneConfig;
import io.graft.io.PeftSsfConfig;
import io.graft.io.PeftVeraConfig;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
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
                    "paca",
                    "PaCA",
                    "PACA",
                    2e-3,
                    MethodTable::paca,
                    (folder, train) -> train ? Paca.load(folder) : Paca.frozen(folder)),
            new Method(
                    "s2ft",
                    "S2FT",
                    "PACA",
                    2e-3,
                    MethodTable::s2ft,
                    (folder, train) -> train ? Paca.load(folder) : Paca.frozen(folder)),
            new Method(
                    "rows",
                    "trained rows",
                    "ROWS",
                    2e-3,
                    MethodTable::rows,
                    (folder, train) -> train ? Rows.load(folder) : Rows.frozen(folder)),
            new Method(
                    "shira",
                    "SHiRA",
                    "SHIRA",
                    2e-3,
                    (options, seed) -> shira(options, selection(options, seed), seed),
                    (folder, train) -> train ? Shira.load(folder) : Shira.frozen(folder)),
            new Method(
                    "fishmask",
                    "FishMask",
                    "SHIRA",
                    2e-3,
                    (options, seed) -> shira(options, EntrySelection.fisher(), seed),
                    (folder, train) -> train ? Shira.load(folder) : Shira.frozen(folder)),
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
                    (options, seed) -> BitFit.create(
                            PeftBitFitConfig.of(options.baseModel, options.targets(LlamaConfig.PROJECTIONS))),
                    (folder, train) -> train ? BitFit.load(folder) : BitFit.frozen(folder)),
            new Method(
                    "bottleneck",
                    "bottleneck adapters",
                    "BOTTLENECK",
                    5e-3,
                    (options, seed) -> Bottleneck.create(
                            PeftBottleneckConfig.of(
                                    options.baseModel,
                                    options.targets(PeftBottleneckConfig.SERIAL_TARGETS),
                                    options.rank,
                                    options.parallel),
                            seed),
                    (folder, train) -> train ? Bottleneck.load(folder) : Bottleneck.frozen(folder)),
            new Method("mam", "MAM adapter", Method.COMBINED, 5e-3, MethodTable::mam, Method::combined),
            new Method(
                    "ln",
                    "LN-tuning",
                    "LN_TUNING",
                    2e-2,
                    (options, seed) -> LnTuning.create(PeftLnTuningConfig.allNorms(options.baseModel)),
                    (folder, train) -> train ? LnTuning.load(folder) : LnTuning.frozen(folder)));

    static final List<Method> ALL = Stream.of(OWN, PromptMethods.ALL, MatrixMethods.ALL, MixtureMethods.ALL)
            .flatMap(List::stream)
            .toList();

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

    private static Full full(MethodOptions options) {
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

    private static PeftLoraConfig loraConfig(MethodOptions options, boolean weightDecomposed) {
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

    /** Columns or rows of whole heads and of channels, about as many of each; the scale is 1. */
    private static Adapter s2ft(MethodOptions options, long seed) {
        LlamaConfig model = LlamaConfig.read(Path.of(options.baseModel));
        Structures structures = new Structures(seed, model.heads(), model.kvHeads(), model.headDim());
        int heads = (options.rank + model.headDim() - 1) / model.headDim() * model.headDim();
        Map<Boolean, List<String>> targets = options.targets(List.of("o_proj", "down_proj")).stream()
                .collect(Collectors.partitioningBy(Structures::hasColumns));
        Map<String, Adapter> parts = new LinkedHashMap<>();
        if (!targets.get(true).isEmpty()) {
            PeftPacaConfig config = PeftPacaConfig.builder()
                    .rank(options.rank)
                    .alpha(options.rank)
                    .rankPattern(Map.of("o_proj", heads))
                    .alphaPattern(Map.of("o_proj", (double) heads))
                    .randomSeed(seed)
                    .baseModel(options.baseModel)
                    .targets(targets.get(true).toArray(String[]::new))
                    .build();
            parts.put("columns", Paca.create(config, structures.columns()));
        }
        if (!targets.get(false).isEmpty()) {
            Map<String, Integer> ranks = Map.of("[qkv]_proj", heads);
            parts.put(
                    "rows",
                    Rows.create(
                            PeftRowsConfig.of(options.baseModel, targets.get(false), options.rank, ranks),
                            structures.rows()));
        }
        return parts.size() > 1 ? Combined.of(parts) : parts.values().iterator().next();
    }

    private static Adapter rows(MethodOptions options, long seed) {
        RowSelection selection = switch (options.selection) {
            case RANDOM -> RowSelection.random(seed);
            case MAGNITUDE -> RowSelection.norm();
            case CHANGE -> RowSelection.change(changedModel(options));
            default ->
                throw new InputException("--method rows takes --selection random, magnitude or change, not "
                        + options.selection.toString().toLowerCase(Locale.ROOT));
        };
        return Rows.create(
                PeftRowsConfig.of(options.baseModel, options.targets(LlamaConfig.PROJECTIONS), options.rank, Map.of()),
                selection);
    }

    private static Path changedModel(MethodOptions options) {
        if (options.changedModel == null) {
            throw new InputException("--selection change needs --changed-model, a folder of the trained model");
        }
        return GraftCommand.existingFolder("--changed-model", options.changedModel);
    }

    private static Adapter shira(MethodOptions options, EntrySelection selection, long seed) {
        return Shira.create(options.baseModel, options.targets(LlamaConfig.PROJECTIONS), options.rank, selection, seed);
    }

    private static EntrySelection selection(MethodOptions options, long seed) {
        return switch (options.selection) {
            case RANDOM -> EntrySelection.random(seed);
            case MAGNITUDE -> EntrySelection.magnitude();
            case SMALLEST -> EntrySelection.smallest();
            case GRADIENT -> EntrySelection.gradient();
            case SNIP -> EntrySelection.snip();
            case FISHER -> EntrySelection.fisher();
            case CHANGE -> EntrySelection.change(changedModel(options));
        };
    }

    private static Adapter paca(MethodOptions options, long seed) {
        PeftPacaConfig config = PeftPacaConfig.builder()
                .rank(options.rank)
                .alpha(options.alpha())
                .randomSeed(seed)
                .baseModel(options.baseModel)
                .targets(options.targets(LlamaConfig.PROJECTIONS).toArray(String[]::new))
                .build();
        Paca paca = Paca.create(
                config,
                options.columns == MethodOptions.Columns.NORM
                        ? ColumnSelection.norm()
                        : ColumnSelection.random(config.randomSeed()));
        return options.reselectEvery == 0 ? paca : paca.reselecting(options.reselectEvery, options.reselectBy);
    }
}
