package io.graft.adapter;

import io.graft.io.SafetensorsWriter;
import io.graft.nn.Adaptable;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
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

    /** Trains every parameter. */
    public Full() {
        this(name -> true);
    }

    /** Trains the parameters whose name in the checkpoint is chosen, e.g. {@code model.norm.weight}. */
    public Full(Predicate<String> chosen) {
        this.chosen = chosen;
    }

    @Override
    public int border(String module) {
        return 0;
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
                .map(parameter -> parameter.train(model.scope()))
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

    /** Writes the masters as model.safetensors; {@code Llama.save} writes a whole model. */
    @Override
    public void save(Path directory) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        for (Parameter parameter : parameters) {
            tensors.put(parameter.name(), parameter.best());
        }
        SafetensorsWriter.write(directory.resolve("model.safetensors"), tensors, SafetensorsWriter.PYTORCH);
    }
}
