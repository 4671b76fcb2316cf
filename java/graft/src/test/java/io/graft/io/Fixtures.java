package io.graft.io;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Finds the golden files among the test resources. */
public final class Fixtures {
    private Fixtures() {}

    /** The names of all models, each a directory of {@code fixtures/models}. */
    public static List<String> models() {
        try (Stream<Path> all = Files.list(path("models"))) {
            return all.map(Path::getFileName).map(Path::toString).sorted().toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** A file or directory below {@code fixtures/}. */
    public static Path path(String name) {
        URL url = Fixtures.class.getResource("/fixtures/" + name);
        if (url == null) {
            throw new IllegalArgumentException("no fixture " + name);
        }
        try {
            return Path.of(url.toURI());
        } catch (URISyntaxException e) {
            throw new IllegalArgumentException("fixture " + name, e);
        }
    }
}
