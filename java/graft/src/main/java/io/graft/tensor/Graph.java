package io.graft.tensor;

import static io.graft.binding.Native.graft_graph_destroy;
import static io.graft.binding.Native.graft_graph_launch;

import io.graft.binding.Status;
import io.graft.binding.graft_graph;

/**
 * Work that a CUDA device keeps, and does again as a whole at each launch: made by {@link Scope#graph}. It reads and writes
 * the tensors of the calls, which must still exist; whatever else the calls were given stays as it was, but for
 * {@linkplain Context#stepValues the numbers of a step}.
 */
public final class Graph extends Handle {
    private final graft_graph handle;

    Graph(Scope scope, graft_graph handle) {
        super(scope, null);
        this.handle = handle;
        scope.children().add(this);
    }

    /** Puts the work behind what the context was given before. */
    public void launch() {
        Context context = scope().context();
        synchronized (context) {
            checkUsable(context);
            Status.check(graft_graph_launch(context.pointer(), handle));
        }
    }

    @Override
    void destroy() {
        Status.check(graft_graph_destroy(scope().context().pointer(), handle));
    }

    @Override
    public String toString() {
        return "Graph on " + scope().context().device();
    }
}
