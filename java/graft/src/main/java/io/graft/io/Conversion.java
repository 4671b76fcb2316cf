package io.graft.io;

import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.WeightForm;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes the tensors of one source as safetensors, alone or in a model: there they stand in place of the model's tensors of the
 * same name, and a table of codes ({@code M.quant_grid}, see {@link CodedWeights}) also in place of the dense {@code M.weight}.
 * One tensor is in memory at a time, and none changes its type; a scalar gets the shape [1].
 */
public final class Conversion {
    private static final String GRID = ".quant_grid";
    private static final String NIBBLES = ".weight_codes";

    private final TensorSource file;
    private final Checkpoint model;
    private final Map<String, TensorSource> sources = new LinkedHashMap<>();
    private final Map<String, String> names = new LinkedHashMap<>();
    private WeightForm form = WeightForm.DENSE;

    /**
     * @param model what the tensors belong into; null for none
     * @throws FormatException if they do not
     */
    public Conversion(TensorSource file, Checkpoint model) {
        this.file = file;
        this.model = model;
        if (model != null) {
            model.names().forEach(name -> sources.put(name, model));
        }
        for (String name : file.names()) {
            String target = target(name);
            if (names.put(target, name) != null) {
                throw new FormatException(file.toString(), "two tensors become '" + target + "'");
            }
            sources.put(target, file);
        }
        if (model != null) {
            names.keySet().forEach(this::expectPlace);
        }
    }

    /** Tables that were trained come under the name of their layer. */
    private String target(String name) {
        return model != null && !model.contains(name) && model.contains(name + GRID) ? name + GRID : name;
    }

    private void expectPlace(String target) {
        if (target.endsWith(NIBBLES)) {
            return;
        }
        String name = names.get(target);
        long[] shape = file.shape(name);
        if (model.contains(target)) {
            if (!Arrays.equals(shape, model.shape(target))) {
                throw refuse(name, shape, "the model has " + Arrays.toString(model.shape(target)));
            }
        } else if (target.endsWith(GRID)) {
            expectLayer(target.substring(0, target.length() - GRID.length()), shape);
        } else {
            throw refuse(name, shape, "the model has no such tensor");
        }
        if (target.endsWith(GRID)) {
            String module = target.substring(0, target.length() - GRID.length());
            form = CodedWeights.form(model.contains(target) ? model : file, module);
        }
    }

    private void expectLayer(String module, long[] grid) {
        String weight = module + ".weight";
        if (!model.contains(weight) || !file.contains(module + NIBBLES)) {
            throw refuse(module + GRID, grid, "it needs its codes, and the model's dense " + weight);
        }
        long[] dense = model.shape(weight);
        long[] codes = file.shape(module + NIBBLES);
        long pairs = Arrays.stream(codes).skip(1).reduce(1, (a, b) -> a * b);
        if (dense.length != 2 || codes[0] != dense[0] || grid[0] != dense[0] || 2 * pairs != dense[1]) {
            throw refuse(
                    module + GRID,
                    grid,
                    "with codes " + Arrays.toString(codes) + " it is no form of " + weight + " "
                            + Arrays.toString(dense));
        }
        sources.remove(weight);
    }

    private FormatException refuse(String name, long[] shape, String problem) {
        return new FormatException(file.toString(), "tensor '" + name + "' " + Arrays.toString(shape) + ": " + problem);
    }

    /** How the linear layers of what is written are stored: those of the source, where it has any as codes. */
    public WeightForm form() {
        return form;
    }

    /** Writes files and, in a model, its configuration; the directory exists and is empty. */
    public void write(Context context, Path directory, LlamaConfig config) {
        List<StoredTensor> stored = new ArrayList<>();
        sources.forEach((name, source) -> {
            String own = own(name, source);
            long[] shape = source.shape(own);
            stored.add(new StoredTensor(name, source.dtype(own), shape.length == 0 ? new long[] {1} : shape));
        });
        try (CheckpointWriter writer = new CheckpointWriter(directory, stored, CheckpointWriter.DEFAULT_FILE_BYTES)) {
            for (StoredTensor each : stored) {
                TensorSource source = sources.get(each.name());
                try (Scope scope = context.scope()) {
                    Tensor value = scope.tensor(Memory.WORKSPACE, each.dtype(), each.shape());
                    source.read(own(each.name(), source), value);
                    writer.write(each.name(), value);
                }
            }
            writer.finish(config == null ? null : config.toJson(form));
        }
    }

    private String own(String name, TensorSource source) {
        return source == file ? names.get(name) : name;
    }
}
