package io.graft.train;

import io.graft.adapter.Adapter;
import io.graft.io.SafetensorsFile;
import io.graft.io.SafetensorsWriter;
import io.graft.nn.Parameter;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A training run on disk: masters, optimiser state, step, data position and dropout seed in one safetensors file. The
 * file is replaced atomically, so that a process killed at any moment leaves a whole one.
 *
 * <p>Tensors: {@code parameter/<name>}, {@code adapter/<name>}, and what the optimiser calls its own, such as
 * {@code m/<name>} and {@code v/<name>}. The base model of an adapter is not in it.
 */
public final class TrainingCheckpoint {
    private static final String FORMAT = "graft-training-checkpoint";
    private static final String VERSION = "1";
    private static final String PARAMETER = "parameter/";
    private static final String STATE = "adapter/";

    private TrainingCheckpoint() {}

    static void save(Path file, Optimiser optimiser, Adapter adapter, long position, long dropoutSeed) {
        Map<String, Tensor> tensors = new HashMap<>(optimiser.state());
        for (Parameter parameter : optimiser.parameters()) {
            tensors.put(PARAMETER + parameter.name(), parameter.master());
        }
        adapter.state().forEach((name, tensor) -> tensors.put(STATE + name, tensor));
        SafetensorsWriter.write(
                file,
                tensors,
                Map.of(
                        "format", FORMAT,
                        "version", VERSION,
                        "step", Long.toString(optimiser.steps()),
                        "position", Long.toString(position),
                        "dropout_seed", Long.toString(dropoutSeed)));
    }

    /** Fills masters and optimiser; returns the data position. Nothing is changed when the file does not fit. */
    static long restore(Path file, Optimiser optimiser, Adapter adapter, long dropoutSeed) {
        try (SafetensorsFile source = SafetensorsFile.open(file)) {
            Map<String, String> metadata = source.metadata();
            List<Parameter> parameters = optimiser.parameters();
            Map<String, Tensor> moments = optimiser.state();
            expect(file, "format", metadata.get("format"), FORMAT);
            expect(file, "version", metadata.get("version"), VERSION);
            expect(file, "dropout_seed", metadata.get("dropout_seed"), Long.toString(dropoutSeed));
            expect(
                    file,
                    "number of tensors",
                    Integer.toString(source.names().size()),
                    Integer.toString(
                            parameters.size() + moments.size() + adapter.state().size()));
            for (Parameter parameter : parameters) {
                expectShape(file, source, PARAMETER + parameter.name(), parameter.master());
            }
            moments.forEach((name, tensor) -> expectShape(file, source, name, tensor));
            long step = number(file, metadata, "step");
            long position = number(file, metadata, "position");
            adapter.restoring(name -> source.shape(STATE + name));
            for (Parameter parameter : parameters) {
                source.read(PARAMETER + parameter.name(), parameter.master());
                parameter.refreshValue();
            }
            moments.forEach(source::read);
            adapter.state().forEach((name, tensor) -> source.read(STATE + name, tensor));
            optimiser.restore(step);
            return position;
        }
    }

    private static void expectShape(Path file, SafetensorsFile source, String name, Tensor tensor) {
        String shape = Arrays.toString(tensor.shape());
        expect(file, "shape of " + name, Arrays.toString(source.shape(name)), shape);
    }

    private static long number(Path file, Map<String, String> metadata, String key) {
        String text = metadata.get(key);
        try {
            return Long.parseLong(text);
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException(file + ": metadata '" + key + "' is " + text + ", not a number", e);
        }
    }

    private static void expect(Path file, String what, String found, String expected) {
        if (!expected.equals(found)) {
            throw new IllegalArgumentException(file + ": " + what + " is " + found + ", this run has " + expected);
        }
    }
}
