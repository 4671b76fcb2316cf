package io.graft.nn;

import io.graft.ops.Embedding;
import io.graft.tensor.Tensor;

/** The first layer: a row of the table for each token id. A tied head shares the table and its gradient. */
public final class TokenEmbedding {
    private final Parameter table;
    private final double scale;

    /** @param scale what rows are multiplied with */
    public TokenEmbedding(Parameter table, double scale) {
        this.table = table;
        this.scale = scale;
    }

    public void forward(Pass pass, Tensor ids, Tensor y) {
        Embedding.forward(pass.context(), table.value(), ids, scale, y);
    }

    /** Adds dy to the rows of the table's gradient, when the table is trained. */
    public void backward(Pass pass, Tensor ids, Tensor dy) {
        if (table.trainable()) {
            Embedding.backward(pass.context(), ids, dy, scale, table.gradient());
        }
    }

    public Parameter table() {
        return table;
    }
}
