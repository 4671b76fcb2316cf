package io.graft.model;

import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;

/**
 * How far numbers are from those that they stand for.
 *
 * @param squares sum of the squared differences
 * @param reference sum of the squares of the exact numbers
 * @param largest largest difference
 */
public record Deviation(double squares, double reference, double largest) {
    public static final Deviation NONE = new Deviation(0, 0, 0);

    /** Numbers that are compared at once: what is held beside the tensors. */
    private static final long PART = 1 << 18;

    /** The length of the difference over that of the exact numbers; 0 where nothing differs. */
    public double relative() {
        return squares == 0 ? 0 : Math.sqrt(squares / reference);
    }

    /** Of both together. */
    public Deviation plus(Deviation other) {
        return new Deviation(squares + other.squares, reference + other.reference, Math.max(largest, other.largest));
    }

    /** Of {@code found} from {@code exact}, float tensors of one shape [n] or [n, k]. */
    static Deviation between(Tensor exact, Tensor found) {
        return parts(exact, (from, to, scope) -> found.rows(from, to).floats());
    }

    /** Of what a tensor is when it is rounded to a type. */
    static Deviation ofRounding(Tensor exact, DType dtype) {
        return parts(exact, (from, to, scope) -> {
            Tensor rows = exact.rows(from, to);
            Tensor rounded = scope.tensor(Memory.WORKSPACE, dtype, rows.shape());
            TensorOps.copy(scope.context(), rows, rounded);
            return rounded.floats();
        });
    }

    private interface Found {
        float[] rows(long from, long to, Scope scope);
    }

    private static Deviation parts(Tensor exact, Found found) {
        long rows = exact.size(0);
        long step = Math.max(1, PART / Math.max(1, exact.elements() / Math.max(1, rows)));
        Deviation sum = NONE;
        for (long from = 0; from < rows; from += step) {
            long to = Math.min(from + step, rows);
            try (Scope scope = exact.scope().scope()) {
                sum = sum.plus(of(exact.rows(from, to).floats(), found.rows(from, to, scope)));
            }
        }
        return sum;
    }

    private static Deviation of(float[] exact, float[] found) {
        double squares = 0;
        double reference = 0;
        double largest = 0;
        for (int i = 0; i < exact.length; i++) {
            double difference = (double) found[i] - exact[i];
            squares += difference * difference;
            reference += (double) exact[i] * exact[i];
            largest = Math.max(largest, Math.abs(difference));
        }
        return new Deviation(squares, reference, largest);
    }
}
