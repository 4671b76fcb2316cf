package io.graft.benchmarks.bench;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.graft.benchmarks.measure.ContenderProfiler;
import io.graft.benchmarks.measure.GraftMemoryProfiler;
import io.graft.benchmarks.measure.TrialProgress;
import io.graft.benchmarks.measure.TrialRecord;
import io.graft.cli.Graft;
import io.graft.tensor.Context;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.VerboseMode;
import picocli.CommandLine;

/** {@code graft bench} from the command line to its report, at shapes of no model. */
class BenchCommandTest {
    @TempDir
    Path folder;

    record Outcome(int status, String out, String err) {
        List<JsonNode> events(String kind) throws IOException {
            List<JsonNode> events = new ArrayList<>();
            for (String line : out.lines().toList()) {
                JsonNode event = new ObjectMapper().readTree(line);
                if (event.get("event").asText().equals(kind)) {
                    events.add(event);
                }
            }
            return events;
        }
    }

    @BeforeAll
    static void besideOtherRuns() {
        System.setProperty("jmh.ignoreLock", "true");
    }

    static Outcome bench(Object... arguments) {
        List<String> words = new ArrayList<>(List.of("bench"));
        for (Object argument : arguments) {
            words.add(argument.toString());
        }
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        CommandLine line = Graft.commandLine();
        line.setOut(new PrintWriter(out, true));
        line.setErr(new PrintWriter(err, true));
        int status = line.execute(words.toArray(String[]::new));
        return new Outcome(status, out.toString(), err.toString());
    }

    private Outcome tiny(Object... more) {
        List<Object> arguments =
                new ArrayList<>(List.of("-p", "model=tiny", "-p", "dtype=f32", "--threads", 1, "--rounds", 3));
        arguments.addAll(List.of("--out", folder.resolve("out")));
        arguments.addAll(List.of(more));
        return bench(arguments.toArray());
    }

    @Test
    void aRunEndsWithTableReportAndResults() throws IOException {
        Outcome run = tiny("--forks", 0, "--only", "lora,gelu,adamw", "-p", "tokens=16");
        assertThat(run.status()).as(run.err()).isZero();
        assertThat(run.out())
                .contains("× frozen", "lora dropout 0.1", "tiny q_proj T=16 r=16 f32", "report: ", "results: ");
        String html = Files.readString(folder.resolve("out/report.html"));
        assertThat(html).contains("<td>adamw</td>", "data:image/png;base64,", "roof: copy", "--only lora,gelu,adamw");
        assertThat(html).doesNotContain("--out");
        for (String picture : List.of("frozen.png", "memory.png", "roof.png", "peers.png")) {
            assertThat(Files.readAllBytes(folder.resolve("out").resolve(picture)))
                    .startsWith(0x89, 'P', 'N', 'G');
        }
        Run kept = Run.read(folder.resolve("out/results.json"));
        assertThat(kept.threads()).isEqualTo(1);
        assertThat(kept.libraries()).containsKeys("Graft", "oneDNN", "JMH");
        assertThat(kept.roofline().gigabytes()).isPositive();
        assertThat(kept.rows())
                .filteredOn(row -> row.contender().equals("lora"))
                .singleElement()
                .satisfies(row -> {
                    assertThat(row.samples()).isEqualTo(3);
                    assertThat(row.ratios()).containsKey("frozen");
                    assertThat(row.peakBytes().get("adapter")).isEqualTo(4L * 16 * (128 + 128));
                    assertThat(row.retainedBytes()).isPositive();
                });
        assertThat(Context.liveHandles()).isZero();
        assertThat(System.getProperties())
                .as("files that are gone")
                .doesNotContainKeys(TrialRecord.PROPERTY, TrialProgress.PROPERTY);
    }

    @Test
    void whatIsKeptIsNotReplacedByLess() throws IOException {
        System.setProperty("graft.root", folder.toString());
        try {
            Outcome both = tiny("--forks", 0, "--only", "gelu,swiglu", "-p", "tokens=4", "--keep");
            assertThat(both.status()).as(both.err()).isZero();
            Path kept = Path.of(both.out()
                    .lines()
                    .filter(line -> line.startsWith("kept: "))
                    .findFirst()
                    .orElseThrow()
                    .substring("kept: ".length()));
            assertThat(kept).startsWith(folder.resolve("benchmarks/results")).isRegularFile();
            byte[] before = Files.readAllBytes(kept);
            Outcome part = tiny("--forks", 0, "--only", "gelu", "-p", "tokens=4", "--keep");
            assertThat(part.status()).isEqualTo(1);
            assertThat(part.err()).contains("rows that this run does not have, such as swiglu tiny T=4 f32");
            assertThat(Files.readAllBytes(kept)).isEqualTo(before);
        } finally {
            System.clearProperty("graft.root");
        }
    }

