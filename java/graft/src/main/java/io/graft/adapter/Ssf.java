package io.graft.adapter;

import io.graft.io.PeftSsfConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.nn.ScaleShift;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.function.Consumer;

/**
 * SSF (arXiv 2210.08823, section 3.2): the outputs of each targeted projection get a trained scale and shift, {@code y = (x
 * Wᵀ) ⊙ γ + β}. Fresh ones are 1 and 0, the base model. Norms have a trained scale by {@link LnTuning}.
 *
 * <p>PEFT does not know this method. The files are like PEFT's: {@code adapter_config.json} with the type {@code SSF}, and
 * {@code <module>.ssf_scale} [out] beside {@code <module>.ssf_shift} [out].
 */
public final class Ssf extends PeftAdapter<PeftSsfConfig> {
    private Ssf(PeftSsfConfig config, Origin origin) {
        super(config, origin);
    }

    /** Fresh scales and shifts, to be trained. */
    public static Ssf create(PeftSsfConfig config) {
        return new Ssf(config, Origin.fresh(0));
    }

    /** An adapter from a directory, to be trained further. */
    public static Ssf load(Path directory) {
        return new Ssf(PeftSsfConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Ssf frozen(Path directory) {
        return new Ssf(PeftSsfConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    public boolean mergeable() {
        return false;
    }

    @Override
    boolean servesCodes(String module) {
        return false;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        return new ScaleShift(
                vector(scope, projection, ".ssf_scale", PeftAdapter::ones),
                vector(scope, projection, ".ssf_shift", PeftAdapter::zero));
    }

    private Parameter vector(Scope scope, Projection projection, String name, Consumer<Tensor> fresh) {
        long outputs = projection.weight().n();
        Tensor zeros = scope.tensor(Memory.ADAPTER, Precision.accumulator(projection.dtype()), outputs);
        return parameter(scope, PREFIX + projection.module() + name, zeros, fresh);
    }
}
