package io.graft.nn;

import io.graft.ops.Activation;
import io.graft.ops.Linear;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.List;

/**
 * The network that makes virtual tokens out of an embedding of them: linear layers with an activation between them, such as
 * {@code relu(relu(E W₀ᵀ + b₀) W₂ᵀ + b₂) W₄ᵀ + b₄}. Its rows are made once after each change of the parameters, so that what
 * stands before the sequences is a plain prompt, or a plain prefix.
 */
public final class PromptEncoder {
    private final Parameter embedding;
    private final Layer[] layers;
    private final Activation.Kind activation;
    private final Tensor rows;
    private final Tensor gradient;

    /** A linear layer with its result and the gradient of that. */
    private record Layer(Parameter w, Parameter b, Weight weight, Tensor result, Tensor gradient) {}

    /**
     * @param embedding E [virtual tokens, width]; everything has its dtype, that of masters
     * @param parameters W₀, b₀, W₂, b₂, …, each W [out, in]
     * @param activation between two layers
     */
    public PromptEncoder(Scope scope, Parameter embedding, List<Parameter> parameters, Activation.Kind activation) {
        this.embedding = embedding;
        this.activation = activation;
        layers = new Layer[parameters.size() / 2];
        for (int i = 0; i < layers.length; i++) {
            Parameter w = parameters.get(2 * i);
            long[] shape = {embedding.value().size(0), w.value().size(0)};
            layers[i] = new Layer(
                    w,
                    parameters.get(2 * i + 1),
                    scope.weight(w.value()),
                    scope.tensor(Memory.ADAPTER, w.value().dtype(), shape),
                    scope.tensor(Memory.GRADIENT, w.value().dtype(), shape));
        }
        rows = layers[layers.length - 1].result();
        gradient = layers[layers.length - 1].gradient();
        forward();
    }

    /** The virtual tokens [virtual tokens, width of the last layer]. */
    public Tensor rows() {
        return rows;
    }

    /** Where the gradient of the rows is summed for {@link #backward}. */
    Tensor gradient() {
        return gradient;
    }

    boolean trainable() {
        return embedding.trainable();
    }

    /** Makes the rows again: to be called after each change of the parameters. */
    public void forward() {
        Context context = rows.scope().context();
        Tensor x = embedding.value();
        for (Layer layer : layers) {
            Linear.forward(context, x, layer.weight(), layer.b().value(), false, layer.result());
            if (layer.result() != rows) {
                Activation.forward(context, activation, layer.result(), layer.result());
            }
            x = layer.result();
        }
    }

    /** Adds the parameters' gradients; that of the rows is used up. */
    void backward() {
        Context context = rows.scope().context();
        for (int i = layers.length - 1; i >= 0; i--) {
            Layer layer = layers[i];
            Tensor x = i == 0 ? embedding.value() : layers[i - 1].result();
            Tensor dx = i == 0 ? embedding.gradient() : layers[i - 1].gradient();
            Linear.backward(
                    context,
                    layer.gradient(),
                    x,
                    layer.weight(),
                    i == 0,
                    dx,
                    layer.w().gradient(),
                    layer.b().gradient());
            if (i > 0) {
                Activation.backward(context, activation, dx, x, dx);
            }
        }
        TensorOps.fill(context, 0, gradient);
    }
}
