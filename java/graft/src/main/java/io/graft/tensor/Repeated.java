package io.graft.tensor;

import io.graft.binding.GraftArgumentException;
import io.graft.binding.GraftDeviceException;
import io.graft.binding.GraftOutOfMemoryException;
import io.graft.binding.GraftUnsupportedException;

/**
 * Calls of ops that are the same each time, but for what is in their tensors and for the numbers of a step. They are made at
 * first, which chooses algorithms and makes what is still missing; the second time they become a {@link Graph}, which is
 * launched from then on. Calls that a graph cannot keep are made each time.
 */
public final class Repeated {
    /** The calls, with the numbers of a step. */
    @FunctionalInterface
    public interface Calls {
        /**
         * @param rate AdamW's learning rate, or what it is multiplied by
         * @param step the number of AdamW's step
         * @param offset of dropout, or what it is added to
         */
        void make(double rate, long step, long offset);
    }

    private final Scope scope;
    private final Calls calls;
    private final Mirror rates;
    private final Mirror counters;
    private boolean made;
    private Graph graph;
    private String refusal;

    /** @param scope of a CUDA context, in which the graph lives */
    public Repeated(Scope scope, Calls calls) {
        this.scope = scope;
        this.calls = calls;
        rates = new Mirror(scope.tensor(Memory.WORKSPACE, DType.F64, 1));
        counters = new Mirror(scope.tensor(Memory.WORKSPACE, DType.I64, 2));
    }

    /** Does the work with these numbers of a step; see {@link Calls}. */
    public void run(double rate, long step, long offset) {
        if (graph == null && made && refusal == null) {
            keep();
        }
        if (graph == null) {
            calls.make(rate, step, offset);
            made = true;
            return;
        }
        rates.bytes().putDouble(0, rate);
        rates.tensor();
        counters.bytes().putLong(0, step).putLong(Long.BYTES, offset);
        counters.tensor();
        graph.launch();
    }

    private void keep() {
        Context context = scope.context();
        // why the monitor: calls of another thread would be kept too.
        synchronized (context) {
            context.stepValues(rates.tensor(), counters.tensor());
            try {
                graph = scope.graph(() -> calls.make(1, 1, 0));
            } catch (GraftUnsupportedException
                    | GraftArgumentException
                    | GraftDeviceException
                    | GraftOutOfMemoryException
                    | UnsupportedOperationException cannot) {
                refusal = cannot.getMessage();
            } finally {
                context.stepValues(null, null);
            }
        }
    }

    /** Forgets the graph: the calls are others now. */
    public void forget() {
        if (graph != null) {
            graph.close();
            graph = null;
        }
        made = false;
    }

    /** Whether the work is a graph by now. */
    public boolean kept() {
        return graph != null;
    }

    /** Why the calls are made each time, or null. */
    public String refusal() {
        return refusal;
    }
}
