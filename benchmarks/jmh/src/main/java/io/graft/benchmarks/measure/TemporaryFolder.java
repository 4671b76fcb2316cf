package io.graft.benchmarks.measure;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** A folder that goes with all that is in it when it is closed. */
public final class TemporaryFolder implements AutoCloseable {
    private final Path path;

    public TemporaryFolder() {
        try {
            path = Files.createTempDirectory("graft-bench");
        } catch (IOException failure) {
            throw new UncheckedIOException("no temporary folder", failure);
        }
    }

    public Path path() {
        return path;
    }

    /** Writes a file; returns this folder. */
    public TemporaryFolder with(String name, String text) {
        try {
            Files.writeString(path.resolve(name), text);
        } catch (IOException failure) {
            throw new UncheckedIOException("cannot write " + path.resolve(name), failure);
        }
        return this;
    }

    @Override
    public void close() {
        try (Stream<Path> files = Files.walk(path)) {
            List<Path> deepestFirst = files.sorted(Comparator.reverseOrder()).toList();
            for (Path file : deepestFirst) {
                Files.delete(file);
            }
        } catch (IOException failure) {
            throw new UncheckedIOException("cannot delete " + path, failure);
        }
    }
}
