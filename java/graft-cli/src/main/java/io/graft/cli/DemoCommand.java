package io.graft.cli;

import io.graft.cli.demo.Demo;
import io.graft.cli.demo.DemoSettings;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Set;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code graft demo}: the whole path on real text; {@link Demo} does it. */
@Command(
        name = "demo",
        description = {
            "Train a small Llama on the sources of Apache Commons, then fine-tune it on their unit tests with every"
                    + " method, and compare.",
            "",
            "The sources come from Maven Central by way of Maven; the base model is kept for the next time. The"
                    + " numbers of steps follow from the time that the first steps take, within fixed limits."
        })
final class DemoCommand extends GraftCommand {
    private static final Set<String> FAST_BF16 = Set.of("avx512_bf16", "amx_bf16");

    @Option(names = "--minutes", paramLabel = "N", description = "Time for all of it (default: ${DEFAULT-VALUE}).")
    double minutes = 6;

    @Option(names = "--fresh", description = "Train the base model again even if it is cached.")
    boolean fresh;

    @Option(names = "--out", paramLabel = "DIR", description = "Where models and report go (default: graft-demo).")
    Path folder = Path.of("graft-demo");

    @Option(names = "--base-steps", paramLabel = "N", description = "Steps of the base model (default: by time).")
    Integer baseSteps;

    @Option(names = "--steps", paramLabel = "N", description = "Steps of each method (default: by time).")
    Integer steps;

    @Option(
            names = "--dtype",
            paramLabel = "f32|bf16",
            description = "Compute type (default: bf16 where the processor multiplies it, else f32).")
    Precision dtype;

    @Option(names = "--seed", paramLabel = "N", description = "Of weights, data order and dropout (default: 1).")
    long seed = 1;

    @Override
    protected int execute() throws IOException {
        positive("--minutes", minutes);
        positive("--base-steps", baseSteps);
        positive("--steps", steps);
        Precision precision = dtype;
        if (precision == null) {
            precision =
                    Machine.instructionSets().stream().anyMatch(FAST_BF16::contains) ? Precision.BF16 : Precision.F32;
        }
        DemoSettings settings = new DemoSettings(
                minutes, fresh, folder, Caches.folder("demo"), precision, threads, baseSteps, steps, seed);
        new Demo(settings, out()).run();
        return 0;
    }
}
