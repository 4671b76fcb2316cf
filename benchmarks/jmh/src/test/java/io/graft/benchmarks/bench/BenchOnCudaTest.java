package io.graft.benchmarks.bench;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.graft.benchmarks.bench.BenchCommandTest.Outcome;
import io.graft.tensor.Context;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;

/** {@code graft bench --device cuda} on the emulator's CUDA devices: that it runs, and what it says of what is not there. */
@Tag("emulated")
@EnabledIf(value = "emulated", disabledReason = "only a part of the native side was built")
class BenchOnCudaTest {
    @TempDir
    Path folder;

    static boolean emulated() {
        return Files.exists(Path.of(System.getProperty("java.library.path"), "libgraft.so"))
                || System.getProperty("graft.native.target", "all").equals("all");
    }

    @BeforeAll
    static void besideOtherRuns() {
        BenchCommandTest.besideOtherRuns();
    }

    private Outcome bench(Object... more) {
        List<Object> arguments = new ArrayList<>(List.of("--device", "cuda", "--json", "--forks", 0, "--rounds", 1));
        arguments.addAll(List.of("-p", "model=tiny", "-p", "dtype=bf16", "--out", folder));
        arguments.addAll(List.of(more));
        Outcome run = BenchCommandTest.bench(arguments.toArray());
        assertThat(run.status()).as(run.err() + run.out()).isZero();
        assertThat(Context.liveHandles()).isZero();
        return run;
    }

    private static Set<String> contenders(List<JsonNode> rows, String status) {
        return rows.stream()
                .filter(row -> row.get("status").asText().equals(status))
                .map(row -> row.get("op").asText() + "/" + row.get("contender").asText())
                .collect(Collectors.toCollection(TreeSet::new));
    }

    /** Beside the plain product, which the emulated library has under cuBLASLt's own names. */
    @Test
    void opsAreMeasuredBesideThePlainProduct() throws IOException {
        List<JsonNode> rows = bench("--only", "linear,lora,nf4,rms_norm,tensor_copy", "-p", "tokens=16")
                .events("result");
        assertThat(contenders(rows, "timed"))
                .contains(
                        "roofline/gemm",
                        "roofline/gemm cublaslt",
                        "roofline/copy",
                        "linear/frozen",
                        "linear/cublaslt frozen",
                        "linear/full",
                        "lora/lora",
                        "lora/qlora",
                        "nf4/nf4",
                        "rms_norm/rms_norm")
                .noneMatch(name -> name.contains("libtorch") || name.contains("onednn"));
        assertThat(contenders(rows, "absent")).contains("linear/libtorch frozen", "tensor_copy/memcpy");
        assertThat(rows)
                .filteredOn(row -> row.get("status").asText().equals("absent"))
                .allSatisfy(row -> assertThat(row.get("note").asText()).containsPattern("LibTorch|it runs on the CPU"));
        assertThat(rows)
                .filteredOn(row -> row.get("contender").asText().equals("lora"))
                .singleElement()
                .satisfies(row -> {
                    assertThat(row.get("ratios").fieldNames()).toIterable().contains("frozen");
                    assertThat(row.get("peak_bytes").get("adapter").asLong()).isEqualTo(4L * 16 * (128 + 128));
                    assertThat(row.get("peak_bytes").get("base").asLong()).isGreaterThan(2L * 128 * 128);
                    assertThat(row.get("retained_bytes").asLong()).isPositive();
                });
        assertThat(rows)
                .filteredOn(row -> row.get("contender").asText().equals("frozen"))
                .anySatisfy(row ->
                        assertThat(row.get("ratios").fieldNames()).toIterable().contains("cublaslt frozen"));
    }

    @Test
    void wholeModelsAreMeasured() throws IOException {
        List<JsonNode> rows = bench("--only", "step,decode", "-p", "size=tiny", "-p", "methods=lora:paca")
                .events("result");
        for (String model : List.of("step", "decode")) {
            assertThat(contenders(rows, "timed")).contains(model + "/frozen", model + "/lora", model + "/paca");
        }
    }
}
