package io.graft.adapter;

import io.graft.io.PeftKAdaptationConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Attachment;
import io.graft.nn.KroneckerProduct;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * KAdaptation (arXiv 2203.16329, section 3.3): {@code W + Σ A_m ⊗ (b_m a_m)}, n Kronecker products of n by n matrices that all
 * layers share and of low-rank ones of a layer's own. PEFT does not know it. Fresh adapters start as the base model: b is zero.
 */
public final class KAdaptation extends PeftAdapter<PeftKAdaptationConfig> {
    private Parameter rule;

    private KAdaptation(PeftKAdaptationConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh adapter, to be trained. */
    public static KAdaptation create(PeftKAdaptationConfig config, long seed) {
        return new KAdaptation(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static KAdaptation load(Path directory) {
        return new KAdaptation(PeftKAdaptationConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static KAdaptation frozen(Path directory) {
        return new KAdaptation(PeftKAdaptationConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    void attachFront(Adaptable model) {
        int n = config.division();
        rule = parameter(model.scope(), model.dtype(), PREFIX + "phm_rule", n, n, 1 / Math.sqrt(n));
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String module = projection.module();
        int n = config.division();
        long inputs = projection.weight().k();
        long outputs = projection.weight().n();
        if (inputs % n != 0 || outputs % n != 0) {
            throw new IllegalArgumentException("KAdaptation: hypercomplex_division " + n + " does not divide the "
                    + inputs + " inputs and " + outputs + " outputs of " + module);
        }
        DType dtype = projection.dtype();
        String key = PREFIX + module + ".phm_";
        Parameter b = parameter(scope, dtype, key + "b", outputs / n, config.rank(), 0);
        Parameter a = parameter(scope, dtype, key + "a", config.rank(), inputs / n, 1 / Math.sqrt(3.0 * inputs));
        return KroneckerProduct.of(rule, b, a, 1);
    }

    /** n matrices, drawn from N(0, deviation²). */
    private Parameter parameter(Scope scope, DType dtype, String key, long rows, long columns, double deviation) {
        Tensor zeros = scope.tensor(Memory.ADAPTER, Precision.accumulator(dtype), config.division(), rows, columns);
        return parameter(scope, key, zeros, deviation > 0 ? normal(deviation) : PeftAdapter::zero);
    }
}
