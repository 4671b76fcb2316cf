package io.graft.adapter;

import io.graft.nn.Parameter;
import io.graft.ops.Linear;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.ArrayList;
import java.util.List;

/**
 * AdaLoRA's pull towards orthonormal factors (arXiv 2303.10512, equation 4, with PEFT's norm and mean): λ times the mean
 * over all factors P of {@code ‖G - I‖} with G = A Aᵀ or Bᵀ B; its gradient is {@code 2 (G - I) A / ‖G - I‖}.
 */
final class Orthogonality {
    /** A factor with its vectors in rows (A) or columns (B), room for G, and a weight of G's shape that is not G. */
    private record Term(
            Parameter factor, boolean inRows, Weight matrix, Tensor gram, Weight gramWeight, Weight square) {}

    private final double weight;
    private final List<Term> terms = new ArrayList<>();

    Orthogonality(double weight) {
        this.weight = weight;
    }

    void add(Scope scope, Parameter factor, boolean inRows) {
        Tensor value = factor.value();
        long rank = value.size(inRows ? 0 : 1);
        if (rank > 0) {
            Tensor gram = scope.tensor(Memory.WORKSPACE, value.dtype(), rank, rank);
            Weight square = scope.weight(Memory.WORKSPACE, value.dtype(), rank, rank, 0);
            terms.add(new Term(factor, inRows, scope.weight(value), gram, scope.weight(gram), square));
        }
    }

    /** Adds the gradients; returns the value. */
    double apply(Context context) {
        double sum = 0;
        for (Term term : terms) {
            Tensor p = term.factor().value();
            Tensor gram = term.gram();
            if (term.inRows()) {
                Linear.forward(context, p, term.matrix(), null, false, gram);
            } else {
                TensorOps.fill(context, 0, gram);
                Linear.backward(context, p, p, term.square(), false, null, gram, null);
            }
            double norm = scaled(gram, weight * 2 / terms.size());
            sum += norm;
            if (norm == 0) {
                continue; // the gradient is 0 too
            }
            if (term.inRows()) {
                Linear.backward(
                        context, gram, null, term.matrix(), true, term.factor().gradient(), null, null);
            } else {
                Linear.forward(
                        context, p, term.gramWeight(), null, true, term.factor().gradient());
            }
        }
        return terms.isEmpty() ? 0 : weight * sum / terms.size();
    }

    /** gram = factor (gram - I) / ‖gram - I‖; returns the norm. */
    private static double scaled(Tensor gram, double factor) {
        double[] values = gram.doubles();
        int rank = (int) gram.size(0);
        double squares = 0;
        for (int i = 0; i < values.length; i++) {
            values[i] -= i % (rank + 1) == 0 ? 1 : 0;
            squares += values[i] * values[i];
        }
        double norm = Math.sqrt(squares);
        for (int i = 0; i < values.length; i++) {
            values[i] *= norm == 0 ? 0 : factor / norm;
        }
        gram.set(values);
        return norm;
    }
}
