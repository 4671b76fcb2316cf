package io.graft.adapter;

import io.graft.io.PeftLnTuningConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.Scope;
import java.nio.file.Path;

/** LN-tuning (arXiv 2312.11420) as PEFT stores it: the weights of the norms are trained and nothing else. */
public final class LnTuning extends PeftAdapter<PeftLnTuningConfig> {
    private LnTuning(PeftLnTuningConfig config, Origin origin) {
        super(config, origin);
    }

    /** Starts at the base model's norms. */
    public static LnTuning create(PeftLnTuningConfig config) {
        return new LnTuning(config, Origin.fresh(0));
    }

    /** An adapter from a directory, to be trained further. */
    public static LnTuning load(Path directory) {
        return new LnTuning(PeftLnTuningConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static LnTuning frozen(Path directory) {
        return new LnTuning(PeftLnTuningConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        throw new IllegalStateException("LN-tuning attaches to no projection");
    }

    @Override
    public String key(Parameter parameter) {
        String module = module(parameter);
        return config.isNorm(module)
                ? PREFIX + module + ".ln_tuning_layers" + parameter.name().substring(module.length())
                : super.key(parameter);
    }
}
