package io.graft.adapter;

import io.graft.io.PeftSsfConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.nn.ScaleShift;
import io.graft.ops.TensorOps;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * SSF (arXiv 2210.08823, section 3.2): the outputs of each targeted projection get a trained scale and shift, {@code y = (x
 * Wᵀ) ⊙ γ + β}. Fresh ones are 1 and 0, the base model. Norms have a trained scale by {@link LnTuning}.
 *
 * <p>PEFT does not know this method. The files are like PEFT's: {@code adapter_config.json} with the type {@code SSF}, and
 * {@code <module>.ssf_scale} [out] beside {@code <module>.ssf_shift} [out].
 */
public final class Ssf extends PeftAdapter {
    private Ssf(PeftSsfConfig config, Path source, boolean trained) {
        super(config, source, trained);
    }

    /** Fresh scales and shifts, to be trained. */
    public static Ssf create(PeftSsfConfig config) {
        return new Ssf(config, null, true);
    }

    /** An adapter from a directory, to be trained further. */
    public static Ssf load(Path directory) {
        return new Ssf(PeftSsfConfig.read(directory), directory, true);
    }

    /** An adapter from a directory, without gradients. */
    public static Ssf frozen(Path directory) {
        return new Ssf(PeftSsfConfig.read(directory), directory, false);
    }

    @Override
    public boolean mergeable() {
        return false;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        return new ScaleShift(vector(scope, projection, ".ssf_scale", 1), vector(scope, projection, ".ssf_shift", 0));
    }

    private Parameter vector(Scope scope, Projection projection, String name, double start) {
        String key = PREFIX + projection.module() + name;
        Tensor values = scope.tensor(
                Memory.ADAPTER,
                Precision.accumulator(projection.dtype()),
                projection.weight().n());
        if (fromFile()) {
            read(key, values);
        } else {
            TensorOps.fill(scope.context(), start, values);
        }
        return train(scope, new Parameter(key, values));
    }
}
