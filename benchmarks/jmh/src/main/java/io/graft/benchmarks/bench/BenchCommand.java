package io.graft.benchmarks.bench;

import io.graft.benchmarks.measure.LibTorch;
import io.graft.benchmarks.peers.PeftStep;
import io.graft.cli.GraftCommand;
import io.graft.cli.Interruption;
import io.graft.cli.Machine;
import io.graft.cli.compare.Report;
import io.graft.tensor.Context;
import io.graft.tensor.Device;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code graft bench}: ops and methods at the shapes of real models, beside what one would use instead. */
@Command(
        name = "bench",
        description = {
            "Measure ops and methods at the shapes of real models, beside the frozen layer, oneDNN and LibTorch.",
            "",
            "Contenders take turns in one process, so that a machine whose speed changes is as fast for all, and their"
                    + " results are compared before anything is timed. A short run takes about five minutes."
        },
        footer = {
            "",
            "docs/guide/benchmarks.md says how to read the numbers. Exit status 1: a benchmark failed, or with --compare"
                    + " something is slower."
        })
public final class BenchCommand extends GraftCommand {
    /** Seconds of rounds for each benchmark, in a short run. */
    static final double SHORT_SECONDS = 3;

    /** And in a full one; what is slower has three rounds. */
    static final double FULL_SECONDS = 30;

    @Option(names = "--full", description = "All shapes and types: days, of which the beginning says how many.")
    boolean full;

    @Option(
            names = "--only",
            paramLabel = "STEM",
            split = ",",
            description = "Only these ops, such as lora or rms_norm; step and decode: whole models.")
    List<String> only;

    @Option(
            names = {"-p", "--parameter"},
            paramLabel = "NAME=VALUE[,VALUE]",
            description =
                    "Values of a parameter instead of its own: model, dtype, tokens, layer, rank; of step and decode"
                            + " size (30m, 150m, 1b) and methods (lora:dora); of load cache (warm, cold).")
    Map<String, String> named = new LinkedHashMap<>();

    @Option(
            names = "--device",
            paramLabel = "cpu|cuda|cuda:N",
            description = "What is measured (default: ${DEFAULT-VALUE}).")
    Device device = Device.CPU;

    @Option(
            names = "--peers",
            description =
                    "Fetch LibTorch by Maven, 110 MB once, and measure it too; and PEFT, where --python has it. For a GPU"
                            + " it is LibTorch's build for CUDA 13, 460 MB, which finds CUDA's libraries and cuDNN on the machine.")
    boolean peers;

    @Option(
            names = "--python",
            paramLabel = "PYTHON",
            description = "A Python with torch, transformers and peft, whose training steps --only step measures beside"
                    + " Graft's (default with --peers: " + Python.DEFAULT + ").")
    String python;

    @Option(
            names = "--rounds",
            paramLabel = "N",
            description =
                    "Measured rounds of each benchmark, however long they take (default: 11, fewer where they take longer"
                            + " than some seconds).")
    Integer rounds;

    @Option(
            names = "--forks",
            paramLabel = "N",
            description = "Processes for each benchmark, 0 for this one (default: ${DEFAULT-VALUE}).")
    int forks = 1;

    @Option(names = "--out", paramLabel = "DIR", description = "Where the report goes (default: ${DEFAULT-VALUE}).")
    Path folder = Path.of("graft-bench");

    @Option(
            names = "--keep",
            description = "Keep the results as benchmarks/results/MACHINE/COMMIT.json of the source tree too.")
    boolean keep;

    @Option(
            names = "--compare",
            arity = "2",
            paramLabel = "FILE",
            description = "Measure nothing; say what changed from one results file to another.")
    List<Path> compared;

    @Option(
            names = "--threshold",
            paramLabel = "PERCENT",
            description = "With --compare: what counts as a change (default: ${DEFAULT-VALUE}).")
    double threshold = 10;

    @Option(
            names = "--readme",
            paramLabel = "FILE",
            description = "Measure nothing; put the table of this kept results file into README.md.")
    Path shown;

