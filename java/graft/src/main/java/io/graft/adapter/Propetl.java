package io.graft.adapter;

import io.graft.io.PeftLoraConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Attachment;
import io.graft.nn.DerivedLowRank;
import io.graft.nn.LowRank;
import io.graft.nn.MaskedMatrix;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.SharedGradients;
import io.graft.ops.Random;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * ProPETL (arXiv 2210.17451, section 3) with LoRA: one prototype of A and B for all layers' projections of a kind, of which each
 * layer has what its own masks let through ({@link MaskedMatrix}). Prototypes and scores of masks are trained. Fresh adapters
 * start at the base model: B's prototype is zero. The file is plain LoRA of what each layer has, which {@link Lora} reads.
 */
public final class Propetl extends PeftAdapter {
    private final PeftLoraConfig config;
    private final double share;
    private final long seed;
    private final Map<String, Parameter> prototypes = new HashMap<>();
    private final Map<String, Tensor> products = new LinkedHashMap<>();
    private long offset = Lora.FIRST_OFFSET;
    private SharedGradients gradients;

    private Propetl(PeftLoraConfig config, double share, long seed) {
        super(config, null, true);
        this.config = config;
        this.share = share;
        this.seed = seed;
        if (!(share > 0 && share <= 1)) {
            throw new IllegalArgumentException(
                    "Propetl: the share that masks keep is " + share + ", must be in (0, 1]");
        }
        if (config.weightDecomposed()) {
            throw new IllegalArgumentException("Propetl: use_dora is not supported");
        }
    }

    /**
     * A fresh adapter, to be trained.
     *
     * @param share of a prototype that each mask keeps
     */
    public static Propetl create(PeftLoraConfig config, double share, long seed) {
        return new Propetl(config, share, seed);
    }

    @Override
    public int border(String module) {
        return config.targets(module) ? config.rank(module) : 0;
    }

    @Override
    boolean servesCodes(String module) {
        return true;
    }

    @Override
    void attachFront(Adaptable model) {
        if (model.dtype() == DType.F64) {
            throw new IllegalArgumentException("Propetl: masks are chosen by fp32 scores, not in F64 models");
        }
        gradients = new SharedGradients(model.scope());
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String module = projection.module();
        int rank = config.rank(module);
        MaskedMatrix a =
                masked(scope, projection, "A", rank, projection.weight().k());
        MaskedMatrix b = masked(scope, projection, "B", projection.weight().n(), rank);
        LowRank low = new LowRank(
                a.product(), b.product(), config.scale(module), config.dropout(), Lora.mix(module.hashCode()));
        return new DerivedLowRank(low, List.of(a, b));
    }

    private MaskedMatrix masked(Scope scope, Projection projection, String factor, long rows, long columns) {
        String module = projection.module();
        String kind = module.substring(module.lastIndexOf('.') + 1) + ".lora_" + factor;
        boolean down = factor.equals("A");
        double bound = 1 / Math.sqrt(columns);
        Parameter prototype = prototypes.computeIfAbsent(kind + " " + rows + " " + columns, name -> {
            Tensor value = wide(scope, projection, rows, columns);
            if (down) {
                uniform(value, bound);
            }
            return train(scope, new Parameter("prototype." + kind + "." + rows + "x" + columns, value));
        });
        String key = PREFIX + module + ".lora_" + factor;
        Tensor scores = wide(scope, projection, rows, columns);
        uniform(scores, bound);
        Parameter mask = train(scope, new Parameter(key + ".scores", scores));
        Parameter product = new Parameter(key + ".weight", wide(scope, projection, rows, columns));
        products.put(product.name(), product.value());
        return new MaskedMatrix(product, prototype, mask, share, gradients, factor);
    }

    private void uniform(Tensor value, double bound) {
        Random.uniform(value.scope().context(), seed, offset, -bound, bound, value);
        offset += value.elements();
    }

    @Override
    Map<String, Tensor> tensors() {
        return products;
    }

    public PeftLoraConfig config() {
        return config;
    }
}
