package io.graft.cli;

import io.graft.adapter.Adapter;
import io.graft.adapter.AdapterFolder;
import io.graft.adapter.Combined;
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
 * so that a new line of {@link MethodTable} joins all of them.
 *
 * @param name what the user types
 * @param title what a table shows
 * @param peftType {@code peft_type} in adapter_config.json; null for a method that saves a whole model
 * @param learningRate the rate where none is given
 * @param make makes a fresh adapter from the options and a seed
 */
public record Method(
        String name,
        String title,
        String peftType,
        double learningRate,
        BiFunction<MethodSettings, Long, Adapter> make) {

    static final String COMBINED = "COMBINED";

    /** What trains over any codes, which LoftQ only does while they are made, and SketchTune and PEQA only over sketches. */
    private static final Set<String> ON_CODES = Set.of(
            "lora",
            "lora+",
            "lora-fa",
            "lora-dropout",
            "eva",
            "adalora",
            "dylora",
            "propetl",
            "sora",
            "vera",
            "miss",
            "lokr",
            "loha",
            "oft",
            "qalora",
            "hira",
            "glora",
            "hiwi",
            "compacter",
            "c3a",
            "fourierft",
            "kadaptation",
            "capaboost",
            "paca",
            "s2ft",
            "bitfit",
            "u-bitfit",
            "s-bitfit",
            "sparse-adapter",
            "prompt",
            "xprompt",
            "dept",
            "prefix",
            "propagation",
            "ptuning",
            "llama-adapter",
            "lst",
            "bottleneck",
            "moelora",
            "mixlora",
            "mov",
            "adamix",
            "smop",
            "unipelt",
            "mam",
            "ln");

    /** What starts from the numbers of the base or of examples, and then trains as LoRA does. */
    private static final Set<String> STARTS_FROM_NUMBERS = Set.of("pissa", "olora", "loftq", "eva", "corda", "loraga");

    /**
     * Every method that trains on such a base alone, in the order of tables.
     *
     * @param stored how the checkpoint holds linear layers
     * @param base what dense ones become
     */
    public static List<Method> all(Weight.Kind stored, Quantization base) {
        boolean codes = stored != Weight.Kind.DENSE || base != Quantization.NONE;
        return MethodTable.ALL.stream()
                .filter(method -> switch (method.name) {
                    case "fusion", "mole" -> false; // needs adapters that are trained already
                    case "loftq" -> stored == Weight.Kind.DENSE && codes;
                    case "sketchtune", "peqa" -> stored == Weight.Kind.SKETCH || !codes;
                    default -> !codes || ON_CODES.contains(method.name);
                })
                .toList();
    }

    /** Every method, in the order of tables. */
    public static List<Method> all() {
        return MethodTable.ALL;
    }

    /** The method that the user named. */
    public static Method named(String name) {
        String wanted = name.toLowerCase(Locale.ROOT);
        Optional<Method> known = MethodTable.ALL.stream()
                .filter(method -> method.name().equals(wanted))
                .findFirst();
        if (known.isEmpty() && wanted.contains("+")) {
            return combined(
                    Arrays.stream(wanted.split("[+]")).map(Method::named).toList());
        }
        return known.orElseThrow(
                () -> new IllegalArgumentException("unknown method '" + name + "', known: " + names()));
    }

    /** A fresh adapter. */
    public Adapter create(MethodOptions options, long seed) {
        return make.apply(new MethodSettings(options), seed);
    }

    /** The options that the method reads where it is used with these, and their values. */
    Map<String, Object> reads(MethodOptions options) {
        MethodSettings settings = new MethodSettings(options);
        if (make.apply(settings, 0L).needsCalibration()) {
            settings.samples();
        }
        return settings.read();
    }

    /** The method whose adapter has the same size and needs no numbers to be made. */
    public Method planned() {
        return STARTS_FROM_NUMBERS.contains(name) ? named("lora") : this;
    }

    static String names() {
        return MethodTable.ALL.stream().map(Method::name).collect(Collectors.joining(", "));
    }

    /** Loads whatever adapter is in a folder, by its {@code peft_type}. */
    static Adapter load(Path folder, boolean train) {
        Path file = folder.resolve("adapter_config.json");
        if (!Files.exists(file)) {
            throw new InputException("no adapter in " + folder + ": adapter_config.json is missing");
        }
        return train ? AdapterFolder.load(folder) : AdapterFolder.frozen(folder);
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
                        adapters.put(part.name, part.make.apply(options, seed + adapters.size()));
                    }
                    return Combined.of(adapters);
                });
    }
}
