package io.graft.adapter;

import io.graft.io.PeftPromptLearningConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.PromptEncoder;
import io.graft.ops.Activation;
import io.graft.ops.Random;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

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

    /** A fresh encoder, which starts as PyTorch's layers do: the embedding N(0, 1), the others uniform in ±1/√inputs. */
    final PromptEncoder encoder(
            Scope scope, DType dtype, long seed, int tokens, String part, Activation.Kind activation, int... widths) {
        long offset = Lora.FIRST_OFFSET;
        Tensor start = scope.tensor(Memory.ADAPTER, dtype, tokens, widths[0]);
        Random.normal(scope.context(), seed, offset, 0, 1, start);
        offset += start.elements();
        Parameter embedding = train(scope, new Parameter("prompt_encoder.embedding.weight", start));
        List<Parameter> layers = new ArrayList<>();
        for (int i = 0; i + 1 < widths.length; i++) {
            double bound = 1 / Math.sqrt(widths[i]);
            Tensor weight = scope.tensor(Memory.ADAPTER, dtype, widths[i + 1], widths[i]);
            Tensor bias = scope.tensor(Memory.ADAPTER, dtype, widths[i + 1]);
            Random.uniform(scope.context(), seed, offset, -bound, bound, weight);
            offset += weight.elements();
            Random.uniform(scope.context(), seed, offset, -bound, bound, bias);
            offset += bias.elements();
            String name = "prompt_encoder." + part + 2 * i;
            layers.add(train(scope, new Parameter(name + ".weight", weight)));
            layers.add(train(scope, new Parameter(name + ".bias", bias)));
        }
        return new PromptEncoder(scope, embedding, layers, activation);
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
