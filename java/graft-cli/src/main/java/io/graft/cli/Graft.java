package io.graft.cli;

import io.graft.tensor.Device;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.ServiceLoader;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/**
 * The program {@code graft}: one class per command, each a thin layer over the library.
 *
 * <p>Exit status: 0 success, 1 failure (the message on stderr names the thing), 2 bad usage, 130 interrupted after
 * saving. With {@code --json} every line on stdout is one JSON object with a field {@code event}.
 */
@Command(
        name = "graft",
        description = "Parameter-efficient fine-tuning on the JVM, with native kernels.",
        subcommands = {
            DemoCommand.class,
            FinetuneCommand.class,
            CompareCommand.class,
            SketchCommand.class,
            QuantizeCommand.class,
            CombineCommand.class,
            ConvertCommand.class,
            LaplaceCommand.class,
            MergeCommand.class,
            GenerateCommand.class,
            EvalCommand.class,
            PlanCommand.class,
            InfoCommand.class,
            TraceCommand.class
        },
        footer = {
            "",
            "`graft COMMAND --help` explains a command. `graft bench`, in a source tree, measures ops beside their peers."
        },
        versionProvider = Version.class)
public final class Graft implements Runnable {
    @CommandLine.Spec
    CommandLine.Model.CommandSpec spec;

    @Option(
            names = {"-h", "--help"},
            usageHelp = true,
            description = "Show this help and exit.")
    boolean help;

    @Option(
            names = {"-V", "--version"},
            versionHelp = true,
            description = "Show the version and exit.")
    boolean version;

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "a command is missing");
    }

    /** The command line with the exit codes and error texts described above. */
    public static CommandLine commandLine() {
        CommandLine line = new CommandLine(new Graft());
        ServiceLoader.load(GraftCommand.class).forEach(line::addSubcommand);
        line.setCaseInsensitiveEnumValuesAllowed(true);
        line.registerConverter(Device.class, Graft::device);
        line.setUsageHelpAutoWidth(true);
        line.setParameterExceptionHandler((failure, arguments) -> {
            CommandLine command = failure.getCommandLine();
            String name = command.getCommandSpec().qualifiedName();
            command.getErr().println(name + ": " + failure.getMessage());
            CommandLine.UnmatchedArgumentException.printSuggestions(failure, command.getErr());
            command.getErr().println("Try `" + name + " --help`.");
            return CommandLine.ExitCode.USAGE;
        });
        line.setExecutionExceptionHandler((failure, command, parsed) -> {
            String name = command.getCommandSpec().qualifiedName();
            command.getErr().println(name + ": " + Failures.describe(failure));
            boolean trace = command.getCommand() instanceof GraftCommand failed && failed.stackTrace;
            if (trace || Failures.isDefect(failure)) {
                failure.printStackTrace(command.getErr());
            }
            return CommandLine.ExitCode.SOFTWARE;
        });
        return line;
    }

    private static Device device(String text) {
        try {
            return Device.parse(text);
        } catch (IllegalArgumentException unknown) {
            throw new CommandLine.TypeConversionException(unknown.getMessage());
        }
    }

    public static void main(String[] arguments) {
        CommandLine line = commandLine();
        line.setOut(new PrintWriter(System.out, true, StandardCharsets.UTF_8));
        line.setErr(new PrintWriter(System.err, true, StandardCharsets.UTF_8));
        Interruption.enable();
        int status = line.execute(arguments);
        Interruption.finished();
        System.exit(status);
    }
}
