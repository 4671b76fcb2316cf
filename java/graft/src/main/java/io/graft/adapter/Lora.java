package io.graft.adapter;

import io.graft.io.PeftLoraConfig;
import io.graft.io.SafetensorsFile;
import io.graft.io.SafetensorsWriter;
import io.graft.nn.Adaptable;
import io.graft.nn.LowRank;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.ops.Random;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * Low-rank adaptation (arXiv 2106.09685) as PEFT configures and stores it: {@code W + scale · B A} for the projections
 * that the configuration targets, the modules of {@code modules_to_save} trained whole. Fresh adapters start at zero: B
 * is zero, A uniform in ±1/√in.
 */
public final class Lora implements Adapter {
    /** The file of an adapter's tensors. */
    public static final String FILE = "adapter_model.safetensors";

    private static final String PREFIX = "base_model.model.";
    /** why: below the numbers that other uses of the same seed start with, so that A is not a copy of base weights. */
    private static final long FIRST_OFFSET = 1L << 48;

    private final PeftLoraConfig config;
    private final long seed;
    private final Path source;
    private final boolean trained;
    private final List<Projection> attached = new ArrayList<>();
    private final List<Parameter> parameters = new ArrayList<>();
    private long offset = FIRST_OFFSET;
    private boolean used;

    private Lora(PeftLoraConfig config, long seed, Path source, boolean trained) {
        this.config = config;
        this.seed = seed;
        this.source = source;
        this.trained = trained;
    }

    /** A fresh adapter, to be trained. */
    public static Lora create(PeftLoraConfig config, long seed) {
        return new Lora(config, seed, null, true);
    }

    /** An adapter from a directory, to be trained further. */
    public static Lora load(Path directory) {
        return new Lora(PeftLoraConfig.read(directory), 0, directory, true);
    }

    /** An adapter from a directory, without gradients. */
    public static Lora frozen(Path directory) {
        return new Lora(PeftLoraConfig.read(directory), 0, directory, false);
    }

    @Override
    public int border(String module) {
        return config.targets(module) ? config.rank(module) : 0;
    }

    @Override
    public void attach(Adaptable model) {
        if (used) {
            throw new IllegalStateException("Lora.attach: already attached to a model");
        }
        used = true;
        refuseOthers(model);
        try (SafetensorsFile file = source == null ? null : SafetensorsFile.open(source.resolve(FILE))) {
            Set<String> unread = file == null ? Set.of() : new TreeSet<>(file.names());
            for (Projection projection : model.projections()) {
                if (config.targets(projection.module())) {
                    projection.attach(lowRank(model.scope(), projection, file, unread));
                    attached.add(projection);
                }
            }
            for (Parameter parameter : model.parameters()) {
                if (config.saves(module(parameter))) {
                    whole(model.scope(), parameter, file, unread);
                }
            }
            if (!unread.isEmpty()) {
                throw new IllegalArgumentException(source.resolve(FILE) + ": this model has no place for "
                        + unread.iterator().next() + " (" + unread.size() + " such tensors)");
            }
        }
        if (attached.isEmpty() && parameters.isEmpty()) {
            throw new IllegalArgumentException("Lora: " + config + " targets no module of the model");
        }
    }

    private void refuseOthers(Adaptable model) {
        Set<String> projections = new TreeSet<>();
        for (Projection projection : model.projections()) {
            projections.add(projection.module());
        }
        for (Parameter parameter : model.parameters()) {
            String module = module(parameter);
            if (!config.allLinear() && !projections.contains(module) && config.targets(module)) {
                throw new IllegalArgumentException("Lora: target " + module
                        + " is not supported; supported are the projections of attention and MLP");
            }
            if (projections.contains(module) && config.saves(module)) {
                throw new IllegalArgumentException("Lora: modules_to_save " + module
                        + " is not supported; supported are embedding, head and norms");
            }
        }
    }

    private LowRank lowRank(Scope scope, Projection projection, SafetensorsFile file, Set<String> unread) {
        String module = projection.module();
        int rank = config.rank(module);
        DType wide = projection.weight().dtype() == DType.F64 ? DType.F64 : DType.F32;
        String key = PREFIX + module + ".lora_";
        Tensor a = scope.tensor(Memory.ADAPTER, wide, rank, projection.weight().k());
        Tensor b = scope.tensor(Memory.ADAPTER, wide, projection.weight().n(), rank);
        if (file == null) {
            initialise(a, b);
        } else {
            read(file, key + "A.weight", a, unread);
            read(file, key + "B.weight", b, unread);
        }
        Parameter down = new Parameter(key + "A.weight", a);
        Parameter up = new Parameter(key + "B.weight", b);
        add(scope, down);
        add(scope, up);
        return new LowRank(down, up, config.scale(module), config.dropout(), mix(module.hashCode()));
    }

    private void whole(Scope scope, Parameter parameter, SafetensorsFile file, Set<String> unread) {
        if (file != null) {
            read(file, PREFIX + parameter.name(), parameter.value(), unread);
        }
        add(scope, parameter);
    }

    private void add(Scope scope, Parameter parameter) {
        parameters.add(trained ? parameter.train(scope) : parameter);
    }

    private static void read(SafetensorsFile file, String key, Tensor into, Set<String> unread) {
        file.read(key, into);
        unread.remove(key);
    }

    private void initialise(Tensor a, Tensor b) {
        String kind = config.initialisation();
        switch (kind) {
            case "true" -> uniform(a);
            case "false" -> {
                uniform(a);
                uniform(b);
            }
            case "gaussian" -> {
                Random.normal(a.scope().context(), seed, offset, 0, 1.0 / a.size(0), a);
                offset += a.elements();
            }
            default ->
                throw new IllegalArgumentException(
                        "Lora: init_lora_weights '" + kind + "' is not supported for a new adapter");
        }
    }

    /** Kaiming's bound for a = √5 comes to 1/√in. */
    private void uniform(Tensor weight) {
        double bound = 1 / Math.sqrt(weight.size(1));
        Random.uniform(weight.scope().context(), seed, offset, -bound, bound, weight);
        offset += weight.elements();
    }

    /** The mixer of SplitMix64: neighbouring keys give unrelated seeds. */
    private static long mix(long value) {
        long z = value + 0x9E3779B97F4A7C15L;
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    private static String module(Parameter parameter) {
        return parameter.name().substring(0, parameter.name().lastIndexOf('.'));
    }

    /** The key of a parameter in the adapter's file. */
    public static String key(Parameter parameter) {
        return parameter.name().startsWith(PREFIX) ? parameter.name() : PREFIX + parameter.name();
    }

    public PeftLoraConfig config() {
        return config;
    }

    /** The projections that carry a low-rank part. */
    public List<Projection> projections() {
        return List.copyOf(attached);
    }

    @Override
    public List<Parameter> parameters() {
        return List.copyOf(parameters);
    }

    @Override
    public boolean trained() {
        return trained;
    }

    @Override
    public void changed() {
        for (int i = 0; i < attached.size(); i++) {
            attached.get(i).pack();
        }
    }

    @Override
    public void merge() {
        attached.forEach(Projection::merge);
        attached.clear();
        parameters.clear();
    }

    /** Writes adapter_config.json and adapter_model.safetensors, as PEFT does. */
    @Override
    public void save(Path directory) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        for (Parameter parameter : parameters) {
            tensors.put(key(parameter), parameter.best());
        }
        try {
            Files.createDirectories(directory);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot make " + directory + ": " + e.getMessage(), e);
        }
        SafetensorsWriter.write(directory.resolve(FILE), tensors, SafetensorsWriter.PYTORCH);
        config.write(directory);
    }
}
