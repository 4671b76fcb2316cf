package io.graft.train;

import io.graft.adapter.Adapter;
import io.graft.io.SafetensorsFile;
import io.graft.io.SafetensorsWriter;
import io.graft.nn.Parameter;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * A training run on disk: masters, optimiser state, step, data position and dropout seed in one safetensors file. The
 * file is replaced atomically, so that a process killed at any moment leaves a whole one.
 *
 * <p>Tensors: {@code parameter/<name>}, {@code m/<name>}, {@code v/<name>}, {@code directions/<name>},
 * {@code adapter/<name>}. The base model of an adapter is not in it.
 */
public final class TrainingCheckpoint {
    private static final String FORMAT = "graft-training-checkpoint";
    private static final String VERSION = "1";
    private static final String STATE = "adapter/";

    private TrainingCheckpoint() {}

    static void save(Path file, AdamW optimiser, Adapter adapter, long position, long dropoutSeed) {
        Map<String, Tensor> tensors = new HashMap<>();
        for (int i = 0; i < optimiser.size(); i++) {
            Parameter parameter = optimiser.parameter(i);
            tensors.put("parameter/" + parameter.name(), parameter.master());
            tensors.put("m/" + parameter.name(), optimiser.m(i));
            tensors.put("v/" + parameter.name(), optimiser.v(i));
            if (optimiser.directions(i) != null) {
                tensors.put("directions/" + parameter.name(), optimiser.directions(i));
            }
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
    static long restore(Path file, AdamW optimiser, Adapter adapter, long dropoutSeed) {
        try (SafetensorsFile source = SafetensorsFile.open(file)) {
            Map<String, String> metadata = source.metadata();
            expect(file, "format", metadata.get("format"), FORMAT);
            expect(file, "version", metadata.get("version"), VERSION);
            expect(file, "dropout_seed", metadata.get("dropout_seed"), Long.toString(dropoutSeed));
            expect(
                    file,
                    "number of tensors",
                    Integer.toString(source.names().size()),
                    Integer.toString(3 * optimiser.size()
                            + projected(optimiser)
                            + adapter.state().size()));
            for (int i = 0; i < optimiser.size(); i++) {
                Parameter parameter = optimiser.parameter(i);
                long[] shape = parameter.master().shape();
                String name = "parameter/" + parameter.name();
                expect(file, "shape of " + name, Arrays.toString(source.shape(name)), Arrays.toString(shape));
                String moment = "m/" + parameter.name();
                long[] momentShape = optimiser.m(i).shape();
                expect(file, "shape of " + moment, Arrays.toString(source.shape(moment)), Arrays.toString(momentShape));
            }
            long step = number(file, metadata, "step");
            long position = number(file, metadata, "position");
            adapter.restoring(name -> source.shape(STATE + name));
            for (int i = 0; i < optimiser.size(); i++) {
                Parameter parameter = optimiser.parameter(i);
                source.read("parameter/" + parameter.name(), parameter.master());
                source.read("m/" + parameter.name(), optimiser.m(i));
                source.read("v/" + parameter.name(), optimiser.v(i));
                if (optimiser.directions(i) != null) {
                    source.read("directions/" + parameter.name(), optimiser.directions(i));
                }
                parameter.refreshValue();
            }
            adapter.state().forEach((name, tensor) -> source.read(STATE + name, tensor));
            optimiser.restore(step);
            return position;
        }
    }

    private static int projected(AdamW optimiser) {
        int count = 0;
        for (int i = 0; i < optimiser.size(); i++) {
            count += optimiser.directions(i) == null ? 0 : 1;
        }
        return count;
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
