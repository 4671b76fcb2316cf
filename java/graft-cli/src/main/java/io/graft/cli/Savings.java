package io.graft.cli;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;

/**
 * Options with which a run would take less memory: the command line is planned again with each of them, and with all that help.
 * What the user has named stays as it is.
 */
final class Savings {
    /** They cost time, exact moments or masters, or the limit of the gradient's norm; what is trained stays. */
    private static final List<List<String>> OPTIONS = List.of(
            List.of("--gradient-checkpointing"),
            List.of("--optimizer", "adamw_8bit"),
            List.of("--optimizer-in-backward", "--clip", "0"),
            List.of("--stochastic-rounding"));

    /** why: for less nobody changes a run. */
    private static final double LEAST = 0.02;

    /**
     * @param options in the words of the command line
     * @param peak bytes that the run then takes at most
     */
    record Saving(List<String> options, long peak) {
        String words() {
            return String.join(" ", options);
        }
    }

    private Savings() {}

    /**
     * What would save at least 2 %, the most first; last all of them together, where there are several.
     *
     * @param words of a command line that plans, whose run takes {@code peak} bytes at most with a method
     */
    static List<Saving> of(List<String> words, Method method, long peak) {
        List<Saving> savings = new ArrayList<>();
        for (List<String> options : OPTIONS) {
            if (!named(words, options)) {
                long less = peak(words, options, method);
                if (less <= (1 - LEAST) * peak) {
                    savings.add(new Saving(options, less));
                }
            }
        }
        savings.sort(Comparator.comparingLong(Saving::peak));
        if (savings.size() > 1) {
            List<String> all = savings.stream()
                    .flatMap(saving -> saving.options().stream())
                    .toList();
            savings.add(new Saving(all, peak(words, all, method)));
        }
        return savings;
    }

    private static boolean named(List<String> words, List<String> options) {
        return words.stream()
                .filter(word -> word.startsWith("--"))
                .map(word -> word.replaceAll("=.*", ""))
                .anyMatch(options::contains);
    }

    /** What the run would take; endless where the options do not go with the others. */
    private static long peak(List<String> words, List<String> options, Method method) {
        List<String> more = new ArrayList<>(words);
        more.addAll(options);
        try {
            CommandLine.ParseResult parsed = Graft.commandLine().parseArgs(more.toArray(String[]::new));
            return ((PlanCommand) parsed.subcommand().commandSpec().userObject()).peak(method);
        } catch (ParameterException | IllegalArgumentException | UnsupportedOperationException unfit) {
            return Long.MAX_VALUE;
        }
    }
}
