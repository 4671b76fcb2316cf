package io.graft.adapter;

import io.graft.io.PeftLokrConfig;
import io.graft.nn.Attachment;
import io.graft.nn.FactoredMatrix;
import io.graft.nn.KroneckerProduct;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * LoKr (arXiv 2309.14859, section 3.2), as PEFT configures and stores it: {@code W + alpha/r · w1 ⊗ w2}, where w2, and with
 * {@code decompose_both} w1, is a product of two matrices of rank r if r is below half its larger side. With r above that
 * it is KronA (arXiv 2212.10650). Fresh adapters start as the base model: w1, or its first part, is zero.
 */
public final class Lokr extends PeftAdapter<PeftLokrConfig> {
    private Lokr(PeftLokrConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh adapter, to be trained. */
    public static Lokr create(PeftLokrConfig config, long seed) {
        return new Lokr(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static Lokr load(Path directory) {
        return new Lokr(PeftLokrConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Lokr frozen(Path directory) {
        return new Lokr(PeftLokrConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String module = projection.module();
        String key = PREFIX + module + ".lokr_";
        PeftLokrConfig.Sizes sizes =
                config.sizes(projection.weight().n(), projection.weight().k());
        int rank = config.rank(module);
        double scale = config.scale(module);
        boolean lycoris = config.initialisation().equals("lycoris");
        boolean fromBase = !config.initialisation().equals("false");
        // why: which matrix starts at zero decides which gets the first gradient; PEFT has both ways.
        boolean firstZero = fromBase && !lycoris;
        boolean secondZero = fromBase && lycoris;
        Parameter w1 = null;
        FactoredMatrix first = null;
        if (config.lowRankFirst(module, sizes)) {
            Parameter left = parameter(scope, projection, key + "w1_a", sizes.p(), rank, firstZero);
            first = new FactoredMatrix(scope, left, transposed(scope, projection, key + "w1_b", sizes.q(), rank));
        } else {
            w1 = parameter(scope, projection, key + "w1", sizes.p(), sizes.q(), firstZero);
        }
        Parameter b;
        Parameter a = null;
        if (config.lowRankSecond(module, sizes)) {
            b = parameter(scope, projection, key + "w2_a", sizes.high(), rank, false);
            a = parameter(scope, projection, key + "w2_b", rank, sizes.wide(), secondZero);
        } else {
            b = parameter(scope, projection, key + "w2", sizes.high(), sizes.wide(), secondZero);
        }
        return first == null ? KroneckerProduct.of(w1, b, a, scale) : KroneckerProduct.of(first, b, a, scale);
    }

    private Parameter parameter(Scope scope, Projection projection, String key, long rows, long columns, boolean zero) {
        Tensor zeros = wide(scope, projection, rows, columns);
        return parameter(scope, key, zeros, zero ? PeftAdapter::zero : kaiming(columns));
    }

    /** A parameter whose file holds the transpose [columns, rows]. */
    private Parameter transposed(Scope scope, Projection projection, String key, long rows, long columns) {
        Tensor value = wide(scope, projection, rows, columns);
        if (fromFile()) {
            readTransposed(key, value);
        } else {
            kaiming(rows).accept(value);
        }
        return train(scope, storedTransposed(new Parameter(key, value)));
    }
}
