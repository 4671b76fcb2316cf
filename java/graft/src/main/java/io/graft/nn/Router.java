package io.graft.nn;

import io.graft.ops.Activation;
import io.graft.ops.Mixture;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;

/**
 * How the logits of a layer's experts become gates, the same way in all layers of an adapter: by the softmax of the k
 * largest, with a loss that balances the experts' use, or each by its own sigmoid.
 */
public final class Router {
    private final long topK;
    private final boolean amongAll;
    private final double balance;
    private final Tensor loss;

    private Router(Scope scope, DType compute, long topK, boolean amongAll, double balance) {
        this.topK = topK;
        this.amongAll = amongAll;
        this.balance = balance;
        this.loss = scope.tensor(Memory.ADAPTER, Precision.accumulator(compute), 1);
    }

    /** @param balance the weight of the balance (Switch, arXiv 2101.03961, section 2.2) in each layer; 0 for none */
    public static Router softmax(Scope scope, DType compute, int topK, double balance) {
        return new Router(scope, compute, topK, false, balance);
    }

    /** As {@link #softmax}, but a gate is the share among all experts, not among the chosen ones. */
    public static Router among(Scope scope, DType compute, int topK, double balance) {
        return new Router(scope, compute, topK, true, balance);
    }

    /** Each gate by itself. */
    public static Router sigmoid(Scope scope, DType compute) {
        return new Router(scope, compute, 0, false, 0);
    }

    /** gates of logits, both [T, E]. */
    void forward(Pass pass, Tensor logits, Tensor gates) {
        if (topK == 0) {
            Activation.forward(pass.context(), Activation.Kind.SIGMOID, logits, gates);
        } else {
            Mixture.routeForward(pass.context(), logits, topK, amongAll, gates);
        }
    }

    /** The gradient of the gates becomes that of the logits, with the balance's. */
    void backward(Pass pass, Tensor logits, Tensor gates, Tensor gradient) {
        if (topK == 0) {
            Activation.backward(pass.context(), Activation.Kind.SIGMOID, gradient, gates, gradient);
        } else {
            double weight = pass.share() * balance;
            Mixture.routeBackward(
                    pass.context(), logits, gates, gradient, amongAll, weight, pass.realRows(), gradient, loss);
        }
    }

    /** The balance of all layers and passes since it was last asked for. */
    public double takeLoss() {
        double sum = loss.doubles()[0];
        loss.set(new double[] {0});
        return sum;
    }
}