    /** Ctrl-C and SIGTERM are one thing to a JVM. */
    @Test
    @Timeout(value = 3, unit = TimeUnit.MINUTES)
    void aSignalKeepsWhatIsDone() throws Exception {
        Path log = folder.resolve("log.txt");
        Path out = folder.resolve("stopped");
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Djmh.ignoreLock=true",
                        "-Dorg.bytedeco.javacpp.cachedir=" + System.getProperty("org.bytedeco.javacpp.cachedir"),
                        "-cp",
                        System.getProperty("java.class.path"),
                        Graft.class.getName(),
                        "bench",
                        "--json",
                        "--forks=0",
                        "--rounds=3",
                        "--threads=1",
                        "--parameter=model=tiny",
                        "--parameter=size=tiny",
                        "--parameter=dtype=f32",
                        "--out=" + out)
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start();
        while (!Files.readString(log).contains("\"event\":\"progress\",\"done\":3,")) {
            assertThat(process.isAlive()).as(Files.readString(log)).isTrue();
            Thread.sleep(20);
        }
        process.destroy();
        assertThat(process.waitFor()).as(Files.readString(log)).isEqualTo(143);
        Outcome run = new Outcome(143, Files.readString(log), "");
        int done = run.events("progress").size();
        assertThat(done)
                .isBetween(3, run.events("plan").get(0).get("benchmarks").asInt() - 1);
        assertThat(run.events("failed")).isEmpty();
        assertThat(run.events("report")).hasSize(1);
        assertThat(Run.read(out.resolve("results.json")).rows())
                .hasSameSizeAs(run.events("result"))
                .isNotEmpty();
    }

    /** Each benchmark in a process of its own, as users run it. */
    @Test
    void aProcessOfItsOwnGivesItsRowsBack() throws IOException {
        Outcome run = tiny("--json", "--only", "rms_norm", "-p", "tokens=8");
        assertThat(run.status()).as(run.err()).isZero();
        assertThat(run.events("result"))
                .filteredOn(event -> event.get("op").asText().equals("rms_norm"))
                .filteredOn(event -> event.get("status").asText().equals("timed"))
                .anySatisfy(event -> {
                    assertThat(event.get("contender").asText()).isEqualTo("rms_norm");
                    assertThat(event.get("ms").asDouble()).isPositive();
                    assertThat(event.get("java_bytes").asLong()).isZero();
                    assertThat(event.get("parameters").get("tokens").asText()).isEqualTo("8");
                });
        assertThat(run.events("report")).hasSize(1);
    }

    @Test
    void aBenchmarkThatFailsIsNamedAndTheOthersRun() throws IOException {
        Outcome run = tiny("--forks", 0, "--only", "rms_norm", "-p", "tokens=0,4", "-p", "dtype=f32");
        assertThat(run.status()).isZero();
        Outcome broken = tiny("--forks", 0, "--only", "gelu", "-p", "dtype=f99");
        assertThat(broken.status()).isEqualTo(1);
        assertThat(broken.err()).contains("gelu tiny T=512 f99");
    }

    @Test
    void wrongUsageIsRefused() {
        assertThat(tiny("--only", "hat").err()).contains("no op is called hat");
        assertThat(tiny("--only", "hat").status()).isEqualTo(2);
        assertThat(tiny("--device", "tpu").err()).contains("'tpu' is no device; there are cpu, cuda and cuda:N");
        assertThat(tiny("--device", "cuda").err()).contains("--threads is for --device cpu, got cuda:0");
        assertThat(bench("--device", "cuda", "--python", "python3").err())
                .contains("--python is for --device cpu, got cuda:0");
        assertThat(tiny("--peers", "--forks", 0).err()).contains("--forks must not be 0");
        assertThat(tiny("--rounds", 0).status()).isEqualTo(2);
        assertThat(bench("--compare", folder.resolve("a"), folder.resolve("b")).err())
                .contains("no results file: " + folder.resolve("a"));
    }

    @Test
    void aGpuThatIsNotThereIsToldBeforeAnythingIsMeasured() {
        Outcome run = bench("--device", "cuda:999", "--out", folder.resolve("out"));
        assertThat(run.status()).isEqualTo(1);
        assertThat(run.err()).contains("graft_context_create_cuda", "CUDA").doesNotContain("benchmarks");
        assertThat(folder.resolve("out")).doesNotExist();
    }

    @Test
    void comparingSaysWhatChangedByItsExitStatus() throws IOException {
        Path before = folder.resolve("before.json");
        Path after = folder.resolve("after.json");
        RunComparisonTest.run("EPYC", RunComparisonTest.row("gelu", "gelu", 1, 0.02, null))
                .write(before);
        RunComparisonTest.run("EPYC", RunComparisonTest.row("gelu", "gelu", 1.3, 0.02, null))
                .write(after);
        Outcome slower = bench("--compare", before, after);
        assertThat(slower.status()).isEqualTo(1);
        assertThat(slower.out()).contains("+30.0 %", "±2.0 %", "slower", "1 slower, 0 faster");
        assertThat(bench("--compare", after, before).status()).isZero();
        assertThat(bench("--compare", before, after, "--threshold", 40).status())
                .isZero();
        assertThat(bench("--compare", before, after, "--json").events("change"))
                .singleElement()
                .satisfies(event -> assertThat(event.get("verdict").asText()).isEqualTo("slower"));
        Files.writeString(after, "{\"format\": 9}");
        assertThat(bench("--compare", before, after).err()).contains("after.json has format 9, must be 2");
        Files.writeString(after, "hat");
        assertThat(bench("--compare", before, after).err()).contains("not a results file of graft bench: " + after);
    }

    @Test
    void plainJmhShowsContendersAndTheirMemory() throws Exception {
        RunResult result = new Runner(new OptionsBuilder()
                        .include("LoraBenchmark.round")
                        .param("model", "tiny")
                        .param("tokens", "16")
                        .param("layer", "q_proj")
                        .param("dtype", "f32")
                        .forks(0)
                        .warmupIterations(0)
                        .measurementIterations(2)
                        .addProfiler(ContenderProfiler.class)
                        .addProfiler(GraftMemoryProfiler.class)
                        .verbosity(VerboseMode.SILENT)
                        .shouldFailOnError(true)
                        .build())
                .runSingle();
        assertThat(result.getSecondaryResults())
                .containsKeys("frozen", "lora", "lora:peak.workspace", "lora:java.allocated", "resident.peak");
        assertThat(result.getSecondaryResults().get("lora:peak.adapter").getScore())
                .isEqualTo(4.0 * 16 * (128 + 128));
        assertThat(result.getSecondaryResults().get("lora").getScore()).isPositive();
    }
}
