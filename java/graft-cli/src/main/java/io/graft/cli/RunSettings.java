package io.graft.cli;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.graft.io.AtomicFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * The options that a training run was started with, kept beside its checkpoint: a resume with other ones would not be
 * the same run, and is refused with the name of the option that differs.
 */
final class RunSettings {
    /** The file in a run's folder. */
    static final String FILE = "training.json";

    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

    private final Map<String, String> values = new LinkedHashMap<>();

    RunSettings with(String option, Object value) {
        values.put(option, String.valueOf(value));
        return this;
    }

    void write(Path folder) throws IOException {
        AtomicFiles.write(folder.resolve(FILE), JSON.writeValueAsString(values) + "\n");
    }

    /** Whether the folder holds a run. */
    static boolean in(Path folder) {
        return Files.exists(folder.resolve(FILE));
    }

    /** Complains if the folder holds a run with other options. */
    void expectIn(Path folder) throws IOException {
        Path file = folder.resolve(FILE);
        if (!Files.exists(file)) {
            throw new InputException("--resume: " + file + " is missing, so there is no run to continue in " + folder);
        }
        Map<String, String> found = JSON.readValue(file.toFile(), new TypeReference<>() {});
        values.forEach((option, value) -> {
            if (!Objects.equals(found.get(option), value)) {
                throw new InputException("--resume: the run in " + folder + " has " + option + " " + found.get(option)
                        + ", not " + value);
            }
        });
    }
}
