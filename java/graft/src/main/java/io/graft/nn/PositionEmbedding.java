package io.graft.nn;

import io.graft.ops.Embedding;
import io.graft.ops.TensorOps;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;

/** A trained vector for each position, which is added to the embeddings before the first block. */
public final class PositionEmbedding {
    private final Parameter table;

    /** @param table [positions, hidden] */
    public PositionEmbedding(Parameter table) {
        this.table = table;
    }

    public Parameter table() {
        return table;
    }

    /** The buffers for one shape of batches. */
    public final class Rows {
        private final Pass pass;
        private final Tensor positions;
        private final Tensor rows;

        public Rows(Scope scope, Pass pass) {
            this.pass = pass;
            positions = pass.positions().reshape(pass.tokens());
            rows = Precision.activation(
                    scope, table.value().dtype(), pass.tokens(), table.value().size(1), 0);
        }

        /** y += the vectors of the pass's positions. */
        public void add(Tensor y) {
            long last = pass.past() + pass.length();
            if (last > table.value().size(0)) {
                throw new IllegalArgumentException("a sequence of " + last + " tokens, but " + table.name()
                        + " has only " + table.value().size(0) + " positions");
            }
            Embedding.forward(pass.context(), table.value(), positions, 1, rows);
            TensorOps.add(pass.context(), rows, y);
        }

        /** Adds dy to the rows of the table's gradient, when the table is trained. */
        public void backward(Tensor dy) {
            if (table.trainable()) {
                Embedding.backward(pass.context(), positions, dy, 1, table.gradient());
            }
        }
    }
}
