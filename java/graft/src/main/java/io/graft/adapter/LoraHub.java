package io.graft.adapter;

import io.graft.io.PeftConfig;
import io.graft.io.PeftLoraConfig;
import io.graft.nn.Parameter;
import io.graft.tensor.Context;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * LoRA adapters of one shape composed as LoRAHub does (arXiv 2307.13269, section 3.3): {@code (Σ wᵢ Bᵢ)(Σ wᵢ Aᵢ)}, with
 * weights that may be set again and again while a model runs with the result.
 */
public final class LoraHub {
    private final List<Map<String, StoredTensors.Values>> parts = new ArrayList<>();
    private final Lora adapter;

    /**
     * Reads all adapters.
     *
     * @throws IllegalArgumentException if one of them is not plain LoRA, or not of the first one's shape
     */
    public LoraHub(Context context, List<Path> folders) {
        if (folders.size() < 2) {
            throw new IllegalArgumentException("LoraHub: " + folders + " are not several adapters");
        }
        PeftLoraConfig config = PeftLoraConfig.read(folders.get(0));
        if (!config.beside().isEmpty()) {
            throw new IllegalArgumentException(
                    folders.get(0) + ": an adapter with " + config.beside() + " cannot be composed");
        }
        for (Path folder : folders) {
            PeftConfig.expectAlike(folders.get(0), folder);
            Map<String, StoredTensors.Values> tensors = StoredTensors.read(context, folder);
            if (!parts.isEmpty()
                    && !(tensors.keySet().equals(parts.get(0).keySet())
                            && tensors.entrySet().stream()
                                    .allMatch(one -> one.getValue()
                                            .sameShape(parts.get(0).get(one.getKey()))))) {
                throw new IllegalArgumentException(folder + ": its tensors are not those of " + folders.get(0));
            }
            parts.add(tensors);
        }
        adapter = Lora.frozen(folders.get(0));
    }

    /** The adapter to load a model with; until the first {@link #set} it is the first of those composed. */
    public Lora adapter() {
        return adapter;
    }

    public int size() {
        return parts.size();
    }

    /** Composes the factors with these weights. The model's {@code parametersChanged} is to be called then. */
    public void set(double... weights) {
        if (weights.length != parts.size()) {
            throw new IllegalArgumentException(
                    "LoraHub.set: " + weights.length + " weights for " + parts.size() + " adapters");
        }
        for (Parameter parameter : adapter.parameters()) {
            double[] sum = new double[(int) parameter.value().elements()];
            for (int i = 0; i < weights.length; i++) {
                float[] part = parts.get(i).get(adapter.key(parameter)).floats();
                for (int j = 0; j < sum.length; j++) {
                    sum[j] += weights[i] * part[j];
                }
            }
            parameter.value().set(sum);
        }
    }
}
