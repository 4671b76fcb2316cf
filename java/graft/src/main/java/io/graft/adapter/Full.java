package io.graft.adapter;

import io.graft.io.SafetensorsWriter;
import io.graft.nn.Adaptable;
import io.graft.nn.Parameter;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Full fine-tuning: every parameter of the base model is trained, with an fp32 master where compute is narrower. */
public final class Full implements Adapter {
    private List<Parameter> parameters = List.of();

    @Override
    public int border(String module) {
        return 0;
    }

    @Override
    public void attach(Adaptable model) {
        if (!parameters.isEmpty()) {
            throw new IllegalStateException("Full.attach: already attached to a model");
        }
        parameters = List.copyOf(model.parameters());
        for (Parameter parameter : parameters) {
            parameter.train(model.scope());
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
