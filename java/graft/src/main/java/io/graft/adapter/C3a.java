package io.graft.adapter;

import io.graft.io.PeftC3aConfig;
import io.graft.nn.Attachment;
import io.graft.nn.CirculantBlocks;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * C3A (arXiv 2407.19342), as PEFT configures and stores it: W plus a matrix of circulant blocks, each given by one vector, times 1 /
 * in. It may have any rank with few numbers, and goes to frequencies instead of being made ({@link io.graft.ops.Circulant}).
 */
public final class C3a extends PeftAdapter<PeftC3aConfig> {
    private C3a(PeftC3aConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh adapter, to be trained. */
    public static C3a create(PeftC3aConfig config, long seed) {
        return new C3a(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static C3a load(Path directory) {
        return new C3a(PeftC3aConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static C3a frozen(Path directory) {
        return new C3a(PeftC3aConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String module = projection.module();
        String key = PREFIX + module + ".c3a_kernel";
        long inputs = projection.weight().k();
        long outputs = projection.weight().n();
        int size = config.blockSize(module);
        if (inputs % size != 0 || outputs % size != 0) {
            throw new IllegalArgumentException("C3a: blocks of " + size + " do not divide the " + inputs
                    + " inputs and " + outputs + " outputs of " + module);
        }
        Tensor kernel = scope.tensor(
                Memory.ADAPTER, Precision.accumulator(projection.dtype()), outputs / size, inputs / size, size);
        return new CirculantBlocks(
                parameter(scope, key, kernel, zeros -> initialise(zeros, inputs, outputs)), 1.0 / inputs);
    }

    private void initialise(Tensor kernel, long inputs, long outputs) {
        switch (config.initialisation()) {
            case "true" -> skip(kernel);
            case "gaussian" -> normal(kernel, 0, 1);
            case "kaiming_uniform" -> kaiming(inputs).accept(kernel);
            default -> uniform(kernel, Math.sqrt(6.0 / (inputs + outputs)));
        }
    }
}
