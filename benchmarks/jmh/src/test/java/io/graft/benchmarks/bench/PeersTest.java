package io.graft.benchmarks.bench;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.graft.benchmarks.bench.BenchCommandTest.Outcome;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/**
 * LibTorch's compositions compute what Graft's ops do. Fetches LibTorch, 110 MB, so that it only runs when it is asked for:
 * {@code ./mvnw -Dgraft.test.peers=true …}.
 */
@EnabledIfSystemProperty(named = "graft.test.peers", matches = "true")
class PeersTest {
    private static final String PEER = "libtorch";

    private static final Set<String> WITH_PEERS = Set.of(
            "activation",
            "attention",
            "dora",
            "embedding",
            "gelu",
            "ia3",
            "layer_norm",
            "linear",
            "linear_cross_entropy",
            "lora",
            "paca",
            "rms_norm",
            "rope",
            "sketch",
            "swiglu");

    @TempDir
    Path folder;

    @Test
    void peersAgreeWithGraft() throws IOException {
        Outcome run = BenchCommandTest.bench(
                "--peers",
                "--json",
                "--only",
                String.join(",", WITH_PEERS),
                "-p",
                "model=tiny",
                "-p",
                "tokens=16,1",
                "--full",
                "-p",
                "layer=k_proj",
                "--rounds",
                1,
                "--out",
                folder);
        assertThat(run.status()).as(run.err()).isZero();
        List<JsonNode> peers = run.events("result").stream()
                .filter(event -> event.get("contender").asText().startsWith(PEER))
                .toList();
        assertThat(peers)
                .allSatisfy(event -> assertThat(event.get("status").asText())
                        .as(event.toString())
                        .isEqualTo("timed"));
        assertThat(peers.stream().map(event -> event.get("op").asText()).collect(Collectors.toSet()))
                .isEqualTo(WITH_PEERS);
    }
}
