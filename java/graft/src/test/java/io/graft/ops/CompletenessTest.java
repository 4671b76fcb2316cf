package io.graft.ops;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.ops.OpCatalog.Op;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** An op that is registered natively has its Java method, its reference, its native test and its page. */
class CompletenessTest {
    static List<Path> headers() throws IOException {
        try (Stream<Path> files = Files.list(OpCatalog.ROOT.resolve("native/include/graft/ops"))) {
            return files.sorted().toList();
        }
    }

    @Test
    void everyRegisteredOpHasItsJavaMethod() throws IOException {
        List<String> called = new java.util.ArrayList<>();
        for (Op op : OpCatalog.all()) {
            called.add(op.function().substring("graft_".length()));
        }
        assertThat(called).containsExactlyInAnyOrderElementsOf(OpCatalog.registered());
    }

    @ParameterizedTest
    @MethodSource("headers")
    void everyStemHasItsWholeLife(Path header) {
        String stem = header.getFileName().toString().replace(".h", "");
        assertThat(OpCatalog.ROOT.resolve("native/src/ops/" + stem + ".cpp")).exists();
        assertThat(OpCatalog.ROOT.resolve("native/src/cpu/reference/" + stem + ".cpp"))
                .exists();
        assertThat(OpCatalog.ROOT.resolve("native/tests/ops/" + stem + "_test.cpp"))
                .exists();
        assertThat(OpCatalog.ROOT.resolve("docs/ops/" + stem + ".md")).exists();
    }
}
