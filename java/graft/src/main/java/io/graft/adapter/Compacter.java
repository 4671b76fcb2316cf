package io.graft.adapter;

import io.graft.io.Architecture;
import io.graft.io.PeftCompacterConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Attachment;
import io.graft.nn.Bottleneck.Hypercomplex;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.ops.Activation;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.Locale;

/**
 * Compacter (arXiv 2106.04647): bottleneck adapters behind the output projections whose two matrices are sums of n Kronecker
 * products, of n by n matrices that all layers share and of matrices of rank 1 of their own. PEFT does not know it. Fresh ones
 * start as the base model: the second matrix of each network is zero.
 */
public final class Compacter extends PeftAdapter<PeftCompacterConfig> {
    private Parameter rule;

    private Compacter(PeftCompacterConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh adapter, to be trained. */
    public static Compacter create(PeftCompacterConfig config, long seed) {
        return new Compacter(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static Compacter load(Path directory) {
        return new Compacter(PeftCompacterConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Compacter frozen(Path directory) {
        return new Compacter(PeftCompacterConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    public boolean mergeable() {
        return false;
    }

    @Override
    void attachFront(Adaptable model) {
        int n = config.division();
        rule = parameter(model.scope(), model.dtype(), PREFIX + "phm_rule", n, n, n, 1 / Math.sqrt(n));
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String module = projection.module();
        if (!Architecture.endsHalf(module)) {
            throw new IllegalArgumentException(
                    "Compacter: target " + module + " is not supported; supported are o_proj and down_proj");
        }
        int n = config.division();
        int outputs = Math.toIntExact(projection.weight().n());
        if (outputs % n != 0) {
            throw new IllegalArgumentException("Compacter: hypercomplex_division " + n + " does not divide the "
                    + outputs + " outputs of " + module);
        }
        DType dtype = projection.dtype();
        String key = PREFIX + module + ".adapter_";
        Hypercomplex down = factors(scope, dtype, key + "down.", config.size() / n, outputs / n, false);
        Hypercomplex up = factors(scope, dtype, key + "up.", outputs / n, config.size() / n, true);
        Activation.Kind kind = Activation.Kind.valueOf(config.nonLinearity().toUpperCase(Locale.ROOT));
        return io.graft.nn.Bottleneck.hypercomplex(rule, down, up, kind, false, buffers());
    }

    /** Deviations with which the matrix has Kaiming's for a = √5, 1 / √(3 · inputs); b is zero where it starts so. */
    private Hypercomplex factors(Scope scope, DType dtype, String key, int outputs, int inputs, boolean zero) {
        int n = config.division();
        int rank = config.rank();
        Parameter b = parameter(scope, dtype, key + "phm_b", n, outputs, rank, zero ? 0 : 1 / Math.sqrt(rank));
        Parameter a = parameter(scope, dtype, key + "phm_a", n, rank, inputs, 1 / Math.sqrt(3.0 * n * inputs));
        return new Hypercomplex(b, a);
    }

    private Parameter parameter(
            Scope scope, DType dtype, String key, long terms, long rows, long columns, double deviation) {
        Tensor zeros = scope.tensor(Memory.ADAPTER, Precision.accumulator(dtype), terms, rows, columns);
        return parameter(scope, key, zeros, deviation > 0 ? normal(deviation) : PeftAdapter::zero);
    }
}
