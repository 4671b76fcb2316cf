package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class TokenFileTest {
    private static Document document(int number) {
        int[] ids =
                IntStream.range(0, number % 7 * 1000).map(i -> i * 31 + number).toArray();
        int[] labels = IntStream.range(0, ids.length)
                .map(i -> i % 3 == 0 ? TextDataset.IGNORED : ids[i])
                .toArray();
        return new Document(ids, labels);
    }

    /** More than is held before it is written; read backwards, in between and across documents. */
    @Test
    void documentsComeBackAsTheyWere() {
        TokenFile file = new TokenFile();
        for (int i = 0; i < 20; i++) {
            file.append(document(i));
            int[] first = new int[1];
            if (i > 0) {
                file.read(0, first, new int[1], 0, 1);
                assertThat(first[0]).isEqualTo(1);
            }
        }
        assertThat(file.documents()).isEqualTo(20);
        long tokens = 0;
        for (int i = 19; i >= 0; i--) {
            Document found = file.document(i);
            assertThat(found.ids()).isEqualTo(document(i).ids());
            assertThat(found.labels()).isEqualTo(document(i).labels());
            tokens += found.ids().length;
        }
        assertThat(file.tokens()).isEqualTo(tokens);
        int[] ids = new int[6];
        int[] labels = new int[6];
        file.read(998, ids, labels, 1, 4);
        assertThat(ids).containsExactly(0, 998 * 31 + 1, 999 * 31 + 1, 2, 33, 0);
        assertThat(labels).containsExactly(0, 998 * 31 + 1, TextDataset.IGNORED, TextDataset.IGNORED, 33, 0);
    }

    @Test
    void theFileHasNoNameWhileItIsInUse() throws Exception {
        TokenFile file = new TokenFile();
        file.append(document(3));
        Set<Path> named = named();
        named.retainAll(named()); // why: another JVM's file has a name for a moment
        assertThat(named).isEmpty();
        assertThat(file.document(0).ids()).hasSize(3000);
    }

    private static Set<Path> named() throws IOException {
        try (Stream<Path> names = Files.list(Path.of(System.getProperty("java.io.tmpdir")))) {
            return names.filter(name -> name.getFileName().toString().startsWith("graft-tokens-"))
                    .collect(Collectors.toCollection(HashSet::new));
        }
    }
}
