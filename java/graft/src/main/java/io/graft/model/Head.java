package io.graft.model;

import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** The last layer, from hidden states to logits. A bias is one more column of its weight, over a 1 behind each hidden state. */
final class Head {
    private final Scope scope;
    private final Weight weight;
    private final Parameter matrix;
    private final Parameter bias;
    private final Tensor column;
    private final Tensor biasColumn;
    private Tensor gradient;
    private Tensor matrixPart;
    private Tensor biasPart;
    private Tensor biasGradient;

    /**
     * @param name path of the matrix
     * @param biasName path of the bias; null for none
     */
    Head(Scope scope, String name, String biasName, DType dtype, long vocabulary, long hidden) {
        this.scope = scope;
        weight = scope.weight(Memory.BASE, dtype, vocabulary, biasName == null ? hidden : hidden + 1, 0);
        Tensor all = weight.matrix();
        matrix = new Parameter(name, biasName == null ? all : all.columns(0, hidden));
        bias = biasName == null
                ? null
                : new Parameter(biasName, scope.tensor(Memory.BASE, Precision.accumulator(dtype), vocabulary));
        column = biasName == null ? null : all.columns(hidden, hidden + 1);
        biasColumn = biasName == null ? null : bias.value().reshape(vocabulary, 1);
    }

    /** [vocabulary, hidden], or with a bias [vocabulary, hidden + 1]. */
    Weight weight() {
        return weight;
    }

    Parameter matrix() {
        return matrix;
    }

    /** [vocabulary], or null. */
    Parameter bias() {
        return bias;
    }

    boolean trainable() {
        return matrix.trainable() || (bias != null && bias.trainable());
    }

    /** Before each pass: brings the column in line with the bias. */
    void prepare(Context context) {
        if (bias != null) {
            TensorOps.copy(context, biasColumn, column);
        }
    }

    /** Where the gradient of the whole weight is to be added, or null; {@link #handOn} then makes the parameters' of it. */
    Tensor gradient() {
        if (bias == null) {
            return matrix.gradient();
        }
        if (!trainable()) {
            return null;
        }
        if (gradient == null) {
            long hidden = weight.k() - 1;
            gradient = scope.tensor(
                    Memory.GRADIENT, Precision.accumulator(weight.matrix().dtype()), weight.n(), hidden + 1);
            matrixPart = gradient.columns(0, hidden);
            biasPart = gradient.columns(hidden, hidden + 1);
        }
        TensorOps.fill(scope.context(), 0, gradient);
        return gradient;
    }

    void handOn() {
        if (bias != null && matrix.trainable()) {
            TensorOps.add(scope.context(), matrixPart, matrix.gradient());
        }
        if (bias != null && bias.trainable()) {
            // why once: a view for each pass would be garbage.
            biasGradient = biasGradient == null ? bias.gradient().reshape(weight.n(), 1) : biasGradient;
            TensorOps.add(scope.context(), biasPart, biasGradient);
        }
    }
}
