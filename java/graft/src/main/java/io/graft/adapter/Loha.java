package io.graft.adapter;

import io.graft.io.PeftLohaConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Attachment;
import io.graft.nn.DerivedLowRank;
import io.graft.nn.KhatriRaoProduct;
import io.graft.nn.LowRank;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.SharedGradients;
import io.graft.ops.Random;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.List;

/**
 * LoHa (FedPara, arXiv 2108.06098), as PEFT configures and stores it: {@code W + alpha/r · (B1 A1) ⊙ (B2 A2)}. Neither
 * product is made: theirs is one of rank r², whose factors are the products of columns of B1 and B2, and of rows of A1 and
 * A2. Fresh adapters start as the base model: A2 is zero.
 */
public final class Loha extends PeftAdapter {
    private final PeftLohaConfig config;
    private final long seed;
    private long offset = Lora.FIRST_OFFSET;
    private SharedGradients gradients;

    private Loha(PeftLohaConfig config, long seed, Path source, boolean trained) {
        super(config, source, trained);
        this.config = config;
        this.seed = seed;
    }

    /** A fresh adapter, to be trained. */
    public static Loha create(PeftLohaConfig config, long seed) {
        return new Loha(config, seed, null, true);
    }

    /** An adapter from a directory, to be trained further. */
    public static Loha load(Path directory) {
        return new Loha(PeftLohaConfig.read(directory), 0, directory, true);
    }

    /** An adapter from a directory, without gradients. */
    public static Loha frozen(Path directory) {
        return new Loha(PeftLohaConfig.read(directory), 0, directory, false);
    }

    @Override
    boolean servesCodes(String module) {
        return true;
    }

    @Override
    void attachFront(Adaptable model) {
        gradients = new SharedGradients(model.scope());
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String module = projection.module();
        String key = PREFIX + module + ".hada_";
        long n = projection.weight().n();
        long k = projection.weight().k();
        int rank = config.rank(module);
        boolean fromBase = config.initialisation().equals("true");
        Parameter b1 = parameter(scope, projection, key + "w1_a", n, rank, false);
        Parameter a1 = parameter(scope, projection, key + "w1_b", rank, k, false);
        Parameter b2 = parameter(scope, projection, key + "w2_a", n, rank, false);
        Parameter a2 = parameter(scope, projection, key + "w2_b", rank, k, fromBase);
        DType dtype = projection.dtype();
        KhatriRaoProduct a = KhatriRaoProduct.of(scope, dtype, a1, a2, false, gradients);
        KhatriRaoProduct b = KhatriRaoProduct.of(scope, dtype, b1, b2, true, gradients);
        LowRank low = new LowRank(a.product(), b.product(), config.scale(module), 0, 0);
        return new DerivedLowRank(low, List.of(a, b));
    }

    private Parameter parameter(Scope scope, Projection projection, String key, long rows, long columns, boolean zero) {
        Tensor value = wide(scope, projection, rows, columns);
        if (fromFile()) {
            read(key, value);
        } else if (!zero) {
            // Kaiming's bound for a = √5.
            double bound = 1 / Math.sqrt(columns);
            Random.uniform(scope.context(), seed, offset, -bound, bound, value);
            offset += value.elements();
        }
        return train(scope, new Parameter(key, value));
    }

    public PeftLohaConfig config() {
        return config;
    }
}