    @Override
    protected int execute() throws IOException {
        if (shown != null) {
            ReadmeTable.write(Surroundings.tree(), shown);
            out().say("%s: the table of %s", Surroundings.tree().resolve("README.md"), shown);
            return 0;
        }
        if (compared != null) {
            positive("--threshold", threshold);
            return compare();
        }
        check();
        List<Cell> cells = cells();
        if (peers) {
            Peers.fetch(out(), device);
        }
        findPeft();
        // why: a fetched LibTorch is on the class path of the measuring processes, not of this one.
        boolean torch = peers || LibTorch.absence(device) == null;
        if (!torch) {
            out().note("no LibTorch in this run: %s", LibTorch.absence(device));
        }
        int count = threads == null ? 0 : threads;
        // why: who says how many rounds wants so many.
        double seconds = rounds != null ? Double.POSITIVE_INFINITY : full ? FULL_SECONDS : SHORT_SECONDS;
        CellRunner runner = new CellRunner(forks, rounds, count, device, seconds, torch);
        Measurement measurement = new Measurement(out(), runner, folder.resolve("results.json"));
        Run run = measurement.of(Surroundings.run(command(), device, count), cells);
        report(run);
        if (keep) {
            out().say(
                            "kept: %s",
                            run.keep(Surroundings.tree().resolve("benchmarks").resolve("results")));
        }
        return Interruption.requested() ? Interruption.STATUS : measurement.failed() == 0 ? 0 : 1;
    }

    private void check() {
        positive("--rounds", rounds);
        if (forks < 0) {
            throw usage("--forks must not be negative, got " + forks);
        }
        if (peers && forks == 0) {
            throw usage("--peers needs processes of its own: --forks must not be 0");
        }
        if (!device.isCpu()) {
            if (python != null || threads != null) {
                String option = python != null ? "--python" : "--threads";
                throw usage(option + " is for --device cpu, got " + device);
            }
            // why: who has no such device is told so before anything is measured.
            Context.on(device).close();
        }
    }

    /** A Python that was named must have PEFT; that of the system may. */
    private void findPeft() {
        System.clearProperty(PeftStep.PYTHON);
        if (python == null && (!peers || !device.isCpu())) {
            return;
        }
        String candidate = python == null ? Python.DEFAULT : python;
        String lack = Python.lack(candidate);
        if (lack == null) {
            System.setProperty(PeftStep.PYTHON, candidate);
        } else if (python != null) {
            throw usage("--python: " + lack);
        } else {
            out().note("no PEFT in this run: %s (--python names another)", lack);
        }
    }

    private List<Cell> cells() {
        Map<String, List<String>> values = new LinkedHashMap<>();
        named.forEach((name, list) -> values.put(name, Arrays.asList(list.split(","))));
        BenchPlan plan =
                new BenchPlan(full, values, device.isCpu() ? Machine.instructionSets() : Set.of(BenchPlan.GPU));
        try {
            return plan.cells(only == null ? plan.stems() : only);
        } catch (IllegalArgumentException unknown) {
            throw usage(unknown.getMessage());
        }
    }

    private void report(Run run) throws IOException {
        Report report = new Report(out(), folder, "Graft bench")
                .fact("instruction sets", String.join(" ", run.instructionSets()))
                .fact("Java", run.java())
                .fact("commit", run.commit())
                .fact("libraries", run.libraries().toString().replaceAll("[{}]", ""))
                .fact("threads", Integer.toString(run.threads()))
                .fact(
                        "roof: GEMM",
                        run.roofline().gigaflops().entrySet().stream()
                                .map(rate -> String.format("%s %.0f GFLOP/s", rate.getKey(), rate.getValue()))
                                .reduce((a, b) -> a + ", " + b)
                                .orElse("not measured"))
                .fact("roof: copy", String.format("%.1f GB/s", run.roofline().gigabytes()))
                .fact("LibTorch", run.libTorch())
                .fact("command", run.command());
        RunPictures.add(report, run);
        List<String> remarks = RunTable.remarks(run);
        if (!remarks.isEmpty()) {
            report.sample("Remarks", String.join("\n", remarks));
        }
        report.write("Contenders", RunTable.HEADER, RunTable.rows(run));
        remarks.forEach(remark -> out().say("%s", remark));
        out().say("results: %s", folder.resolve("results.json"));
    }

    /** The command without the place of the report, which is this machine's own. */
    private String command() {
        return ("graft " + String.join(" ", words())).replaceAll(" --out[ =]\\S+", "");
    }

    private int compare() {
        Run before = Run.read(compared.get(0));
        Run after = Run.read(compared.get(1));
        RunComparison comparison = RunComparison.of(before, after, threshold / 100);
        ComparisonOutput.write(out(), before, after, comparison);
        return comparison.slower() ? 1 : 0;
    }
}
