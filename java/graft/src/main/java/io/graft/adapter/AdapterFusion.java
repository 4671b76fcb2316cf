package io.graft.adapter;

import io.graft.io.PeftBottleneckConfig;
import io.graft.io.PeftConfig;
import io.graft.io.PeftFusionConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Attachment;
import io.graft.nn.Fusion;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * AdapterFusion (arXiv 2005.00247, section 3): attention over bottleneck adapters that are trained already and stay as
 * they are, behind each projection that they stand behind. Fresh ones have queries and keys N(0, 0.02²) and the identity
 * for values: nearly the mean of the adapters.
 *
 * <p>PEFT does not know it. A file holds, for each module, {@code fusion_query.weight}, {@code fusion_key.weight} and
 * {@code fusion_value.weight} [out, out]; beside it are the adapters' folders.
 */
public final class AdapterFusion extends PeftAdapter<PeftFusionConfig> {
    private static final double DEVIATION = 0.02;

    private final Map<String, Path> directories;
    private final Map<Projection, List<Fusion.Network>> networks = new HashMap<>();

    private AdapterFusion(PeftFusionConfig config, Map<String, Path> directories, Origin origin) {
        super(config, origin);
        this.directories = directories;
    }

    /** A fresh fusion of the adapters in these directories, by the names that their folders will get. */
    public static AdapterFusion create(String baseModel, Map<String, Path> adapters, long seed) {
        Map<String, Path> directories = new LinkedHashMap<>(adapters);
        if (directories.size() < 2) {
            throw new IllegalArgumentException("AdapterFusion: " + directories.keySet() + " are not several adapters");
        }
        PeftBottleneckConfig first =
                PeftBottleneckConfig.read(directories.values().iterator().next());
        PeftFusionConfig config = PeftFusionConfig.of(baseModel, List.copyOf(directories.keySet()), first);
        return new AdapterFusion(config, directories, Origin.fresh(seed));
    }

    /** A fusion from a directory, to be trained further. */
    public static AdapterFusion load(Path directory) {
        return read(directory, true);
    }

    /** A fusion from a directory, without gradients. */
    public static AdapterFusion frozen(Path directory) {
        return read(directory, false);
    }

    private static AdapterFusion read(Path directory, boolean trained) {
        PeftFusionConfig config = PeftFusionConfig.read(directory);
        Map<String, Path> directories = new LinkedHashMap<>();
        config.folders().forEach(folder -> directories.put(folder, directory.resolve(folder)));
        return new AdapterFusion(config, directories, Origin.of(directory, trained));
    }

    @Override
    public boolean mergeable() {
        return false;
    }

    /** Reads the adapters: each is attached, and taken off again before the next one comes. */
    @Override
    void attachFront(Adaptable model) {
        directories.forEach((name, directory) -> {
            Bottleneck.frozen(directory).attach(model);
            for (Projection projection : model.projections()) {
                Attachment part = projection.attachment();
                projection.detach();
                if (part != null) {
                    Fusion.Network network = part instanceof io.graft.nn.Bottleneck plain ? plain.behind() : null;
                    if (network == null) {
                        throw new IllegalArgumentException("AdapterFusion: adapter '" + name + "' at "
                                + projection.module() + " is not a plain network behind it");
                    }
                    networks.computeIfAbsent(projection, key -> new ArrayList<>())
                            .add(network);
                }
            }
        });
        networks.forEach((projection, all) -> {
            if (all.size() != directories.size() || !config.targets(projection.module())) {
                throw new IllegalArgumentException("AdapterFusion: not all of " + directories.keySet()
                        + " have a network at " + projection.module());
            }
        });
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        List<Fusion.Network> all = networks.get(projection);
        if (all == null) {
            throw new IllegalArgumentException(
                    "AdapterFusion: none of " + directories.keySet() + " has a network at " + projection.module());
        }
        String key = PREFIX + projection.module() + ".fusion_";
        Parameter query = parameter(scope, key + "query.weight", square(scope, projection), normal(DEVIATION));
        Parameter keys = parameter(scope, key + "key.weight", square(scope, projection), normal(DEVIATION));
        Parameter values = parameter(scope, key + "value.weight", square(scope, projection), AdapterFusion::identity);
        return new Fusion(scope, all, query, keys, values, buffers());
    }

    private static Tensor square(Scope scope, Projection projection) {
        long width = projection.weight().n();
        return scope.tensor(Memory.ADAPTER, projection.dtype(), width, width);
    }

    private static void identity(Tensor matrix) {
        try (Scope scope = matrix.scope().scope()) {
            long width = matrix.size(0);
            ones(scope.view(matrix, 0, new long[] {width, 1}, new long[] {matrix.stride(0) + 1, 1}));
        }
    }

    /** Also copies the adapters' own files. */
    @Override
    public void save(Path directory) {
        super.save(directory);
        directories.forEach((name, from) -> {
            Path to = directory.resolve(name);
            try {
                if (Files.exists(to) && Files.isSameFile(from, to)) {
                    return;
                }
                Files.createDirectories(to);
                for (String file : List.of(FILE, PeftConfig.FILE)) {
                    Files.copy(from.resolve(file), to.resolve(file), StandardCopyOption.REPLACE_EXISTING);
                }
            } catch (IOException e) {
                throw new UncheckedIOException("cannot copy adapter " + from + " to " + to + ": " + e.getMessage(), e);
            }
        });
    }
}
