package io.graft.adapter;

import io.graft.io.SafetensorsWriter;
import io.graft.nn.Adaptable;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.ops.Random;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/**
 * Full fine-tuning: the base model's own parameters are trained, all or chosen ones, with an fp32 master where compute is
 * narrower.
 */
public final class Full implements Adapter {
    private final Predicate<String> chosen;
    private List<Parameter> parameters = List.of();
    private boolean masters = true;
    private double kept = 1;
    private long seed;
    private long steps;

    /** Trains every parameter. */
    public Full() {
        this(name -> true);
    }

    /** Trains the parameters whose name in the checkpoint is chosen, e.g. {@code model.norm.weight}. */
    public Full(Predicate<String> chosen) {
        this.chosen = chosen;
    }

    /**
     * Child-tuning without a task (arXiv 2109.05687, section 3.1, F): each step moves by a share of the gradient's entries,
     * drawn anew and divided by that share.
     *
     * @param share probability that an entry is kept
     */
    public Full withGradientMask(double share, long maskSeed) {
        if (!(share > 0 && share <= 1)) {
            throw new IllegalArgumentException("Full: the kept share of gradients is " + share + ", must be in (0, 1]");
        }
        kept = share;
        seed = maskSeed;
        return this;
    }

    /**
     * Leaves parameters of bf16 without masters, which saves 4 bytes for each weight: AdamW moves them in fp32 and rounds at
     * random, right in the mean (stochastic rounding, arXiv 2010.06192, section 4). Other dtypes are trained as ever.
     */
    public Full withoutMasters() {
        masters = false;
        return this;
    }

    @Override
    public boolean trainsWithoutGradients() {
        return kept == 1;
    }

    /** Masks the gradients, and adds nothing to the loss. */
    @Override
    public double regularise() {
        long offset = 0;
        for (int i = 0; kept < 1 && i < parameters.size(); i++) {
            Tensor gradient = parameters.get(i).gradient();
            Random.keep(gradient.scope().context(), Lora.mix(seed + steps), offset, kept, gradient);
            offset += gradient.elements();
        }
        return 0;
    }

    @Override
    public void stepped(OptimiserStep step) {
        steps = step.number();
    }

    @Override
    public void restored(long done) {
        steps = done;
    }

    @Override
    public void attach(Adaptable model) {
        if (!parameters.isEmpty()) {
            throw new IllegalStateException("Full.attach: already attached to a model");
        }
        for (Projection projection : model.projections()) {
            if (projection.parameter() == null && chosen.test(projection.name())) {
                throw new IllegalArgumentException("Full.attach: " + projection.name() + " is "
                        + projection.weight().kind() + ", which has no gradient; load the base dense");
            }
        }
        parameters = model.parameters().stream()
                .filter(parameter -> chosen.test(parameter.name()))
                .map(parameter ->
                        masters ? parameter.train(model.scope()) : parameter.trainWithoutMaster(model.scope()))
                .toList();
        if (parameters.isEmpty()) {
            throw new IllegalArgumentException("Full.attach: no parameter of the model is chosen");
        }
    }

    @Override
    public List<Parameter> parameters() {
        return parameters;
    }

    @Override
    public void changed() {}

    @Override
    public void merge() {}

    /** Writes the masters, or what has none, as model.safetensors; {@code Llama.save} writes a whole model. */
    @Override
    public void save(Path directory) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        for (Parameter parameter : parameters) {
            tensors.put(parameter.name(), parameter.best());
        }
        SafetensorsWriter.write(directory.resolve("model.safetensors"), tensors, SafetensorsWriter.PYTORCH);
    }
}
