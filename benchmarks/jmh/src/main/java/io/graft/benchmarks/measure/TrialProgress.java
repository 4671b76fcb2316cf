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
 * @param calls that all contenders together have made in rounds, in the count of {@link Forecast.Duration#calls}; 0 while they
 *     are made, which takes a time that no plan knows
 * @param last what was done last, or is being made; empty before anything is
 */
public record TrialProgress(double calls, String last) {
    public static final String PROPERTY = "graft.bench.progress";

    private static String making = "";

    private TrialProgress and(String line) {
        int space = line.indexOf(' ');
        return new TrialProgress(calls + Double.parseDouble(line.substring(0, space)), line.substring(space + 1));
    }

    /** A contender is made from now on. */
    static void making(String contender) {
        making = "making " + contender;
        say(0, making);
    }

    /** So many tensors of the contender that is being made have their numbers. */
    public static void filled(int tensors, int all) {
        say(0, making + ", " + tensors + " of " + all + " tensors");
    }

    /** A contender is there and has made its first calls. */
    static void ready(String contender) {
        say(0, contender + " is ready");
    }

    /** A round is done, in which contenders made so many samples. */
    static void round(int number, int samples) {
        say(samples, "round " + number);
    }

    private static void say(int calls, String what) {
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
