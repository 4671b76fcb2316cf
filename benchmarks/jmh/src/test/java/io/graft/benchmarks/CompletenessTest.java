package io.graft.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.benchmarks.measure.TrialRecord;
import java.io.IOException;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** An op that is registered natively has its benchmark: no stem is left out, and no benchmark is of a stem that is none. */
class CompletenessTest {
    private static final Path ROOT = Path.of("..", "..");

    /** Measures the machine. */
    private static final String NO_STEM = "roofline";

    static List<String> stems() throws IOException {
        try (Stream<Path> headers = Files.list(ROOT.resolve("native/include/graft/ops"))) {
            return headers.map(header -> header.getFileName().toString().replace(".h", ""))
                    .sorted()
                    .toList();
        }
    }

    static List<Class<?>> benchmarks() throws IOException {
        try (Stream<Path> sources = Files.list(Path.of("src/main/java/io/graft/benchmarks"))) {
            return sources.map(source -> source.getFileName().toString())
                    .filter(name -> name.endsWith("Benchmark.java"))
                    .<Class<?>>map(name -> load("io.graft.benchmarks." + name.replace(".java", "")))
                    .filter(type ->
                            OpBenchmark.class.isAssignableFrom(type) && !Modifier.isAbstract(type.getModifiers()))
                    .toList();
        }
    }

    private static Class<?> load(String name) {
        try {
            return Class.forName(name, false, CompletenessTest.class.getClassLoader());
        } catch (ClassNotFoundException missing) {
            throw new IllegalStateException(missing);
        }
    }

    @Test
    void everyStemHasItsBenchmark() throws IOException {
        List<String> measured = benchmarks().stream()
                .map(type -> TrialRecord.stem(type.getName()))
                .filter(stem -> !stem.equals(NO_STEM))
                .sorted()
                .toList();
        assertThat(measured).containsExactlyElementsOf(stems());
    }

    @Test
    void everyRegisteredOpBelongsToAStem() throws IOException {
        List<String> stems = stems();
        try (Stream<String> lines = Files.lines(ROOT.resolve("native/src/ops/ops.def"))) {
            assertThat(lines.filter(line -> line.startsWith("GRAFT_OP("))
                            .map(line -> line.substring("GRAFT_OP(".length(), line.indexOf(','))))
                    .isNotEmpty()
                    .allSatisfy(op -> assertThat(stems)
                            .anySatisfy(stem -> assertThat(declares(stem, op)).isTrue()));
        }
    }

    private static boolean declares(String stem, String op) throws IOException {
        return Files.readString(ROOT.resolve("native/include/graft/ops/" + stem + ".h"))
                .contains("graft_" + op + "(");
    }
}
