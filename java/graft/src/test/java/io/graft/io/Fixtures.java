package io.graft.io;

import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Path;

/** Finds the golden files among the test resources. */
public final class Fixtures {
    private Fixtures() {}

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
