package io.graft.train;

import io.graft.nn.Parameter;
import io.graft.tensor.Scope;
import java.util.List;

/** An optimiser that is still without parameters. */
@FunctionalInterface
public interface OptimiserSettings {
    /** @param parent lives as long as the parameters */
    Optimiser create(Scope parent, List<Parameter> trained);
}
