package io.graft.adapter;

import io.graft.io.PeftLoraConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Projection;
import io.graft.ops.RowScale;
import io.graft.ops.TensorOps;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * SoRA (arXiv 2311.11696, section 3): LoRA with a trained gate for each term, {@code W + scale · B diag(g) A}. After each
 * optimiser step a gate moves towards zero by rate · λ and stops there, the proximal step of an L1 penalty λ Σ |g|, so that
 * terms that matter little vanish; they come back where a step leads them further than that. Gates start as N(0, 1). The file
 * is plain LoRA of the terms that are left, with the gates multiplied into A.
 */
public final class Sora extends LoraTerms {
    private final double sparsity;
    private final Map<Projection, Terms> modules = new LinkedHashMap<>();

    private Sora(PeftLoraConfig config, double sparsity, long seed) {
        super(config, seed);
        this.sparsity = sparsity;
        if (!(sparsity >= 0)) {
            throw new IllegalArgumentException("Sora: the weight of the penalty is " + sparsity + ", must be >= 0");
        }
    }

    /**
     * A fresh adapter, to be trained.
     *
     * @param sparsity λ
     */
    public static Sora create(PeftLoraConfig config, double sparsity, long seed) {
        return new Sora(config, sparsity, seed);
    }

    @Override
    boolean start(Tensor gates) {
        normal(gates, 0, 1);
        return true;
    }

    @Override
    Attachment attachment(Projection projection, Terms terms) {
        modules.put(projection, terms);
        return scaled(projection, terms);
    }

    @Override
    public void stepped(OptimiserStep step) {
        double threshold = step.rate() * sparsity;
        for (Terms terms : modules.values()) {
            Tensor gates = terms.factors().master();
            double[] values = gates.doubles();
            for (int i = 0; i < values.length; i++) {
                values[i] = Math.signum(values[i]) * Math.max(0, Math.abs(values[i]) - threshold);
            }
            gates.set(values);
        }
    }

    /** How many terms are left, of all. */
    public long left() {
        return modules.values().stream().mapToLong(terms -> kept(terms).length).sum();
    }

    private static int[] kept(Terms terms) {
        double[] gates = terms.factors().master().doubles();
        int[] kept = new int[gates.length];
        int count = 0;
        for (int i = 0; i < gates.length; i++) {
            if (gates[i] != 0) {
                kept[count++] = i;
            }
        }
        return Arrays.copyOf(kept, count);
    }

    /** why one term at least: an adapter of none is no adapter; its gate is zero then. */
    @Override
    public void save(Path directory) {
        if (modules.isEmpty() || projections().isEmpty()) {
            super.save(directory);
            return;
        }
        Map<String, Tensor> tensors = new LinkedHashMap<>(tensors());
        Map<String, Integer> ranks = new LinkedHashMap<>();
        boolean none = left() == 0;
        try (Scope scope = projections().get(0).weight().scope().context().scope()) {
            modules.forEach((projection, terms) -> {
                int[] left = none && ranks.isEmpty() ? new int[] {0} : kept(terms);
                ranks.put(projection.module(), left.length);
                tensors.remove(key(terms.factors()));
                tensors.remove(key(terms.a()));
                tensors.remove(key(terms.b()));
                if (left.length > 0) {
                    tensors.put(key(terms.a()), rows(scope, gated(scope, terms), left));
                    tensors.put(key(terms.b()), columns(scope, terms.b().best(), left));
                }
            });
            write(directory, config().redistributed(ranks), tensors);
        }
    }

    private static Tensor gated(Scope scope, Terms terms) {
        Tensor a = terms.a().best();
        Tensor gated = scope.tensor(Memory.WORKSPACE, a.dtype(), a.shape());
        RowScale.forward(scope.context(), a, terms.factors().best(), gated);
        return gated;
    }

    private static Tensor rows(Scope scope, Tensor m, int[] chosen) {
        Tensor some = scope.tensor(Memory.WORKSPACE, m.dtype(), chosen.length, m.size(1));
        for (int i = 0; i < chosen.length; i++) {
            Tensor from = scope.view(m, chosen[i] * m.stride(0), new long[] {1, m.size(1)}, m.strides());
            Tensor to = scope.view(some, i * some.stride(0), new long[] {1, m.size(1)}, some.strides());
            TensorOps.copy(scope.context(), from, to);
        }
        return some;
    }

    private static Tensor columns(Scope scope, Tensor m, int[] chosen) {
        Tensor some = scope.tensor(Memory.WORKSPACE, m.dtype(), m.size(0), chosen.length);
        for (int i = 0; i < chosen.length; i++) {
            Tensor from = scope.view(m, chosen[i], new long[] {m.size(0), 1}, m.strides());
            Tensor to = scope.view(some, i, new long[] {m.size(0), 1}, some.strides());
            TensorOps.copy(scope.context(), from, to);
        }
        return some;
    }
}
