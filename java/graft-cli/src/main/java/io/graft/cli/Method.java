package io.graft.cli;

import io.graft.adapter.AdaLora;
import io.graft.adapter.Adapter;
import io.graft.adapter.BitFit;
import io.graft.adapter.Bottleneck;
import io.graft.adapter.ColumnSelection;
import io.graft.adapter.Combined;
import io.graft.adapter.EntrySelection;
import io.graft.adapter.Full;
import io.graft.adapter.Ia3;
import io.graft.adapter.LnTuning;
import io.graft.adapter.Lora;
import io.graft.adapter.LoraStart;
import io.graft.adapter.Miss;
import io.graft.adapter.PTuning;
import io.graft.adapter.Paca;
import io.graft.adapter.PrefixTuning;
import io.graft.adapter.PromptTuning;
import io.graft.adapter.Shira;
import io.graft.adapter.SketchTune;
import io.graft.adapter.Vera;
import io.graft.io.LlamaConfig;
import io.graft.io.PeftAdaLoraConfig;
import io.graft.io.PeftBitFitConfig;
import io.graft.io.PeftBottleneckConfig;
import io.graft.io.PeftConfig;
import io.graft.io.PeftIa3Config;
import io.graft.io.PeftLnTuningConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.io.PeftMissConfig;
import io.graft.io.PeftPacaConfig;
import io.graft.io.PeftPrefixTuningConfig;
import io.graft.io.PeftPromptEncoderConfig;
import io.graft.io.PeftPromptTuningConfig;
import io.graft.io.PeftSketchTuneConfig;
import io.graft.io.PeftVeraConfig;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.Weight;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.stream.Collectors;

/**
 * The ways to train a model, in one list: {@code finetune}, {@code demo} and {@code trace} know methods from here only,
 * so that a new line joins all of them.
 *
 * @param name what the user types
 * @param title what a table shows
 * @param peftType {@code peft_type} in adapter_config.json; null for a method that saves a whole model
 * @param learningRate the rate where none is given
 * @param create makes a fresh adapter from the options and a seed
 * @param load reads an adapter's folder, to be trained further or not
 */
