package io.graft.cli;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.graft.io.AtomicFiles;
import io.graft.tensor.Weight;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
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

    RunSettings with(Map<String, Object> options) {
        options.forEach((option, value) -> with(option, text(value)));
        return this;
    }

    private static Object text(Object value) {
        if (value instanceof int[] numbers) {
            return Arrays.toString(numbers);
        }
        return value instanceof Object[] several ? Arrays.toString(several) : value;
    }

    void write(Path folder) throws IOException {
        AtomicFiles.write(folder.resolve(FILE), JSON.writeValueAsString(values) + "\n");
    }

    /** Whether the folder holds a run. */
    static boolean in(Path folder) {
        return Files.exists(folder.resolve(FILE));
    }

    /** A remark where the run that made an adapter trained over other numbers of the base than it is used with. */
    static void remarkBase(Output out, Path adapter, Path model, String option, Quantization base) {
        Path file = adapter.resolve(FILE);
        if (!Files.exists(file) || ModelFiles.stored(model) != Weight.Kind.DENSE) {
            return;
        }
        String trained = read(file).get("--quantize");
        if (trained != null && !trained.equals(base.toString())) {
            out.note(
                    "%s was trained with --quantize %s; with %s %s it does not do the same",
                    adapter, trained, option, base);
            out.event("other_base", "adapter", adapter.toString(), "trained", trained, "used", base.toString());
        }
    }

    private static Map<String, String> read(Path file) {
        try {
            return JSON.readValue(file.toFile(), new TypeReference<>() {});
        } catch (IOException failure) {
            throw new InputException(file + " is no record of a run: " + failure.getMessage());
        }
    }

    /** Complains if the folder holds a run with other options. */
    void expectIn(Path folder) {
        Path file = folder.resolve(FILE);
        if (!Files.exists(file)) {
            throw new InputException("--resume: " + file + " is missing, so there is no run to continue in " + folder);
        }
        Map<String, String> found = read(file);
        values.forEach((option, value) -> {
            if (!Objects.equals(found.get(option), value)) {
                throw new InputException("--resume: the run in " + folder + " has " + option + " "
                        + said(found.get(option)) + ", not " + said(value));
            }
        });
    }

    private static String said(String value) {
        return value == null || value.equals("null") ? "not given" : value;
    }
}
