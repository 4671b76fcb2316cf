package io.graft.adapter;

import io.graft.io.PeftIa3Config;
import io.graft.nn.Attachment;
import io.graft.nn.Projection;
import io.graft.nn.Rescale;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * (IA)³ (arXiv 2205.05638) as PEFT configures and stores it: a vector for each targeted projection scales its outputs or,
 * where the projection is one of {@code feedforward_modules}, its inputs. Fresh vectors are 1, the base model.
 */
public final class Ia3 extends PeftAdapter<PeftIa3Config> {
    private Ia3(PeftIa3Config config, Origin origin) {
        super(config, origin);
    }

    /** A fresh adapter, to be trained. */
    public static Ia3 create(PeftIa3Config config) {
        return new Ia3(config, Origin.fresh(0));
    }

    /** An adapter from a directory, to be trained further. */
    public static Ia3 load(Path directory) {
        return new Ia3(PeftIa3Config.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Ia3 frozen(Path directory) {
        return new Ia3(PeftIa3Config.read(directory), Origin.of(directory, false));
    }

    @Override
    boolean servesCodes(String module) {
        return false;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        boolean inputs = config.feedForward(projection.module());
        String key = PREFIX + projection.module() + ".ia3_l";
        Tensor scales = inputs
                ? wide(scope, projection, 1, projection.weight().k())
                : wide(scope, projection, projection.weight().n(), 1);
        return new Rescale(parameter(scope, key, scales, PeftAdapter::ones), inputs);
    }
}
