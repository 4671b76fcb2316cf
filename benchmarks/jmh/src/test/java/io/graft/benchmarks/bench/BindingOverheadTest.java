package io.graft.benchmarks.bench;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.graft.benchmarks.bench.BenchCommandTest.Outcome;
import io.graft.benchmarks.measure.ForeignCall;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Calls from Java fill nothing but what they are to fill. */
class BindingOverheadTest {
    @TempDir
    Path folder;

    @BeforeAll
    static void besideOtherRuns() {
        BenchCommandTest.besideOtherRuns();
    }

    @Test
    void callsAllocateNothingOnTheJavaHeap() throws IOException {
        Outcome run = BenchCommandTest.bench(
                "--json",
                "--forks",
                0,
                "--rounds",
                10,
                "--only",
                "binding_overhead",
                "-p",
                "model=tiny",
                "--out",
                folder);
        assertThat(run.status()).as(run.err()).isZero();
        List<JsonNode> calls = run.events("result").stream()
                .filter(event -> event.get("op").asText().equals("binding_overhead"))
                .toList();
        assertThat(calls)
                .extracting(event -> event.get("contender").asText())
                .containsExactly("c loop", "javacpp", "ffm", "javacpp, empty call");
        assertThat(calls).allSatisfy(event -> {
            boolean foreign = event.get("contender").asText().equals("ffm");
            boolean absent = foreign && ForeignCall.absence() != null;
            assertThat(event.get("status").asText()).isEqualTo(absent ? "absent" : "timed");
            assertThat(event.get("note").asText()).isEqualTo(absent ? ForeignCall.absence() : "");
            assertThat(event.get("java_bytes").asLong()).isZero();
        });
        assertThat(ForeignCall.absence() == null).isEqualTo(Runtime.version().feature() >= 22);
    }
}