public record Method(
        String name,
        String title,
        String peftType,
        double learningRate,
        BiFunction<MethodOptions, Long, Adapter> create,
        BiFunction<Path, Boolean, Adapter> load) {

    private static final String COMBINED = "COMBINED";

    private static final List<Method> ALL = List.of(
            new Method("full", "full fine-tuning", null, 5e-4, (options, seed) -> full(options), null),
            new Method("lora", "LoRA", "LORA", 2e-3, (options, seed) -> lora(options, seed, false), Method::lora),
            new Method(
                    "lora+",
                    "LoRA+",
                    "LORA",
                    5e-4,
                    (options, seed) -> lora(options, seed, false).withRateRatio(options.rateRatio),
                    Method::lora),
            new Method(
                    "lora-fa",
                    "LoRA-FA",
                    "LORA",
                    2e-3,
                    (options, seed) -> lora(options, seed, false).withFrozenDown(),
                    Method::lora),
            new Method("dora", "DoRA", "LORA", 2e-3, (options, seed) -> lora(options, seed, true), Method::lora),
            new Method(
                    "pissa",
                    "PiSSA",
                    "LORA",
                    1e-3,
                    (options, seed) -> lora(options, seed, false).startingFrom(LoraStart.PRINCIPAL),
                    Method::lora),
            new Method(
                    "olora",
                    "OLoRA",
                    "LORA",
                    1e-3,
                    (options, seed) -> lora(options, seed, false).startingFrom(LoraStart.ORTHOGONAL),
                    Method::lora),
            new Method(
                    "loftq",
                    "LoftQ",
                    "LORA",
                    1e-3,
                    (options, seed) -> lora(options, seed, false).startingFrom(LoraStart.QUANTISATION_ERROR),
                    Method::lora),
            new Method(
                    "adalora",
                    "AdaLoRA",
                    "ADALORA",
                    1e-2,
                    Method::adaLora,
                    (folder, train) -> train ? AdaLora.load(folder) : AdaLora.frozen(folder)),
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
                    Method::paca,
                    (folder, train) -> train ? Paca.load(folder) : Paca.frozen(folder)),
            new Method(
                    "s2ft",
                    "S2FT",
                    "PACA",
                    2e-3,
                    Method::s2ft,
                    (folder, train) -> train ? Paca.load(folder) : Paca.frozen(folder)),
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
                    "bitfit",
                    "BitFit",
                    "BITFIT",
                    1e-2,
                    (options, seed) -> BitFit.create(
                            PeftBitFitConfig.of(options.baseModel, options.targets(LlamaConfig.PROJECTIONS))),
                    (folder, train) -> train ? BitFit.load(folder) : BitFit.frozen(folder)),
            new Method(
                    "prompt",
                    "prompt tuning",
                    "PROMPT_TUNING",
                    5e-2,
                    (options, seed) -> PromptTuning.create(
                            PeftPromptTuningConfig.of(
                                    options.baseModel, options.virtualTokens, PeftPromptTuningConfig.Init.SAMPLE_VOCAB),
                            seed),
                    (folder, train) -> train ? PromptTuning.load(folder) : PromptTuning.frozen(folder)),
            new Method(
                    "prefix",
                    "prefix tuning",
                    "PREFIX_TUNING",
                    1e-1,
                    (options, seed) -> PrefixTuning.create(
                            PeftPrefixTuningConfig.of(options.baseModel, options.virtualTokens), seed),
                    (folder, train) -> train ? PrefixTuning.load(folder) : PrefixTuning.frozen(folder)),
            new Method(
                    "ptuning",
                    "P-tuning",
                    "P_TUNING",
                    5e-3,
                    (options, seed) -> PTuning.create(
                            PeftPromptEncoderConfig.of(options.baseModel, options.virtualTokens, 0), seed),
                    Method::pTuning),
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
            new Method("mam", "MAM adapter", COMBINED, 5e-3, Method::mam, Method::combined),
            new Method(
                    "ln",
                    "LN-tuning",
                    "LN_TUNING",
                    2e-2,
                    (options, seed) -> LnTuning.create(PeftLnTuningConfig.allNorms(options.baseModel)),
                    (folder, train) -> train ? LnTuning.load(folder) : LnTuning.frozen(folder)));

    /** What trains over any codes, which LoftQ only does while they are made, and SketchTune only over its own. */
    private static final Set<String> ON_CODES = Set.of(
            "lora",
            "lora+",
            "lora-fa",
            "adalora",
            "vera",
            "miss",
            "paca",
            "s2ft",
            "bitfit",
            "prompt",
            "prefix",
            "ptuning",
            "bottleneck",
            "mam",
            "ln");

    /**
     * Every method that trains on such a base, in the order of tables.
     *
     * @param stored how the checkpoint holds linear layers
     * @param base what dense ones become
     */
    public static List<Method> all(Weight.Kind stored, Quantization base) {
        boolean codes = stored != Weight.Kind.DENSE || base != Quantization.NONE;
        return ALL.stream()
                .filter(method -> switch (method.name) {
                    case "loftq" -> stored == Weight.Kind.DENSE && codes;
                    case "sketchtune" -> stored == Weight.Kind.SKETCH || !codes;
                    default -> !codes || ON_CODES.contains(method.name);
                })
                .toList();
    }

    /** Every method, in the order of tables. */
    public static List<Method> all() {
        return ALL;
    }

    /** The method that the user named. */
    public static Method named(String name) {
        String wanted = name.toLowerCase(Locale.ROOT);
        Optional<Method> known =
                ALL.stream().filter(method -> method.name().equals(wanted)).findFirst();
        if (known.isEmpty() && wanted.contains("+")) {
            return combined(
                    Arrays.stream(wanted.split("[+]")).map(Method::named).toList());
        }
        return known.orElseThrow(
                () -> new IllegalArgumentException("unknown method '" + name + "', known: " + names()));
    }

    static String names() {
        return ALL.stream().map(Method::name).collect(Collectors.joining(", "));
    }

    /** Loads whatever adapter is in a folder, by its {@code peft_type}. */
    static Adapter load(Path folder, boolean train) {
        Path file = folder.resolve("adapter_config.json");
        if (!Files.exists(file)) {
            throw new InputException("no adapter in " + folder + ": adapter_config.json is missing");
        }
        String type = PeftConfig.type(file);
        return ALL.stream()
                .filter(method -> type.equals(method.peftType()))
                .findFirst()
                .orElseThrow(() -> new InputException(file + ": peft_type '" + type + "' is not supported, known: "
                        + ALL.stream()
                                .map(Method::peftType)
                                .filter(known -> known != null)
                                .distinct()
                                .collect(Collectors.joining(", "))))
                .load()
                .apply(folder, train);
    }

    /** Writes what was trained: an adapter's two files, or a whole model. */
    public void save(Llama llama, Path folder) {
        try {
            Files.createDirectories(folder);
        } catch (IOException failure) {
            throw new UncheckedIOException("cannot create " + folder + ": " + failure.getMessage(), failure);
        }
        if (peftType == null) {
            llama.save(folder);
        } else {
            llama.adapter().save(folder);
        }
    }

    /** The name of a trained parameter in the file that it is saved in. */
    static String key(Llama llama, Parameter parameter) {
        return llama.adapter().key(parameter);
    }

    /** Several at once: {@code prefix+bottleneck}. */
    private static Method combined(List<Method> parts) {
        for (Method part : parts) {
            if (part.peftType == null) {
                throw new IllegalArgumentException(
                        "'" + part.name + "' trains the model itself and goes with no other");
            }
        }
        return new Method(
                parts.stream().map(Method::name).collect(Collectors.joining("+")),
                parts.stream().map(Method::title).collect(Collectors.joining(" + ")),
                COMBINED,
                parts.stream().mapToDouble(Method::learningRate).min().orElseThrow(),
                (options, seed) -> {
                    Map<String, Adapter> adapters = new LinkedHashMap<>();
                    for (Method part : parts) {
                        adapters.put(part.name, part.create.apply(options, seed + adapters.size()));
                    }
                    return Combined.of(adapters);
                },
                Method::combined);
    }

    private static Adapter combined(Path folder, boolean train) {
        return Combined.load(folder, part -> load(part, train));
    }

    /** A prefix, and networks beside the second layer of each MLP. */
    private static Adapter mam(MethodOptions options, long seed) {
        Map<String, Adapter> parts = new LinkedHashMap<>();
        parts.put("prefix", named("prefix").create.apply(options, seed));
        parts.put(
                "bottleneck",
                Bottleneck.create(
                        PeftBottleneckConfig.of(
                                options.baseModel, options.targets(List.of("down_proj")), options.rank, true),
                        seed + 1));
        return Combined.of(parts);
    }

    private static Adapter pTuning(Path folder, boolean train) {
        if (train) {
            throw new InputException(folder + " holds what an encoder made and not the encoder: it cannot be trained");
        }
        return PTuning.frozen(folder);
    }

    private static Full full(MethodOptions options) {
        return options.parameters == null ? new Full() : new Full(options.parameters.asMatchPredicate());
    }

    private static Lora lora(Path folder, boolean train) {
        return train ? Lora.load(folder) : Lora.frozen(folder);
    }

    private static Lora lora(MethodOptions options, long seed, boolean weightDecomposed) {
        PeftLoraConfig config = PeftLoraConfig.builder()
                .rank(options.rank)
                .alpha(options.alpha())
                .dropout(options.dropout)
                .rankStabilised(options.rankStabilised)
                .weightDecomposed(weightDecomposed)
                .baseModel(options.baseModel)
                .targets(options.targets(LlamaConfig.PROJECTIONS).toArray(String[]::new))
                .build();
        return Lora.create(config, seed);
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

    /** Columns of whole heads and of channels, about as many of both; the scale is 1. */
    private static Adapter s2ft(MethodOptions options, long seed) {
        int headDim = LlamaConfig.read(Path.of(options.baseModel)).headDim();
        int heads = (options.rank + headDim - 1) / headDim * headDim;
        PeftPacaConfig config = PeftPacaConfig.builder()
                .rank(options.rank)
                .alpha(options.rank)
                .rankPattern(Map.of("o_proj", heads))
                .alphaPattern(Map.of("o_proj", (double) heads))
                .randomSeed(seed)
                .baseModel(options.baseModel)
                .targets(options.targets(List.of("o_proj", "down_proj")).toArray(String[]::new))
                .build();
        return Paca.create(config, ColumnSelection.structured(seed, headDim));
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
            case CHANGE -> {
                if (options.changedModel == null) {
                    throw new InputException("--selection change needs --changed-model, a folder of the trained model");
                }
                yield EntrySelection.change(GraftCommand.existingFolder("--changed-model", options.changedModel));
            }
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
        return Paca.create(
                config,
                options.columns == MethodOptions.Columns.NORM
                        ? ColumnSelection.norm()
                        : ColumnSelection.random(config.randomSeed()));
    }
}
