package io.graft.cli;

import io.graft.adapter.Adapter;
import io.graft.adapter.Full;
import io.graft.io.Checkpoint;
import io.graft.io.CodedWeights;
import io.graft.io.LlamaConfig;
import io.graft.io.TensorSource;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Weight;
import java.nio.file.Path;

/** A model from a folder, with the adapter of another folder where one is named; closes with everything it holds. */
public final class OpenModel implements AutoCloseable {
    private final Scope scope;
    private final LlamaConfig config;
    private final Llama llama;
    private final boolean sketchedHere;

    private OpenModel(Scope scope, LlamaConfig config, Llama llama, TensorSource stored) {
        this.scope = scope;
        this.config = config;
        this.llama = llama;
        this.sketchedHere = llama.projections().stream()
                .anyMatch(layer -> layer.table() != null
                        && (stored == null
                                || CodedWeights.form(stored, layer.module()).kind() == Weight.Kind.DENSE));
    }

    /**
     * Opens a model as it was saved.
     *
     * @param adapter folder of an adapter, or null
     * @param base how the linear layers are stored
     * @param training whether there will be gradients: of the adapter or, without one, of the whole model
     */
    public static OpenModel open(
            Context context, Path model, Path adapter, DType dtype, Quantization base, boolean training) {
        GraftCommand.existingFolder("--model", model);
        Adapter loaded = null;
        if (adapter != null) {
            loaded = Method.load(GraftCommand.existingFolder("--adapter", adapter), training);
        } else if (training) {
            loaded = new Full();
        }
        return open(context, model, dtype, Llama.Options.training(loaded).withBase(base.kind()));
    }

    public static OpenModel open(Context context, Path model, DType dtype, Llama.Options options) {
        LlamaConfig config = LlamaConfig.read(GraftCommand.existingFolder("--model", model));
        Scope scope = context.scope();
        try (Checkpoint checkpoint = Checkpoint.open(model)) {
            return new OpenModel(scope, config, Llama.load(scope, checkpoint, config, dtype, options), checkpoint);
        } catch (RuntimeException | Error failure) {
            scope.close();
            throw failure;
        }
    }

    /** A model of random numbers. */
    public static OpenModel create(Context context, LlamaConfig config, DType dtype, long seed, Llama.Options options) {
        Scope scope = context.scope();
        try {
            return new OpenModel(scope, config, Llama.create(scope, config, dtype, seed, options), null);
        } catch (RuntimeException | Error failure) {
            scope.close();
            throw failure;
        }
    }

    public LlamaConfig config() {
        return config;
    }

    public Llama llama() {
        return llama;
    }

    /** Says so where dense layers became sketches without calibration. */
    public void remark(Output out) {
        if (sketchedHere) {
            out.note("dense layers became sketches without calibration; `graft sketch` makes better ones");
        }
    }

    /** Says so where a sequence of so many tokens is longer than the model was made for. */
    void remarkLength(Output out, String option, long tokens) {
        if (tokens > config.maxPositions()) {
            out.note(
                    "%s makes sequences of up to %d tokens; the model was made for %d (max_position_embeddings)",
                    option, tokens, config.maxPositions());
        }
    }

    /** Numbers of the base model. */
    public long parameters() {
        return llama.size();
    }

    /** Numbers that are trained. */
    public long trainedParameters() {
        return llama.trainable().stream().mapToLong(p -> p.value().elements()).sum();
    }

    @Override
    public void close() {
        llama.close();
        scope.close();
    }
}
