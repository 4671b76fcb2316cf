package io.graft.adapter;

import io.graft.io.PeftLoraConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Attachment;
import io.graft.nn.DerivedLowRank;
import io.graft.nn.LowRank;
import io.graft.nn.MaskedMatrix;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
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
public final class Propetl extends PeftAdapter<PeftLoraConfig> {
    private final double share;
    private final Map<String, Parameter> prototypes = new HashMap<>();
    private final Map<String, Tensor> products = new LinkedHashMap<>();

    private Propetl(PeftLoraConfig config, double share, long seed) {
        super(config, Origin.fresh(seed));
        this.share = share;
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
    void attachFront(Adaptable model) {
        if (model.dtype() == DType.F64) {
            throw new IllegalArgumentException("Propetl: masks are chosen by fp32 scores, not in F64 models");
        }
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
        Parameter prototype = prototypes.computeIfAbsent(kind + " " + rows + " " + columns, name -> {
            Tensor zeros = wide(scope, projection, rows, columns);
            return parameter(
                    scope,
                    "prototype." + kind + "." + rows + "x" + columns,
                    zeros,
                    factor.equals("A") ? kaiming(columns) : PeftAdapter::zero);
        });
        String key = PREFIX + module + ".lora_" + factor;
        Parameter mask = parameter(scope, key + ".scores", wide(scope, projection, rows, columns), kaiming(columns));
        Parameter product = new Parameter(key + ".weight", wide(scope, projection, rows, columns));
        products.put(product.name(), product.value());
        return new MaskedMatrix(product, prototype, mask, share, gradients(), factor);
    }

    @Override
    Map<String, Tensor> tensors() {
        return products;
    }
}
