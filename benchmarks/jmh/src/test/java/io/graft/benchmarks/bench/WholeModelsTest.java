package io.graft.benchmarks.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.graft.benchmarks.ModelBenchmark;
import io.graft.benchmarks.bench.BenchCommandTest.Outcome;
import io.graft.benchmarks.measure.PageCacheTest;
import io.graft.cli.Method;
import io.graft.tensor.Context;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Steps and generation of a tiny model under every method that there is. */
class WholeModelsTest {
    @TempDir
    Path folder;

    @BeforeAll
    static void besideOtherRuns() {
        BenchCommandTest.besideOtherRuns();
    }

    private List<JsonNode> measured(String stem) throws IOException {
        String methods = String.join(ModelBenchmark.SEPARATOR, ModelBenchmark.all());
        return measured(stem, List.of("-p", "methods=" + methods));
    }

    private List<JsonNode> measured(String stem, List<String> more) throws IOException {
        List<Object> arguments = new ArrayList<>(List.of(
                "--json",
                "--forks",
                0,
                "--threads",
                1,
                "--rounds",
                1,
                "--only",
                stem,
                "-p",
                "model=tiny",
                "-p",
                "size=tiny",
                "-p",
                "dtype=f32",
                "--out",
                folder));
        arguments.addAll(more);
        Outcome run = BenchCommandTest.bench(arguments.toArray());
        assertThat(run.status()).as(run.err() + run.out()).isZero();
        assertThat(Context.liveHandles()).isZero();
        return run.events("result").stream()
                .filter(event -> event.get("op").asText().equals(stem))
                .toList();
    }

    private static Set<String> with(List<JsonNode> events, String status, String note) {
        return events.stream()
                .filter(event -> event.get("status").asText().equals(status))
                .filter(event -> event.get("note").asText().startsWith(note))
                .map(event -> event.get("contender").asText())
                .collect(Collectors.toCollection(TreeSet::new));
    }

    @Test
    void everyMethodTrains() throws IOException {
        List<JsonNode> events = measured("step");
        assertThat(events).hasSize(1 + ModelBenchmark.all().size()).allSatisfy(event -> {
            assertThat(event.get("status").asText()).as(event.toString()).isEqualTo("timed");
            assertThat(event.get("tokens_per_second").asDouble()).isPositive();
            assertThat(event.get("peak_bytes").get("all").asLong())
                    .isGreaterThanOrEqualTo(event.get("retained_bytes").asLong());
        });
        assertThat(events).extracting(event -> event.get("contender").asText()).contains("frozen", "lora", "paca");
        assertThat(with(events, "timed", "starts apart"))
                .contains("prompt", "prefix", "sketchtune")
                .doesNotContain(
                        "full",
                        "lora",
                        "lora+",
                        "dora",
                        "pissa",
                        "olora",
                        "adalora",
                        "vera",
                        "miss",
                        "paca",
                        "s2ft",
                        "shira",
                        "ia3",
                        "bitfit",
                        "ln",
                        "lokr",
                        "loha",
                        "oft",
                        "boft",
                        "hira",
                        "c3a",
                        "fourierft");
    }

    @ParameterizedTest
    @ValueSource(strings = {"warm", "cold"})
    void aCheckpointLoads(String cache) throws IOException {
        assumeThat(cache.equals("cold") && PageCacheTest.inMemory(Path.of(System.getProperty("java.io.tmpdir"))))
                .as("temporary files are in memory")
                .isFalse();
        List<JsonNode> events = measured("load", List.of("-p", "cache=" + cache));
        assertThat(events)
                .allSatisfy(
                        event -> assertThat(event.get("parameters").get("cache").asText())
                                .isEqualTo(cache));
        assertThat(events)
                .extracting(event -> event.get("contender").asText())
                .containsExactly("frozen", "load", "load as bf16", "load for lora", "load as nf4");
        assertThat(events)
                .allSatisfy(event -> assertThat(event.get("status").asText())
                        .as(event.toString())
                        .isEqualTo("timed"));
        assertThat(events.get(1).get("peak_bytes").get("all").asLong())
                .isGreaterThan(events.get(2).get("peak_bytes").get("all").asLong());
    }

    @Test
    void everyMethodGenerates() throws IOException {
        List<JsonNode> events = measured("decode");
        assertThat(with(events, "refused", "it trains the model itself"))
                .isEqualTo(Method.all().stream()
                        .filter(method -> method.peftType() == null)
                        .map(Method::name)
                        .collect(Collectors.toCollection(TreeSet::new)));
        Set<String> refused = with(events, "refused", "");
        assertThat(refused)
                .as("diff pruning saves what has changed, and nothing has")
                .contains("full", "diff-pruning", "s-diff-pruning")
                .doesNotContain("lora", "dora", "paca", "ia3", "prompt", "prefix");
        assertThat(events)
                .filteredOn(event -> !refused.contains(event.get("contender").asText()))
                .allSatisfy(event -> assertThat(event.get("status").asText())
                        .as(event.toString())
                        .isEqualTo("timed"));
    }
}
