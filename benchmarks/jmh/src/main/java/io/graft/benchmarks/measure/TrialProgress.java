package io.graft.benchmarks.measure;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;

/**
 * How far a trial is, told to the process that asked for it: a line for each part that is done, in a file where
 * {@code -Dgraft.bench.progress=FILE} names one.
 *
 * @param calls that all contenders together have made by then, in the count of {@link Forecast#calls}
 * @param last what was done last; empty before anything is
 */
public record TrialProgress(double calls, String last) {
    public static final String PROPERTY = "graft.bench.progress";

    private TrialProgress and(String line) {
        int space = line.indexOf(' ');
        return new TrialProgress(calls + Double.parseDouble(line.substring(0, space)), line.substring(space + 1));
    }

    /** Writes down what was done, and how many calls it was. */
    static void say(int calls, String what) {
        String file = System.getProperty(PROPERTY);
        if (file == null) {
            return;
        }
        try {
            Files.writeString(
                    Path.of(file), calls + " " + what + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        } catch (IOException failure) {
            throw new UncheckedIOException("cannot write " + file, failure);
        }
    }

    /** The name of the trial, and what was done last. */
    public String after(String name) {
        return last.isEmpty() ? name : name + ", " + last;
    }

    /** What has been written there by now. */
    public static TrialProgress read(Path file) throws IOException {
        TrialProgress progress = new TrialProgress(0, "");
        String text = Files.readString(file);
        // why: the last line may be half written.
        List<String> lines =
                text.substring(0, text.lastIndexOf('\n') + 1).lines().toList();
        for (String line : lines) {
            progress = progress.and(line);
        }
        return progress;
    }
}
