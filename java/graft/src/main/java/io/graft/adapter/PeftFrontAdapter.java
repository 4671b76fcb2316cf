package io.graft.adapter;

import io.graft.io.PeftPromptLearningConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.PromptEncoder;
import io.graft.ops.Activation;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/** An adapter that stands before the sequence and changes no module; its file has one tensor, {@code prompt_embeddings}. */
abstract class PeftFrontAdapter<C extends PeftPromptLearningConfig> extends PeftAdapter<C> {
    static final String KEY = "prompt_embeddings";

    PeftFrontAdapter(C config, Origin origin) {
        super(config, origin);
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
            Scope scope, DType dtype, int tokens, String part, Activation.Kind activation, int... widths) {
        Tensor start = scope.tensor(Memory.ADAPTER, dtype, tokens, widths[0]);
        Parameter embedding = parameter(scope, "prompt_encoder.embedding.weight", start, normal(1));
        List<Parameter> layers = new ArrayList<>();
        for (int i = 0; i + 1 < widths.length; i++) {
            Tensor weight = scope.tensor(Memory.ADAPTER, dtype, widths[i + 1], widths[i]);
            Tensor bias = scope.tensor(Memory.ADAPTER, dtype, widths[i + 1]);
            String name = "prompt_encoder." + part + 2 * i;
            layers.add(parameter(scope, name + ".weight", weight, kaiming(widths[i])));
            layers.add(parameter(scope, name + ".bias", bias, kaiming(widths[i])));
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
}
