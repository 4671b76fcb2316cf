package io.graft.adapter;

import io.graft.io.PeftPromptLearningConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/** An adapter that stands before the sequence and changes no module; its file has one tensor, {@code prompt_embeddings}. */
abstract class PeftFrontAdapter extends PeftAdapter {
    static final String KEY = "prompt_embeddings";

    PeftFrontAdapter(PeftPromptLearningConfig config, Path source, boolean trained) {
        super(config, source, trained);
    }

    /** The trained rows, from the file where there is one. */
    final Parameter rows(Scope scope, DType dtype, long count, long width) {
        Tensor rows = scope.tensor(Memory.ADAPTER, dtype, count, width);
        if (fromFile()) {
            read(KEY, rows);
        }
        return train(scope, new Parameter(KEY, rows));
    }

    @Override
    public final int border(String module) {
        return 0;
    }

    @Override
    final Attachment attachment(Scope scope, Projection projection) {
        throw new IllegalStateException("virtual tokens attach to no projection");
    }

    @Override
    public final String key(Parameter parameter) {
        return parameter.name();
    }

    /** Refused: what stands before the sequence is in no weight. */
    @Override
    public boolean mergeable() {
        return false;
    }

    @Override
    public final void merge() {
        throw new UnsupportedOperationException(getClass().getSimpleName()
                + ".merge: virtual tokens are in no weight; keep the adapter beside the model");
    }
}
