package io.graft.adapter;

import io.graft.io.PeftBitFitConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Bias;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * BitFit (arXiv 2106.10199): only biases are trained. A Llama's projections have none, so that each target gets one, which
 * starts at zero, the base model.
 *
 * <p>PEFT does not know this method. The files are like PEFT's: {@code adapter_config.json} with the type {@code BITFIT},
 * and {@code base_model.model.<module>.bias} [out] for each target.
 */
public final class BitFit extends PeftAdapter {
    private BitFit(PeftBitFitConfig config, Path source, boolean trained) {
        super(config, source, trained);
    }

    /** Fresh biases, to be trained. */
    public static BitFit create(PeftBitFitConfig config) {
        return new BitFit(config, null, true);
    }

    /** An adapter from a directory, to be trained further. */
    public static BitFit load(Path directory) {
        return new BitFit(PeftBitFitConfig.read(directory), directory, true);
    }

    /** An adapter from a directory, without gradients. */
    public static BitFit frozen(Path directory) {
        return new BitFit(PeftBitFitConfig.read(directory), directory, false);
    }

    @Override
    public boolean mergeable() {
        return false;
    }

    @Override
    public int border(String module) {
        return 0;
    }

    @Override
    boolean servesCodes(String module) {
        return true;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String key = PREFIX + projection.module() + ".bias";
        Tensor bias = scope.tensor(
                Memory.ADAPTER,
                Precision.accumulator(projection.dtype()),
                projection.weight().n());
        if (fromFile()) {
            read(key, bias);
        }
        return new Bias(train(scope, new Parameter(key, bias)));
    }
}
