package io.graft.nn;

import io.graft.ops.Linear;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/** A trained linear map inside an attachment, {@code y = x Dᵀ}, stored as a matrix or as factors of one. */
interface TrainedMap {
    int outputs();

    /** y = x Dᵀ, or added to. */
    void forward(Context context, Tensor x, boolean accumulate, Tensor y);

    /** dx = dy D, or added to, where wanted; adds to its parameters' gradients. x is needed where these have any. */
    void backward(Context context, Tensor dy, Tensor x, boolean accumulate, Tensor dx);

    boolean trainable();

    /** A matrix in the compute dtype beside its master. */
    record Dense(Parameter parameter, Weight weight) implements TrainedMap {
        static Dense of(Scope scope, Parameter parameter) {
            return new Dense(parameter, scope.weight(parameter.value()));
        }

        @Override
        public int outputs() {
            return (int) weight.n();
        }

        @Override
        public void forward(Context context, Tensor x, boolean accumulate, Tensor y) {
            Linear.forward(context, x, weight, null, accumulate, y);
        }

        @Override
        public void backward(Context context, Tensor dy, Tensor x, boolean accumulate, Tensor dx) {
            if (dx != null || trainable()) {
                Tensor input = trainable() ? x : null;
                Linear.backward(context, dy, input, weight, accumulate, dx, parameter.gradient(), null);
            }
        }

        @Override
        public boolean trainable() {
            return parameter.trainable();
        }
    }
}
