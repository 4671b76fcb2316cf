package io.graft.adapter;

import io.graft.io.PeftBottleneckConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.RandomExperts;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * AdaMix (arXiv 2205.12410): several bottleneck networks at each target, of which a training pass takes a random down- and
 * a random up-projection in each layer; evaluation and the file have their averages, one network at the cost of one. The
 * paper's consistency loss between two random passes is left out.
 *
 * <p>The file is that of a {@link Bottleneck} adapter, which reads it. It holds no networks to train further.
 */
public final class AdaMix extends PeftAdapter<PeftBottleneckConfig> {
    private final int experts;
    private final Map<String, RandomExperts> modules = new LinkedHashMap<>();

    private AdaMix(PeftBottleneckConfig config, int experts, long seed) {
        super(config, Origin.fresh(seed));
        this.experts = experts;
        if (experts < 1) {
            throw new IllegalArgumentException("AdaMix: " + experts + " experts");
        }
    }

    /** Fresh networks, so many at each target, to be trained. */
    public static AdaMix create(PeftBottleneckConfig config, int experts, long seed) {
        return new AdaMix(config, experts, seed);
    }

    @Override
    public boolean mergeable() {
        return false;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        Bottleneck.checkPlace(config, projection.module());
        String key = PREFIX + projection.module() + ".adapter_";
        List<Parameter> downs = new ArrayList<>();
        List<Parameter> ups = new ArrayList<>();
        for (int i = 0; i < experts; i++) {
            Parameter down = train(scope, Bottleneck.down(scope, projection, config, key + "down." + i + ".weight"));
            Parameter up = train(scope, Bottleneck.up(scope, projection, config, key + "up." + i + ".weight"));
            Bottleneck.initialise(this, config, down, up);
            downs.add(down);
            ups.add(up);
        }
        RandomExperts part = new RandomExperts(
                scope,
                downs,
                ups,
                Bottleneck.function(config),
                config.parallel(),
                Lora.mix(projection.module().hashCode()),
                buffers());
        modules.put(key, part);
        return part;
    }

    /** Writes the averages, as a {@link Bottleneck} adapter. */
    @Override
    public void save(Path directory) {
        try (Scope scope = projections().get(0).weight().scope().context().scope()) {
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            modules.forEach((key, part) -> {
                tensors.put(key + "down.weight", part.averageDown(scope));
                tensors.put(key + "up.weight", part.averageUp(scope));
            });
            write(directory, config, tensors);
        }
    }
}
