package io.graft.adapter;

import io.graft.io.PeftLohaConfig;
import io.graft.nn.Attachment;
import io.graft.nn.DerivedLowRank;
import io.graft.nn.KhatriRaoProduct;
import io.graft.nn.LowRank;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import java.nio.file.Path;
import java.util.List;

/**
 * LoHa (FedPara, arXiv 2108.06098), as PEFT configures and stores it: {@code W + alpha/r · (B1 A1) ⊙ (B2 A2)}. Neither
 * product is made: theirs is one of rank r², whose factors are the products of columns of B1 and B2, and of rows of A1 and
 * A2. Fresh adapters start as the base model: A2 is zero.
 */
public final class Loha extends PeftAdapter<PeftLohaConfig> {
    private Loha(PeftLohaConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh adapter, to be trained. */
    public static Loha create(PeftLohaConfig config, long seed) {
        return new Loha(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static Loha load(Path directory) {
        return new Loha(PeftLohaConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Loha frozen(Path directory) {
        return new Loha(PeftLohaConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String module = projection.module();
        String key = PREFIX + module + ".hada_";
        long n = projection.weight().n();
        long k = projection.weight().k();
        int rank = config.rank(module);
        boolean fromBase = config.initialisation().equals("true");
        Parameter b1 = parameter(scope, key + "w1_a", wide(scope, projection, n, rank), kaiming(rank));
        Parameter a1 = parameter(scope, key + "w1_b", wide(scope, projection, rank, k), kaiming(k));
        Parameter b2 = parameter(scope, key + "w2_a", wide(scope, projection, n, rank), kaiming(rank));
        Parameter a2 = parameter(
                scope, key + "w2_b", wide(scope, projection, rank, k), fromBase ? PeftAdapter::zero : kaiming(k));
        DType dtype = projection.dtype();
        KhatriRaoProduct a = KhatriRaoProduct.of(scope, dtype, a1, a2, false, gradients());
        KhatriRaoProduct b = KhatriRaoProduct.of(scope, dtype, b1, b2, true, gradients());
        LowRank low = new LowRank(a.product(), b.product(), config.scale(module), 0, 0);
        return new DerivedLowRank(low, List.of(a, b));
    }
}
