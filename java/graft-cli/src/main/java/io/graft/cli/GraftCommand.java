package io.graft.cli;

import io.graft.tensor.Context;
import io.graft.tensor.Device;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/**
 * What every command shares: {@code --help}, {@code --json}, {@code --threads}, and how it complains. Commands of other
 * modules are found by {@link java.util.ServiceLoader}.
 */
public abstract class GraftCommand implements Callable<Integer> {
    @Spec
    CommandSpec spec;

    @Option(
            names = {"-h", "--help"},
            usageHelp = true,
            description = "Show this help and exit.")
    boolean help;

    @Option(names = "--json", description = "Write one JSON object per line on stdout, for programs.")
    boolean json;

    @Option(
            names = "--threads",
            paramLabel = "N",
            description = "Threads of the native library (default: one per core).")
    protected Integer threads;

    @Option(names = "--stack-trace", description = "On failure also print the Java stack trace.")
    boolean stackTrace;

    private Output output;

    /** The work; a return value other than 0 is the exit status. */
    protected abstract int execute() throws Exception;

    @Override
    public final Integer call() throws Exception {
        positive("--threads", threads);
        return execute();
    }

    protected final Output out() {
        if (output == null) {
            output = new Output(spec.commandLine().getOut(), spec.commandLine().getErr(), json);
        }
        return output;
    }

    /** The words of the command line, the name of the command first. */
    protected final List<String> words() {
        CommandLine root = spec.root().commandLine();
        return root.getParseResult() == null
                ? List.of(spec.name())
                : root.getParseResult().originalArgs();
    }

    final Context openContext() {
        return openContext(Device.CPU);
    }

    final Context openContext(Device device) {
        if (!device.isCpu() && threads != null) {
            throw usage("--threads is for --device cpu, got " + device);
        }
        return threads == null ? Context.on(device) : Context.cpu(threads);
    }

    /** The names of those options on the command line that an object like this one has. */
    final Stream<String> given(Object options) {
        Map<String, OptionSpec> own = CommandSpec.forAnnotatedObject(options).optionsMap();
        return spec.commandLine().getParseResult().matchedOptions().stream()
                .map(OptionSpec::longestName)
                .filter(own::containsKey);
    }

    protected final ParameterException usage(String message) {
        return new ParameterException(spec.commandLine(), message);
    }

    protected final void positive(String option, Number value) {
        if (value != null && !(value.doubleValue() > 0)) {
            throw usage(option + " must be positive, got " + value);
        }
        finite(option, value);
    }

    final void notNegative(String option, Number value) {
        if (value != null && !(value.doubleValue() >= 0)) {
            throw usage(option + " must not be negative, got " + value);
        }
        finite(option, value);
    }

    private void finite(String option, Number value) {
        if (value != null && Double.isInfinite(value.doubleValue())) {
            throw usage(option + " must be finite, got " + value);
        }
    }

    final void share(String option, double value) {
        if (!(value > 0 && value <= 1)) {
            throw usage(option + " must be in (0, 1], got " + value);
        }
    }

    /** A folder that must exist; a missing input is a failure of the run, not of the usage. */
    static Path existingFolder(String what, Path path) {
        if (!Files.exists(path)) {
            throw new InputException(what + " does not exist: " + path);
        }
        if (!Files.isDirectory(path)) {
            throw new InputException(what + " is not a directory: " + path);
        }
        return path;
    }

    protected static Path existing(String what, Path path) {
        if (!Files.exists(path)) {
            throw new InputException(what + " does not exist: " + path);
        }
        return path;
    }
}
